//! Shells, and the small programs that run another: around ganger, and in its processes.

use super::{App, endings, missing, savers};

/// All of the environment, as root has it without a password.
const SUDO: &str = "sudo -E env \"PATH=$PATH\"";

fn app(program: &str, names: &'static [&'static str], says: &'static [&'static str]) -> Option<App> {
    if program == "sudo" && !nix::unistd::geteuid().is_root() {
        missing("sudo without a password");
        return None;
    }
    let app = App::new(&["gunicorn", program], savers(names))?
        .file("save.py", include_str!("apps/save.py"))
        .file("Makefile", include_str!("apps/Makefile"))
        .says(says, &[]);
    Some(app)
}

fn inside(program: &str, web: &str) -> Option<App> {
    Some(app(program, &["a"], &["saved a"])?.procfile(&format!("web: {web}\n")))
}

fn both(program: &str, web: &str) -> Option<App> {
    Some(app(program, &["a", "b"], &["saved a", "saved b"])?.procfile(&format!("web: {web}\n")))
}

fn around(program: &str, command: &str, status: i32, code: Option<i32>) -> Option<App> {
    Some(inside(program, "exec python save.py a")?.around(command, status, code))
}

endings!(both("sh", "python save.py a & python save.py b; wait") =>
    both_programs_of_a_shell_save_on_ctrl_c,
    both_programs_of_a_shell_save_on_term,
    both_programs_of_a_shell_save_on_restart_and_stop
);

endings!(inside("bash", "bash -ic 'python save.py a; true'") =>
    a_program_of_an_interactive_shell_saves_on_ctrl_c,
    a_program_of_an_interactive_shell_saves_on_term,
    a_program_of_an_interactive_shell_saves_on_restart_and_stop
);

endings!(inside("bash", "bash -c 'set -m; python save.py a & wait'") =>
    a_job_of_a_shell_saves_on_ctrl_c,
    a_job_of_a_shell_saves_on_term,
    a_job_of_a_shell_saves_on_restart_and_stop
);

endings!(inside("zsh", "zsh -ic 'python save.py a; true'") =>
    a_program_of_an_interactive_zsh_saves_on_ctrl_c,
    a_program_of_an_interactive_zsh_saves_on_term,
    a_program_of_an_interactive_zsh_saves_on_restart_and_stop
);

endings!(inside("uv", "uv run --no-project --offline python save.py a") =>
    a_program_of_uv_saves_on_ctrl_c,
    a_program_of_uv_saves_on_term,
    a_program_of_uv_saves_on_restart_and_stop
);

endings!(inside("make", "make serve") =>
    a_program_of_make_saves_on_ctrl_c,
    a_program_of_make_saves_on_term,
    a_program_of_make_saves_on_restart_and_stop
);

endings!(inside("timeout", "timeout 3600 python save.py a") =>
    a_program_of_timeout_saves_on_ctrl_c,
    a_program_of_timeout_saves_on_term,
    a_program_of_timeout_saves_on_restart_and_stop
);

/// At TERM `script` asks what it runs, kills it two seconds later, and shows nothing of it any more.
fn in_a_script() -> Option<App> {
    let web = "script -qec 'exec python save.py a 0.2' /dev/null";
    Some(inside("script", web)?.says(&[], &[]))
}

endings!(in_a_script() =>
    a_program_of_script_saves_on_ctrl_c,
    a_program_of_script_saves_on_term,
    a_program_of_script_saves_on_restart_and_stop
);

endings!(inside("sudo", &format!("{SUDO} python save.py a")) =>
    a_program_of_sudo_saves_on_ctrl_c,
    a_program_of_sudo_saves_on_term,
    a_program_of_sudo_saves_on_restart_and_stop
);

endings!(around("make", "make dev", 130, Some(2)) =>
    make_around_ganger_ends_on_ctrl_c,
    make_around_ganger_ends_on_term,
    make_around_ganger_ends_on_restart_and_stop
);

endings!(around("sudo", &format!("{SUDO} ganger start"), 130, None) =>
    sudo_around_ganger_ends_on_ctrl_c,
    sudo_around_ganger_ends_on_term,
    sudo_around_ganger_ends_on_restart_and_stop
);

endings!(around("timeout", "timeout 3600 ganger start", 130, None) =>
    timeout_around_ganger_ends_on_ctrl_c,
    timeout_around_ganger_ends_on_term,
    timeout_around_ganger_ends_on_restart_and_stop
);

endings!(around("script", "script -qec 'ganger start' /dev/null", 130, Some(143)) =>
    script_around_ganger_ends_on_ctrl_c,
    script_around_ganger_ends_on_term,
    script_around_ganger_ends_on_restart_and_stop
);

endings!(around("uv", "uv run --no-project --offline ganger start", 130, Some(143)) =>
    uv_around_ganger_ends_on_ctrl_c,
    uv_around_ganger_ends_on_term,
    uv_around_ganger_ends_on_restart_and_stop
);

//! Runners of Node.js, around ganger and in its processes.

use super::{App, endings, savers};

const SAVES: &[&str] = &["saved a"];

fn app(program: &str) -> Option<App> {
    let app = App::new(&["node", program], savers(&["a"]))?
        .file("package.json", include_str!("apps/package.json"))
        .program("save.js", include_str!("apps/save.js"))
        .program("node_modules/.bin/save", include_str!("apps/save.js"))
        .says(SAVES, &[]);
    Some(app)
}

fn inside(program: &str, web: &str) -> Option<App> {
    Some(app(program)?.procfile(&format!("web: {web}\n")))
}

fn around(program: &str, command: &str, status: i32, code: Option<i32>) -> Option<App> {
    Some(app(program)?.procfile("web: exec node save.js a\n").around(command, status, code))
}

endings!(inside("npm", "npm run serve") =>
    a_script_of_npm_saves_on_ctrl_c,
    a_script_of_npm_saves_on_term,
    a_script_of_npm_saves_on_restart_and_stop
);

endings!(inside("npx", "npx save a") =>
    a_program_of_npx_saves_on_ctrl_c,
    a_program_of_npx_saves_on_term,
    a_program_of_npx_saves_on_restart_and_stop
);

endings!(inside("pnpm", "pnpm run serve") =>
    a_script_of_pnpm_saves_on_ctrl_c,
    a_script_of_pnpm_saves_on_term,
    a_script_of_pnpm_saves_on_restart_and_stop
);

endings!(inside("concurrently", "concurrently --raw 'node save.js a'") =>
    a_program_of_concurrently_saves_on_ctrl_c,
    a_program_of_concurrently_saves_on_term,
    a_program_of_concurrently_saves_on_restart_and_stop
);

endings!(around("npm", "npm run dev", 130, Some(143)) =>
    npm_around_ganger_ends_on_ctrl_c,
    npm_around_ganger_ends_on_term,
    npm_around_ganger_ends_on_restart_and_stop
);

endings!(around("npm", "npm run dev:exec", 130, None) =>
    npm_around_exec_ganger_ends_on_ctrl_c,
    npm_around_exec_ganger_ends_on_term,
    npm_around_exec_ganger_ends_on_restart_and_stop
);

endings!(around("npx", "npx -c 'ganger start'", 130, Some(143)) =>
    npx_around_ganger_ends_on_ctrl_c,
    npx_around_ganger_ends_on_term,
    npx_around_ganger_ends_on_restart_and_stop
);

endings!(around("pnpm", "pnpm run dev", 130, Some(143)) =>
    pnpm_around_ganger_ends_on_ctrl_c,
    pnpm_around_ganger_ends_on_term,
    pnpm_around_ganger_ends_on_restart_and_stop
);

endings!(around("pnpm", "pnpm run dev:exec", 130, None) =>
    pnpm_around_exec_ganger_ends_on_ctrl_c,
    pnpm_around_exec_ganger_ends_on_term,
    pnpm_around_exec_ganger_ends_on_restart_and_stop
);

endings!(around("concurrently", "concurrently --raw 'ganger start'", 0, Some(1)) =>
    concurrently_around_ganger_ends_on_ctrl_c,
    concurrently_around_ganger_ends_on_term,
    concurrently_around_ganger_ends_on_restart_and_stop
);

endings!(around("concurrently", "concurrently --raw 'exec ganger start'", 0, Some(1)) =>
    concurrently_around_exec_ganger_ends_on_ctrl_c,
    concurrently_around_exec_ganger_ends_on_term,
    concurrently_around_exec_ganger_ends_on_restart_and_stop
);

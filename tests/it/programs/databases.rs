//! Databases: what was written is saved, and the next start has nothing to recover.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::{App, Check, endings, missing, wait_until_up};
use crate::kit::{Test, eventually};

fn has_postgres() -> bool {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return false };
    entries.flatten().any(|version| version.path().join("bin/initdb").exists())
}

/// A client of the database, with nothing to read and no output.
fn psql(test: &Test) -> Command {
    let mut command = Command::new("psql");
    command.current_dir(test.dir()).env_clear().envs(test.vars().iter().map(|(key, value)| (key, value)));
    command.args(["-h"]).arg(test.path("data")).args([
        "-p",
        &test.port().to_string(),
        "-U",
        "app",
        "-d",
        "postgres",
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn postgres(work: impl Fn(&Test) -> Check + 'static) -> Option<App> {
    if !has_postgres() {
        missing("initdb");
        return None;
    }
    let app = App::with_ports(&["psql"], work)?
        .program("postgres", include_str!("apps/postgres"))
        .procfile("web: exec ./postgres $PORT\n")
        .says(&["LOG:  database system is shut down"], &["not properly shut down", "automatic recovery"]);
    // The user postgres has to reach its directory.
    let mode = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(app.test.dir(), mode).expect("opened");
    Some(app)
}

fn at_rest() -> Option<App> {
    postgres(|test| {
        eventually("it answers", || {
            psql(test).args(["-c", "select 1"]).status().is_ok_and(|it| it.success())
        });
        Box::new(|_, _| ())
    })
}

/// With a client that does not go: at TERM Postgres would wait for it, at INT it does not.
fn with_a_client() -> Option<App> {
    let app = postgres(|test| {
        eventually("it answers", || {
            psql(test).args(["-c", "select 1"]).status().is_ok_and(|it| it.success())
        });
        let began = test.path("began");
        let _ = std::fs::remove_file(&began);
        let mut client = psql(test);
        client.args(["-c", "\\! touch began", "-c", "select pg_sleep(3600)"]);
        let mut client = client.spawn().expect("started");
        eventually("the client is connected", || began.exists());
        Box::new(move |_, _| {
            assert!(!client.wait().expect("waited").success(), "the server ends the connection");
        })
    })?;
    Some(app.file("ganger.toml", "[process.web]\nstop-signal = \"INT\"\n"))
}

fn redis() -> Option<App> {
    let app = App::with_ports(&["redis-server"], |test| {
        wait_until_up(test, "web");
        let port = test.port().to_string();
        let set = ["run", "redis-cli", "-p", &port, "set", "key", "value"];
        test.beside(set).code(0).stdout("OK\n");
        Box::new(|_, _| ())
    })?;
    let app = app.procfile("web: redis-server --port $PORT --save 3600 1000\n");
    Some(app.says(&["DB saved on disk"], &[]))
}

endings!(at_rest() =>
    postgres_shuts_down_on_ctrl_c,
    postgres_shuts_down_on_term,
    postgres_shuts_down_on_restart_and_stop
);

endings!(with_a_client() =>
    postgres_with_a_client_shuts_down_on_ctrl_c,
    postgres_with_a_client_shuts_down_on_term,
    postgres_with_a_client_shuts_down_on_restart_and_stop
);

endings!(redis() =>
    redis_saves_on_ctrl_c,
    redis_saves_on_term,
    redis_saves_on_restart_and_stop
);

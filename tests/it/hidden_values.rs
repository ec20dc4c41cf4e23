//! Invalid files with a secret in them: the problem is reported, the secret is not shown. The output of
//! `ganger check` is often kept where many people can read it.

use crate::kit::Test;

const SECRET: &str = "hunter2";

/// Mistakes when setting a variable in `ganger.toml`, and some more.
const TOML: &[&str] = &[
    // Below a process, under an unknown key.
    "[process.web]\nenvs = { T = 'hunter2' }\n",
    "[process.web]\nvars = ['T=hunter2']\n",
    "[process.web]\nvars = [\n  'A=1',\n  'T=hunter2',\n]\n",
    "[process.web]\nenvironment = { T = 'hunter2' }\n",
    "[process.web.environment]\nT = 'hunter2'\n",
    "[process.web]\nAPI_TOKEN = 'hunter2'\n",
    "[process.web]\nAPI_TOKEN = \"\"\"\nhunter2\"\"\"\n",
    "[process.web]\napi_token = 'hunter2'\n",
    "[process.web]\n'API TOKEN' = 'hunter2'\n",
    "process.web.environ.T = 'hunter2'\n",
    "process.web.API_TOKEN = 'hunter2'\n",
    "process.web = { cwd = '.', API_TOKEN = 'hunter2' }\n",
    "process.web = { API_TOKEN = 'hunter2', cwdd = '.' }\n",
    "process = { web = { cwdd = 1, envs = ['hunter2'] } }\n",
    "[process.web]\nvariables = [{ name = 'T', value = 'hunter2' }]\n",
    "[[process.web.vars]]\nT = 'hunter2'\n",
    "[process.web]\nport = 'hunter2'\n",
    // `env` with the wrong type.
    "[process.web]\nenv = ['T=hunter2']\n",
    "[process.web]\nenv = [\n  'A=1',\n  'T=hunter2',\n]\n",
    "[process.web]\nenv = 'T=hunter2'\n",
    "[process.web]\nenv = \"\"\"\nA=1\nT=hunter2\n\"\"\"\n",
    "[[process.web.env]]\nT = 'hunter2'\n",
    "[process.web]\nenv = [{ T = 'hunter2' }]\n",
    "[process.web.env]\nT = ['hunter2']\n",
    "[process.web.env]\nT = { value = 'hunter2' }\n",
    "[process.web]\nenv.T.value = 'hunter2'\n",
    "[process.web]\nenv = { T = 'hunter2', A = 1 }\n",
    "[process.web]\nenv = { '' = 'hunter2' }\n",
    "[process.web]\nenv = { 'T=' = 'hunter2' }\n",
    "[process.web]\nenv = { T = \"hunter2\\u0000\" }\n",
    // Above all processes.
    "API_TOKEN = 'hunter2'\n",
    "api_token = ['hunter2']\n",
    "env = 'API_TOKEN=hunter2'\n",
    "env = ['.env', 'API_TOKEN=hunter2']\n",
    "env = '.env,API_TOKEN=hunter2'\n",
    "env = { API_TOKEN = 'hunter2' }\n",
    "env = [{ API_TOKEN = 'hunter2' }]\n",
    "env = ['hunter2', 1]\n",
    "env = ['API_TOKEN', 'hunter2', { A = 1 }]\n",
    "[env]\nAPI_TOKEN = 'hunter2'\n",
    "[web]\nAPI_TOKEN = 'hunter2'\n",
    "[web.env]\nAPI_TOKEN = 'hunter2'\n",
    "web.env.API_TOKEN = 'hunter2'\n",
    "process = 'API_TOKEN=hunter2'\n",
    "process = ['API_TOKEN=hunter2']\n",
    "process.web = 'API_TOKEN=hunter2'\n",
    "[process]\nAPI_TOKEN = 'hunter2'\n",
    "[process.wbe.env]\nA = '1'\n[process.web]\nenv = { T = 'hunter2' }\n",
    "process.wbe = { env = { T = 'hunter2' } }\n",
    // As the value of another option.
    "formation = 'API_TOKEN=hunter2'\n",
    "formation = ['web=1', 'API_TOKEN=hunter2']\n",
    "timeout = 'API_TOKEN=hunter2'\n",
    "timeout = { API_TOKEN = 'hunter2' }\n",
    "timeout = ['API_TOKEN=hunter2', true]\n",
    "exclude = 'API_TOKEN=hunter2'\n",
    "mute = ['API_TOKEN=hunter2']\n",
    "no-env = 'API_TOKEN=hunter2'\n",
    "port = 'API_TOKEN=hunter2'\n",
    "stop-signal = 'API_TOKEN=hunter2'\n",
    "[process.web]\ntimeout = 'API_TOKEN=hunter2'\n",
    "[process.web]\ncwd = ['API_TOKEN=hunter2']\n",
    "[process.web]\nmute = 'API_TOKEN=hunter2'\n",
    // With a colon, or in a key.
    "env = 'API_TOKEN: hunter2'\n",
    "env = ['.env', 'T: hunter2']\n",
    "formation = 'API_TOKEN: hunter2'\n",
    "'API_TOKEN=hunter2' = 1\n",
    "'API_TOKEN: hunter2' = 1\n",
    "'T=hunter2' = 1\n'T=hunter2' = 1\n",
    "['T=hunter2']\nA = 1\n",
    "[process]\n'T=hunter2' = 1\n",
    "[process.'T=hunter2']\ncwd = '.'\n",
    "[process.web]\n'T=hunter2' = 1\n",
    "[process.web]\nvars = { 'T=hunter2' = 1 }\n",
    // As a path.
    "procfile = 'web: TOKEN=hunter2 x'\n",
    "procfile = 'FOO: hunter2'\n",
    "root = '/x?token=hunter2'\n",
    "root = 'FOO=hunter2'\n",
    "[process.web]\ncwd = 'FOO: hunter2'\n",
    "[process.web]\ncwd = '/x?token=hunter2'\n",
    // In a probe.
    "wait-for = 'web=http://u:hunter2@local host/'\n",
    "wait-for = ['web=http://hunter2@localhost:99999/', 'web=nope:x']\n",
    "wait-for = 'http://u:hunter2@localhost/'\n",
    "wait-for = 'wbe=http://localhost/?token=hunter2'\n",
    "wait-for = 'wbe=cmd:curl -u u:hunter2 localhost'\n",
    "wait-for = 'web=log:db:token=hunter2 (['\n",
    "[process.web]\nwait-for = 'https://u:hunter2@localhost:99999/'\n",
    "[process.web]\nwait-for = ['tcp:1', 'log:db:token=hunter2']\n",
    "[process.web]\nready = 'http://u:hunter2@localhost:99999/'\n",
    "[process.web]\nready = { url = 'http://u:hunter2@localhost/' }\n",
    // Not TOML at all.
    "API_TOKEN=hunter2\n",
    "export API_TOKEN='hunter2'\n",
    "API_TOKEN: hunter2\n",
    "API_TOKEN = 'hunter2\n",
    "API_TOKEN = \"hunter2\\q\"\n",
    "port = 1\nport = 2 API_TOKEN='hunter2'\n",
    "[process.web]\nAPI_TOKEN = hunter2\n",
    "[process.web] API_TOKEN = 'hunter2'\n",
    "[process.web]\nenv = { T = 'hunter2'\n",
    "[process.web]\nenv = { T = 'hunter2',\n B = }\n",
    "[process.web.env]\nT = 'hunter2'\nT = 'hunter2'\n",
    "[process.web]\nvars = [\n  'T=hunter2'\n  'A=1'\n]\n",
    "x = '''\nhunter2\n",
    "API_TOKEN = 'hunter2\0'\n",
];

/// The same for env files.
const ENV: &[&str] = &[
    "T='hunter2\n",
    "T=\"hunter2\nA=1\n",
    "hunter2\n",
    "T hunter2\n",
    "export hunter2! T\n",
    "=hunter2\n",
    "T T=hunter2\n",
    "T='a' hunter2\n",
    "T=hun\0hunter2\n",
    "PORT=hunter2\n",
    "{\"T\": \"hunter2\"",
    "{\"T\": \"hunter2\", }",
    "{\"T\": hunter2}",
    "{\"T\": \"hunter2\\u0000\"}",
    "{\"\": \"hunter2\"}",
    "{\"T=hunter2\": \"hunter2\"}",
];

/// Runs every command that reads the files, with the options that show the most.
#[track_caller]
fn assert_hidden(test: &Test, what: &str) {
    for args in [
        &["check"][..],
        &["check", "--strict"],
        &["config", "--explain"],
        &["config", "--json"],
        &["start"],
        &["run", "true"],
        &["ps"],
    ] {
        // The caller checks for the mistake; `start` may well run.
        let finished = test.clone().args(args).run();
        let shown = finished.tidy(&finished.stdout) + &finished.tidy(&finished.stderr);
        assert!(!shown.contains(SECRET), "{args:?} with {what:?}\n{finished}");
    }
}

fn has_mistake(test: &Test, what: &str) {
    let finished = test.clone().args(["check", "--strict"]).run();
    assert_eq!(finished.status.code(), Some(2), "{what:?}\n{finished}");
    assert!(!finished.stderr.is_empty(), "{what:?}");
}

#[test]
fn a_wrong_ganger_toml_never_shows_values() {
    for text in TOML {
        let test = Test::without_ports().procfile("web: true\nworker: true\n").file("ganger.toml", text);
        has_mistake(&test, text);
        assert_hidden(&test, text);
    }
}

#[test]
fn a_wrong_env_file_never_shows_values() {
    for text in ENV {
        let plain = Test::new().procfile("web: true\n").file(".env", text);
        has_mistake(&plain, text);
        assert_hidden(&plain, text);
        let named = plain.file(".env", "").file("x.env", text).args(["-e", "x.env"]);
        assert_hidden(&named, text);
        assert_hidden(&named.args(["--expand"]), text);
    }
}

#[test]
fn an_env_file_in_place_of_another_file_never_shows_values() {
    let wrong = "API_TOKEN=hunter2\nB='hunter2 x'\n";
    for name in ["Procfile", "ganger.toml"] {
        let test = Test::without_ports().procfile("web: true\n").file(name, wrong);
        has_mistake(&test, name);
        assert_hidden(&test, name);
    }
}

#[test]
fn the_key_of_a_hidden_value_is_named() {
    let test = Test::without_ports().procfile("web: true\n");
    let test =
        test.file("ganger.toml", "[process.web]\nAPI_TOKEN = 'hunter2' # hunter2\nenv = ['T=hunter2']\n");
    test.args(["check"]).run().code(2).stdout("").stderr(
        "ganger: error: a process has no `API_TOKEN`
  --> ganger.toml:2:1
   |
 2 | API_TOKEN = …
   | ^^^^^^^^^
  hint: it can have color, cwd, env, kill-mode, mute, on-exit, port, pty, ready, stop-signal, timeout, wait-for
ganger: error: `env` takes a table of variables, and this is a list
  --> ganger.toml:3:7
  hint: write it as in `env = { DEBUG = \"1\" }`
",
    );
}

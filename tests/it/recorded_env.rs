//! The cases of `tests/fixtures/env_expect.json`, through the whole program: files that were
//! given to heroku local 11.10.0, and what a process must see. Those of `env_more.json` are of
//! the same kinds; their answers were worked out by hand from `docs/env-files.md`. Bytes are in
//! base64 there.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kit::{Finished, Test};

type Environment = BTreeMap<Vec<u8>, Vec<u8>>;

#[test]
fn a_process_sees_what_was_recorded() {
    hold(include_str!("../fixtures/env_expect.json"));
}

#[test]
fn a_process_sees_what_the_dialect_says() {
    hold(include_str!("../fixtures/env_more.json"));
}

fn hold(fixture: &str) {
    let cases: Vec<Value> = serde_json::from_str(fixture).expect("JSON");
    assert!(cases.len() > 100, "the fixture is whole");
    for case in &cases {
        let id = case["id"].as_str().expect("an id");
        let test = app(case);
        let started = test.clone().args(["run", "web"]).run();
        let config = test.args(["config", "--json", "--show-secrets"]).run();
        if case["ganger"]["error"].is_null() {
            let (started, config) = (started.code(0), config.code(0));
            let expected = expected(&case["ganger"]["env"]);
            assert_eq!(known(dumped(&started.stdout), &expected), expected, "{id}");
            assert_eq!(known(from_json(&config.stdout), &expected), lossy(&expected), "{id}, config");
            let warnings = case["ganger"]["warnings"].as_u64().unwrap_or(0);
            assert_eq!(count_warnings(&started), warnings, "{id}\n{started}");
            assert_eq!(count_warnings(&config), warnings, "{id}, config\n{config}");
        } else {
            refused(id, case, &started.code(2));
            refused(id, case, &config.code(2));
        }
    }
}

fn app(case: &Value) -> Test {
    // Without PORT: the recordings have the default. `run` opens no port.
    let mut test = Test::new().procfile("web: exec /usr/bin/env -0\n").without("PORT");
    for (name, text) in case["files"].as_object().expect("files") {
        test = test.file(name, base64(text.as_str().expect("base64")));
    }
    for (key, value) in case["os_env"].as_object().expect("variables") {
        test = test.var(key, value.as_str().expect("text"));
    }
    test.args(case["args"].as_array().expect("arguments").iter().map(|arg| arg.as_str().expect("text")))
}

/// An error names a place and none of the values (in these files the words in lower case).
fn refused(id: &str, case: &Value, finished: &Finished) {
    assert_eq!(finished.stdout, b"", "{id}\n{finished}");
    let stderr = String::from_utf8_lossy(&finished.stderr);
    assert!(stderr.starts_with("ganger: error: "), "{id}\n{finished}");
    for text in case["files"].as_object().expect("files").values() {
        let text = String::from_utf8_lossy(&base64(text.as_str().expect("base64"))).into_owned();
        let words = text.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.len() > 2);
        for word in words {
            assert!(!stderr.contains(word), "{id}: `{word}` in\n{finished}");
        }
    }
}

fn count_warnings(finished: &Finished) -> u64 {
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    stderr.lines().filter(|line| line.starts_with("ganger: warning:")).count() as u64
}

fn expected(env: &Value) -> Environment {
    let pair =
        |(key, value): (&String, &Value)| (key.as_bytes().to_vec(), base64(value.as_str().expect("base64")));
    env.as_object().expect("variables").iter().map(pair).collect()
}

/// What `env -0` wrote.
fn dumped(bytes: &[u8]) -> Environment {
    let items = bytes.split(|byte| *byte == 0).filter(|item| !item.is_empty());
    let pair = |item: &[u8]| {
        let equals = item.iter().position(|byte| *byte == b'=').expect("a pair");
        (item[..equals].to_vec(), item[equals + 1..].to_vec())
    };
    items.map(pair).collect()
}

fn from_json(bytes: &[u8]) -> Environment {
    let object: BTreeMap<String, String> = serde_json::from_slice(bytes).expect("JSON");
    object.into_iter().map(|(key, value)| (key.into_bytes(), value.into_bytes())).collect()
}

/// JSON cannot hold other bytes than UTF-8.
fn lossy(environment: &Environment) -> Environment {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned().into_bytes();
    environment.iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// Without names that a shell does not pass on, and what the kit, the shell and ganger add if
/// it is not `expected`.
fn known(environment: Environment, expected: &Environment) -> Environment {
    let others: [&[u8]; 5] = [b"PATH", b"HOME", b"PWD", b"PS", b"FOREMAN_WORKER_NAME"];
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let keep = |key: &[u8]| {
        let is_name = key.iter().all(word) && !key[0].is_ascii_digit();
        let added = others.contains(&key) || key.starts_with(b"GANGER_");
        is_name && (!added || expected.contains_key(key))
    };
    environment.into_iter().filter(|(key, _)| keep(key)).collect()
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let digit = |digit: &u8| DIGITS.iter().position(|other| other == digit).expect("a digit of base64");
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | digit(byte)) << (6 * (4 - group.len()));
        bytes.extend(&u32::try_from(bits).expect("24 bits").to_be_bytes()[1..group.len()]);
    }
    bytes
}

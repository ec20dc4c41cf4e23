//! The cases of `tests/fixtures/env_expect.json`: files that were given to heroku local
//! 11.10.0, and what a process started by ganger must see. Bytes are in base64 there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

/// What these files hold is fine; the layer that reads files and the one that picks the port
/// refuse them.
const REFUSED_LATER: [&str; 5] =
    ["env-port-word", "env-port-float", "env-port-trailing", "env-multi-one-missing", "env-e-missing"];

type Environment = BTreeMap<Vec<u8>, Vec<u8>>;

#[test]
fn recorded_files_give_what_they_must() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../../../tests/fixtures/env_expect.json")).expect("JSON");
    for case in &cases {
        let id = case["id"].as_str().expect("an id");
        let files = files(case);
        match case["ganger"]["error"].as_str() {
            Some(_) if REFUSED_LATER.contains(&id) => drop(load(case, &files).expect(id)),
            Some(_) => refused(id, &files, &load(case, &files).expect_err(id)),
            None => {
                let (environment, warnings) =
                    load(case, &files).unwrap_or_else(|error| panic!("{id}: {error}"));
                same(id, &case["ganger"]["env"], &environment);
                let expected = case["ganger"]["warnings"].as_u64().unwrap_or(0);
                assert_eq!(warnings.len() as u64, expected, "{id}: {warnings:#?}");
            }
        }
    }
}

/// The files of the case that exist, in the order in which they are read.
fn files(case: &Value) -> Vec<(&str, Vec<u8>)> {
    let named = match case["args"].as_array().expect("arguments").as_slice() {
        [] => ".env",
        [flag, files] if flag == "-e" => files.as_str().expect("file names"),
        other => panic!("unknown arguments {other:?}"),
    };
    let content = |name| Some((name, base64(case["files"].get(name)?.as_str().expect("base64"))));
    named.split(',').map(str::trim).filter_map(content).collect()
}

/// The environment of a process: the shell's, the files over it, and the port. A later layer
/// does this for good; here is just enough of it to compare.
fn load(case: &Value, files: &[(&str, Vec<u8>)]) -> Result<(Environment, Vec<Diagnostic>), Diagnostic> {
    let bytes = |text: &Value| text.as_str().expect("a text").as_bytes().to_vec();
    let shell = case["os_env"].as_object().expect("variables");
    let mut environment: Environment =
        shell.iter().map(|(key, value)| (key.as_bytes().to_vec(), bytes(value))).collect();
    let mut warnings = Vec::new();
    for (name, text) in files {
        let file = parse(&Source::new(*name, text.as_slice()), None)?;
        for pair in file.assignments {
            environment.insert(pair.key.into_vec(), pair.value.into_vec());
        }
        warnings.extend(file.warnings);
    }
    let port = environment.entry(b"PORT".to_vec()).or_default();
    if port.is_empty() {
        *port = b"5000".to_vec();
    }
    Ok((environment, warnings))
}

/// Compares all variables that a shell knows; ganger itself sets `PS`.
fn same(id: &str, expected: &Value, environment: &Environment) {
    let expected: Environment = expected
        .as_object()
        .expect("variables")
        .iter()
        .map(|(key, value)| (key.as_bytes().to_vec(), base64(value.as_str().expect("base64"))))
        .collect();
    let known = |key: &[u8]| {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        key != b"PS" && key.iter().all(word) && !key[0].is_ascii_digit()
    };
    let actual: Environment =
        environment.iter().filter(|(key, _)| known(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    assert_eq!(actual, expected, "{id}");
}

/// An error names the file and none of its values (in these files the words in lower case).
fn refused(id: &str, files: &[(&str, Vec<u8>)], error: &Diagnostic) {
    let shown = error.to_string();
    assert!(files.iter().any(|(name, _)| shown.contains(&format!("--> {name}:"))), "{id}: {shown}");
    for (_, text) in files {
        let text = String::from_utf8_lossy(text);
        let words = text.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.len() > 2);
        for word in words {
            assert!(!shown.contains(word), "{id}: {shown}");
        }
    }
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

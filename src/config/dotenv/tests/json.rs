//! Env files that are JSON.

use super::*;

#[test]
fn a_json_object_is_flattened() {
    gives(&[
        ("{}", &[]),
        (r#"{"a":"b","T":true,"F":false,"Z":null,"E":""}"#, &["A=b", "T=true", "F=false", "E="]),
        ("\u{feff}\r\n\u{a0}{\"a\":1}\u{a0}\n\u{feff}", &["A=1"]),
        (r#"{"a":{"b":[1,{"c":2},[],{},["x"]]},"d":3}"#, &["A_B_0=1", "A_B_1_C=2", "A_B_4_0=x", "D=3"]),
        (
            r#"{"a":1.50,"b":-0,"c":1E+3,"d":123456789012345678901234567890}"#,
            &["A=1.50", "B=-0", "C=1E+3", "D=123456789012345678901234567890"],
        ),
        (r#"{"a":"\n\"\\\/\u00e9\ud83d\ude00 $A # 'é"}"#, &["A=\n\"\\/é😀 $A # 'é"]),
        (r#"{"a.b":1,"x y":2,"é":3,"a#":4}"#, &["A.B=1", "X Y=2", "É=3", "A#=4"]),
        (r#"{"z":1,"a":2,"z":3}"#, &["A=2", "Z=3"]),
        (r#"{"a":{"b":1,"c":2},"a":{"b":3}}"#, &["A_B=3"]),
        (r#"{"a_b":1,"A":{"B":2}}"#, &["A_B=1", "A_B=2"]),
        (r#"{"":{"a":1}}"#, &["_A=1"]),
        (r#"{"$serde_json::private::RawValue":"1"}"#, &["$SERDE_JSON::PRIVATE::RAWVALUE=1"]),
    ]);
    warns(
        "the key of this value is empty or has a `=` in it; the value is skipped",
        &[(r#"{"":1,"a":2}"#, &["A=2"]), (r#"{"a=b":"hunter2","a":2}"#, &["A=2"])],
    );
    let file = parse(&Source::new(".env", r#"{"a":"$A"}"#), Some(&|_| None)).expect("an env file");
    assert_eq!(pairs(&file), ["A=$A"], "JSON has its own escapes and no names");
}

#[test]
fn json_values_know_their_place() {
    let source = Source::new(".env", "\n{\"b\": 1,\r\n\n \"a\": [\"é\",\n\"x\"]}\n");
    let file = parse(&source, None).expect("an env file");
    let places: Vec<(&[u8], usize)> =
        file.assignments.iter().map(|assignment| (source.slice(assignment.span), assignment.line)).collect();
    assert_eq!(places, [(&b"1"[..], 2), ("\"é\"".as_bytes(), 4), (b"\"x\"", 5)]);
}

#[test]
fn json_that_is_not_valid_is_an_error() {
    for (text, place) in [
        ("{\n  // c\n  \"TOKEN\": \"hunter2\"\n}\n", ".env:2:3"),
        ("\n {TOKEN:\"hunter2\"}", ".env:2:3"),
        ("{\"TOKEN\":\"hunter2\",}", ".env:1:20"),
        ("{\"é\":\"hunter2\" \"hunter2\"}", ".env:1:16"),
        ("{\"TOKEN\":\"hunter2\"} x", ".env:1:21"),
        ("{\"TOKEN\":1}\n{\"hunter2\":1}", ".env:2:1"),
        ("{\"a\":1,\n\"TOKEN\":hunter2}", ".env:2:9"),
        ("{\"a\":\n{\"TOKEN\":\"hunter2\\ud800\"}}", ".env:2:24"),
        ("{\"a\":01}", ".env:1:7"),
    ] {
        assert_eq!(
            error(text),
            format!(
                "this is no valid JSON\n  --> {place}\n  hint: a file that begins with `{{` is read as JSON; \
                 mend it or write KEY=value lines"
            ),
            "{text:?}"
        );
    }
    insta::assert_snapshot!(error("{\"TOKEN\":\n \"hunter2"), @r"
    the JSON ends too early
      --> .env:2:9
      hint: a file that begins with `{` is read as JSON; mend it or write KEY=value lines
    ");
    insta::assert_snapshot!(error(b"{\"TOKEN\":\n\"hunter\xe9\"}"), @r"
    the JSON has a byte that is not UTF-8
      --> .env:2:8
      hint: save the file as UTF-8
    ");
    insta::assert_snapshot!(error(r#"{"db":{"token":"hunter2\u0000"}}"#), @r"
    there is a NUL byte in the value of `DB_TOKEN`
      --> .env:1:16
      hint: take the \u0000 out; no environment variable can hold it
    ");
    insta::assert_snapshot!(error(r#"{"hun\u0000ter2":1}"#), @r"
    there is a NUL byte in a key
      --> .env:1:18
      hint: take the \u0000 out; no environment variable can hold it
    ");
}

#[test]
fn deep_json_is_an_error_and_no_stack_overflow() {
    let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert_eq!(read(nested(128)).expect("an env file").assignments.len(), 1);
    insta::assert_snapshot!(error(nested(129)), @r"
    the JSON is nested more than 128 levels deep
      --> .env:1:133
      hint: list the variables one by one
    ");
    assert!(error(nested(100_000)).starts_with("the JSON is nested more than 128 levels deep"));
    assert!(error(format!("{{\"a\":{}", "[".repeat(1_000_000))).starts_with("the JSON ends too early"));
}

#[test]
fn names_that_grow_with_each_level_are_refused() {
    let key = "k".repeat(131_071);
    insta::assert_snapshot!(error(format!("{{\"{key}\":[[[1,2],3]]}}")), @r"
    the name of this value is too long: more than 128 KiB
      --> .env:1:131077
      hint: list the variables one by one
    ");
    let items = vec!["1"; 2000].join(",");
    insta::assert_snapshot!(error(format!("{{\"{}\":[{items}]}}", &key[..10_000])), @r"
    the names of the values are too long in total: more than 16 MiB
      --> .env:1:13356
      hint: list the variables one by one
    ");
    let empties = vec!["[]"; 2000].join(",");
    assert!(error(format!("{{\"{}\":[{empties}]}}", &key[..10_000])).starts_with("the names of the values"));
}

#[test]
fn json_with_too_many_values_is_refused() {
    let array = format!("{{\"a\":[{}]}}", vec!["1"; 100_001].join(","));
    insta::assert_snapshot!(error(array), @r"
    more than 100000 values in one object or array
      --> .env:1:200008
      hint: is this an env file? No process can receive that many variables
    ");
    let members: Vec<String> = (0..=100_000).map(|number| format!("\"{number:x}\":1")).collect();
    assert!(error(format!("{{{}}}", members.join(","))).starts_with("more than 100000 values"));
    // Each level reads the text once more.
    let text = format!("{{\"a\":{}\"{}\"{}}}", "[".repeat(120), "x".repeat(4_000_000), "]".repeat(120));
    insta::assert_snapshot!(error(text), @r"
    the JSON is too large for its nesting depth
      --> .env:1:72
      hint: list the variables one by one
    ");
}

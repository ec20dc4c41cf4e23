use super::*;

fn types(names: &[&str]) -> Vec<ProcessName> {
    names.iter().map(|name| name.parse().expect("a name")).collect()
}

/// `arguments | -m | -c | -x`, those at the end may be missing.
fn selection(text: &str) -> Result<Selection, FormationError> {
    let mut parts = text.split('|').map(str::trim);
    let mut part = || parts.next().filter(|part| !part.is_empty());
    Ok(Selection {
        processes: Formation::parse(part().iter().flat_map(|text| text.split(' ')))?,
        formation: Formation::parse(part())?,
        concurrency: Formation::parse(part())?,
        exclude: part().map_or_else(|| Ok(vec![]), |names| parse_names([names]))?,
    })
}

fn counts(procfile: &[&str], text: &str) -> Result<String, FormationError> {
    let counts = resolve(&types(procfile), &selection(text)?)?;
    assert_eq!(counts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), procfile);
    let shown: Vec<String> = counts.iter().map(|(_, count)| count.to_string()).collect();
    Ok(shown.join(" "))
}

#[test]
fn counts_for_each_way_to_ask() {
    let procfile = ["release", "web", "worker", "css"];
    for (text, expected) in [
        ("", "0 1 1 1"),
        // Arguments.
        ("web", "0 1 0 0"),
        ("web=2", "0 2 0 0"),
        ("css,web", "0 1 0 1"),
        ("css web=3", "0 3 0 1"),
        ("all", "0 1 1 1"),
        ("all=2", "0 2 2 2"),
        ("all=1,css=0", "0 1 1 0"),
        ("css=0 all=1", "0 1 1 0"),
        ("all=0,web=1", "0 1 0 0"),
        ("release", "1 0 0 0"),
        ("release,all=2", "1 2 2 2"),
        ("web=1,web=2", "0 2 0 0"),
        ("web=2 web", "0 1 0 0"),
        ("all=3,all=2", "0 2 2 2"),
        ("web=0002", "0 2 0 0"),
        ("web=65535", "0 65535 0 0"),
        // --formation is the same.
        ("|web=2,worker=1", "0 2 1 0"),
        ("|all=1,css=0", "0 1 1 0"),
        ("|web", "0 1 0 0"),
        // --concurrency leaves the others at one.
        ("||web=2", "0 2 1 1"),
        ("||worker=0", "0 1 0 1"),
        ("||all=3,css=1", "0 3 3 1"),
        ("||release=1", "1 1 1 1"),
        ("||web", "0 1 1 1"),
        // Both: the list says what, --concurrency how many.
        ("web||web=2", "0 2 0 0"),
        ("web||worker=2", "0 1 0 0"),
        ("web=3||web=2", "0 3 0 0"),
        ("web||all=2", "0 2 0 0"),
        ("web||web=0", "0 1 0 0"),
        ("all||web=2,css=0", "0 2 1 0"),
        ("all=1||web=2", "0 2 1 1"),
        ("all=3||all=2", "0 3 3 3"),
        ("all=3||css=0", "0 3 3 0"),
        ("all=3||css", "0 3 3 3"),
        ("all=0,css||web=2", "0 0 0 1"),
        ("release||all=2", "1 0 0 0"),
        ("|web|web=2", "0 2 0 0"),
        // --exclude comes last.
        ("|||web", "0 0 1 1"),
        ("|||web, css", "0 0 1 0"),
        ("web,css|||web", "0 0 0 1"),
        ("||web=2|web", "0 0 1 1"),
        ("|||release", "0 1 1 1"),
        ("web|||css", "0 1 0 0"),
    ] {
        assert_eq!(counts(&procfile, text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn blanks_round_names_counts_and_commas_do_not_matter() {
    let plain = Formation::parse(["web=2,worker"]).expect("a list");
    for text in [" web=2 , worker ", "web = 2,\tworker", "web= 2,worker"] {
        assert_eq!(Formation::parse([text]).as_ref(), Ok(&plain), "{text}");
    }
    assert_eq!(Formation::parse(["web=2", "worker"]), Ok(plain));
    assert!(Formation::parse::<&str>([]).expect("nothing").is_empty());
}

#[test]
fn a_name_that_is_all_is_everything() {
    assert_eq!(counts(&["all", "web"], "all").as_deref(), Ok("1 1"));
}

fn error(procfile: &[&str], text: &str) -> String {
    let error = counts(procfile, text).expect_err(text);
    let hint = error.hint().map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    format!("{error}{hint}")
}

#[test]
fn texts_that_are_no_list() {
    let list = "hint: write names or NAME=COUNT with commas between, as in `web=2,worker`";
    let count = "hint: write NAME=COUNT, as in `web=2`";
    for (text, message, hint) in [
        ("", "a process name is missing in ``", list),
        (" ", "a process name is missing in ` `", list),
        ("=2", "a process name is missing in `=2`", list),
        ("web,", "a process name is missing in `web,`", list),
        ("web,,css", "a process name is missing in `web,,css`", list),
        ("web,wéb=2", "`wéb=2`: a process name has only letters, digits, `_` and `-`", list),
        ("web css", "`web css`: a process name has only letters, digits, `_` and `-`", list),
        ("web.x", "`web.x`: a process name has only letters, digits, `_` and `-`", list),
        ("a\u{1b}[m", "`a [m`: a process name has only letters, digits, `_` and `-`", list),
        ("css,web=-1", "`web=-1`: a count is a whole number from 0 to 65535", count),
        ("web=+1", "`web=+1`: a count is a whole number from 0 to 65535", count),
        ("web=abc", "`web=abc`: a count is a whole number from 0 to 65535", count),
        ("web=", "`web=`: a count is a whole number from 0 to 65535", count),
        ("web=1.5", "`web=1.5`: a count is a whole number from 0 to 65535", count),
        ("web==2", "`web==2`: a count is a whole number from 0 to 65535", count),
        ("web=70000", "`web=70000`: a count is a whole number from 0 to 65535", count),
        ("all=x", "`all=x`: a count is a whole number from 0 to 65535", count),
    ] {
        let error = Formation::parse([text]).expect_err(text);
        assert_eq!(format!("{error}\nhint: {}", error.hint().expect("a hint")), format!("{message}\n{hint}"));
    }
}

#[test]
fn an_instance_is_no_type() {
    insta::assert_snapshot!(error(&["web"], "web.2"), @r"
    `web.2` is one instance; whole types are chosen
    hint: write `web`, or `web=2` for 2 of them
    ");
    assert_eq!(error(&["web"], "|||web.2"), error(&["web"], "web.2"));
    assert_eq!(error(&["web"], "web.2=1"), error(&["web"], "web.2"));
}

#[test]
fn exclude_takes_names_only() {
    insta::assert_snapshot!(error(&["web"], "|||web=0"), @r"
    `web=0`: only a name belongs here, without a count
    hint: write names with commas between, as in `web,worker`
    ");
    insta::assert_snapshot!(error(&["web"], "|||web,"), @r"
    a process name is missing in `web,`
    hint: write names or NAME=COUNT with commas between, as in `web=2,worker`
    ");
}

#[test]
fn a_name_that_is_no_type() {
    insta::assert_snapshot!(error(&["web", "worker"], "wbe"), @r"
    no process is called `wbe`
    hint: did you mean `web`? The Procfile has `web`, `worker`
    ");
    insta::assert_snapshot!(error(&["web", "worker"], "clock=0"), @r"
    no process is called `clock`
    hint: the Procfile has `web`, `worker`
    ");
    for text in ["|wbe=1", "||wbe=1", "|||wbe", "web=0|||wbe"] {
        assert_eq!(error(&["web", "worker"], text), error(&["web", "worker"], "wbe"), "{text}");
    }
}

#[test]
fn the_closest_name_is_close() {
    let known = types(&["web", "worker", "release", "web-api"]);
    for (name, expected) in [
        ("wbe", Some("web")),
        ("Web", Some("web")),
        ("webb", Some("web")),
        ("wokrer", Some("worker")),
        ("workers", Some("worker")),
        ("web_api", Some("web-api")),
        ("realese", Some("release")),
        ("css", None),
        ("x", None),
        ("", None),
    ] {
        assert_eq!(closest(name, &known).map(ProcessName::as_str), expected, "{name}");
    }
}

#[test]
fn two_lists() {
    insta::assert_snapshot!(error(&["web"], "web|web=2"), @r"
    processes are given both as arguments and with --formation
    hint: give them one way, as in `ganger start web=2 worker`
    ");
}

#[test]
fn only_release() {
    insta::assert_snapshot!(error(&["release"], ""), @r"
    nothing to start: the Procfile has only `release`, which starts when it is named
    hint: start it with `ganger start release`
    ");
    assert_eq!(error(&["release"], "all=2"), error(&["release"], ""));
    assert_eq!(counts(&["release"], "release").as_deref(), Ok("1"));
    let excluded = counts(&["release"], "|||release");
    assert_eq!(excluded, Err(FormationError::NothingToStart));
}

#[test]
fn nothing_to_start() {
    insta::assert_snapshot!(error(&["web", "css"], "all=0"), @r"
    nothing to start: every process has the count 0 or is excluded
    hint: let at least one process have a count above 0, as in `web=1`
    ");
    for text in ["web=0", "|web=0", "||all=0", "|||web,css", "web|||web"] {
        assert_eq!(error(&["web", "css"], text), error(&["web", "css"], "all=0"), "{text}");
    }
}

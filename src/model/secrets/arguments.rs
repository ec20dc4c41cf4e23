//! Secrets in the arguments of commands: `curl -u user:password`, `redis-cli -a x`, `--token x`, `Bearer x`.

use std::ops::Range;

use super::names::is_secret_parameter;
use super::spans::Spans;
use super::words;

/// Programs, and their short options that take a secret, as the next word or directly after the letter.
/// A `*` means all programs whose names begin like this.
const CLIENTS: &[(&str, &str)] = &[
    ("7z", "p"),
    ("bcp", "P"),
    ("cqlsh", "p"),
    ("curl", "bE"),
    ("cypher-shell", "p"),
    ("http", "a"),
    ("https", "a"),
    ("influx", "pt"),
    ("ipmitool", "P"),
    ("isql", "P"),
    ("keydb-cli", "a"),
    ("ldap*", "w"),
    // Of docker, podman, helm and others.
    ("login", "p"),
    ("mariadb*", "p"),
    ("mongo*", "p"),
    ("mosquitto*", "P"),
    ("mycli", "p"),
    ("mysql*", "p"),
    ("nodetool", "p"),
    ("osql", "P"),
    ("rabbitmqadmin", "p"),
    ("redis-cli", "a"),
    ("snmp*", "AXc"),
    ("sqlcmd", "P"),
    ("sshpass", "p"),
    ("tsql", "P"),
    ("unzip", "P"),
    ("valkey-cli", "a"),
    ("xh", "a"),
    ("xhs", "a"),
    ("zip", "P"),
];

/// Commands that are followed by a user and a password (`rabbitmqctl`).
const OF_USERS: &[&str] = &["authenticate_user", "add_user", "change_password"];

const QUOTES: [char; 3] = ['"', '\'', '\\'];

pub(super) fn scan(text: &str, spans: &mut Spans) {
    // A client may be called by another program (`docker exec db redis-cli`, `sh -c "redis-cli …"`), so each
    // word can be the name of one. An option counts if any of them takes it.
    let mut letters: Vec<u8> = Vec::new();
    let (mut before, mut has_login, mut has_sqlplus) = ("", false, false);
    // How many words follow a command of `OF_USERS`.
    let mut after_user = None;
    for Range { start: from, end } in each_word(text) {
        let word = &text[from..end];
        let bare = word.trim_matches(|c| "\"'\\,;()[]".contains(c));
        let place = || argument(text, from, word);
        let option = bare.strip_prefix('-').filter(|rest| !rest.starts_with('-')).unwrap_or_default();
        let option_at = from + word.len() - word.trim_start_matches(|c| "\"'\\,;()[]".contains(c)).len();
        if is_user_option(before) || bare.starts_with("--user=") || bare.starts_with("--proxy-user=") {
            hide_password(text, place(), spans);
        } else if is_secret_option(before, &letters) && !is_short_option(word)
            || is_long_option(before) && !word.starts_with('-') && !words::is_path(&text[place()])
            || is_of_scheme(before, bare)
            || is_password_word(before, word, has_login)
        {
            spans.hide(place());
        } else if option.len() > 1 && option.bytes().next().is_some_and(|letter| letters.contains(&letter)) {
            spans.hide(argument(text, option_at + 2, &text[option_at + 2..end]));
        } else if let Some(at) = user_in(option, letters.contains(&b'b')) {
            hide_password(text, argument(text, option_at + 1 + at, &text[option_at + 1 + at..end]), spans);
        } else if has_sqlplus && let Some(slash) = word.find('/').filter(|at| *at > 0 && option.is_empty()) {
            spans.hide(from + slash + 1..place().end);
        }
        after_user = match after_user {
            _ if OF_USERS.contains(&bare) => Some(0),
            Some(_) if ["|", "||", "&&", ";"].contains(&word) => None,
            Some(count) if !word.starts_with('-') => {
                if count > 0 {
                    spans.hide(place());
                }
                Some(count + 1)
            }
            other => other,
        };
        let name = bare.rsplit(|c| "/:=;|&($`\"'".contains(c)).next().unwrap_or_default();
        has_login |= ["machine", "login"].contains(&name);
        has_sqlplus |= name == "sqlplus";
        for (client, options) in CLIENTS {
            let is_client = client.strip_suffix('*').map_or(name == *client, |begin| name.starts_with(begin));
            if is_client {
                letters
                    .extend(options.bytes().filter(|letter| !letters.contains(letter)).collect::<Vec<_>>());
            }
        }
        before = bare;
    }
}

/// Returns the words of a text. A comma next to a quote also separates them, as in `["redis-cli","-a"]`.
fn each_word(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let is_quote = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|it| b"\"'".contains(it));
    let divides = move |at: usize| {
        bytes[at].is_ascii_whitespace()
            || bytes[at] == b',' && is_quote(at.checked_sub(1)) && is_quote(Some(at + 1))
    };
    let mut start = 0;
    std::iter::from_fn(move || {
        while start < bytes.len() && divides(start) {
            start += 1;
        }
        let end = (start..bytes.len()).find(|at| divides(*at)).unwrap_or(bytes.len());
        let word = start..end;
        start = end;
        (!word.is_empty()).then_some(word)
    })
}

/// Returns the range of the argument that begins with this word, without its quotes. A quoted argument
/// ends at its closing quote, whatever it contains.
fn argument(text: &str, from: usize, word: &str) -> Range<usize> {
    let bytes = text.as_bytes();
    let start = from + word.len() - word.trim_start_matches(QUOTES).len();
    let closing = |open: usize, quote: u8| {
        let closed = open + memchr::memchr(quote, &bytes[open..])?;
        let escapes = bytes[open..closed].iter().rev().take_while(|byte| **byte == b'\\').count();
        // `'two words'x` is one argument.
        let more = words::run(&bytes[closed + 1..], |byte| byte.is_ascii_alphanumeric());
        Some(if more > 0 { closed + 1 + more } else { closed - escapes })
    };
    let opened = word[..start - from].bytes().rfind(|byte| b"\"'".contains(byte));
    if let Some(end) = opened.and_then(|quote| closing(start, quote)) {
        return start..end;
    }
    let end = from + word.trim_end_matches(|c| QUOTES.contains(&c) || "])".contains(c)).len();
    // A quote in the middle of a word: `two' 'words`.
    let inside = &bytes[start.min(end)..end];
    let quote = inside.iter().copied().find(|byte| b"\"'".contains(byte));
    let open = quote.filter(|quote| memchr::memchr_iter(*quote, inside).count() % 2 == 1);
    let end = open.and_then(|quote| closing(end, quote)).unwrap_or(end);
    start..end.max(start)
}

/// Hides what follows the user in `user:password`; of Samba `user%password`, of lftp `user,password`.
fn hide_password(text: &str, place: Range<usize>, spans: &mut Spans) {
    if let Some(mark) = text[place.clone()].find([':', '%', ',']) {
        spans.hide(place.start + mark + 1..place.end);
    }
}

/// Returns whether `user:password` follows: `-u`, `--user`, or several letters that end in `u`.
fn is_user_option(word: &str) -> bool {
    let is_cluster = |rest: &str| {
        rest.len() <= 8 && rest.ends_with(['u', 'U']) && rest.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    ["--user", "--proxy-user"].contains(&word) || word.strip_prefix('-').is_some_and(is_cluster)
}

/// Returns where `user:password` begins in an option without its dash: `uUSER:PASSWORD`, and for curl
/// `fsuUSER:PASSWORD`.
fn user_in(option: &str, is_curl: bool) -> Option<usize> {
    let at = option.find(['u', 'U'])?;
    let is_cluster = is_curl && option[..at].bytes().all(|byte| byte.is_ascii_alphabetic());
    (at == 0 || is_cluster).then_some(at + 1)
}

/// Returns whether the word is one of the options of the clients, or several letters that end in one.
fn is_secret_option(word: &str, letters: &[u8]) -> bool {
    let [b'-', flags @ .., last] = word.as_bytes() else { return false };
    letters.contains(last) && flags.len() <= 4 && flags.iter().all(u8::is_ascii_alphabetic)
}

fn is_short_option(word: &str) -> bool {
    word.len() == 2 && word.starts_with('-')
}

/// Returns whether a word is an option such as `--token` or `-password`, before its value.
fn is_long_option(word: &str) -> bool {
    let name = word.trim_start_matches('-');
    name.len() < word.len() && name.len() > 1 && !name.contains('=') && is_secret_parameter(name)
}

/// Returns whether a word is HTTP credentials after the name of their scheme.
fn is_of_scheme(scheme: &str, word: &str) -> bool {
    let is_prose = || word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_basic = || scheme.eq_ignore_ascii_case("basic") && !is_prose();
    word.len() >= 8 && (scheme.eq_ignore_ascii_case("bearer") || is_basic())
}

/// Returns whether a word is a password after its keyword, as in a netrc file (`login u password x`), in SQL
/// (`PASSWORD 'x'`, `IDENTIFIED BY 'x'`) or in Redis (`AUTH x`).
fn is_password_word(keyword: &str, word: &str, has_login: bool) -> bool {
    let is_quoted = word.starts_with(['\'', '"', '\\']);
    match keyword.to_ascii_uppercase().as_str() {
        "PASSWORD" => is_quoted || has_login,
        "BY" => is_quoted,
        _ => keyword == "AUTH",
    }
}

//! Secrets inside values: runs all scanners; private keys, and arguments of commands.

use std::ops::Range;

use super::names::is_secret_parameter;
use super::spans::Spans;
use super::{pairs, urls, words};

/// Finds everything that [`super::mask_text`] masks.
pub(super) fn scan(text: &str, spans: &mut Spans) {
    private_keys(text, spans);
    urls::scan(text, spans);
    pairs::scan(text, spans);
    arguments(text, spans);
    words::scan(text, spans);
}

/// Returns whether a value is one that is never a secret.
pub(super) fn says_nothing(value: &str) -> bool {
    ["", "true", "false", "null"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// PEM and PGP: everything up to the line that ends the block, or to the end of the text.
fn private_keys(text: &str, spans: &mut Spans) {
    const NAME: &str = "PRIVATE KEY";
    let mut from = 0;
    while let Some(found) = text[from..].find(NAME) {
        let name = from + found;
        let start = text[from..name].rfind("-----BEGIN").map(|begin| from + begin);
        let rest = &text[name + NAME.len()..];
        let ends = rest.strip_prefix(" BLOCK").unwrap_or(rest).starts_with("-----");
        from = name + NAME.len();
        if start.is_some() || ends {
            from = rest.find("-----END").map_or(text.len(), |end| {
                let end = from + end + "-----END".len();
                text[end..].find("-----").map_or(text.len(), |dashes| end + dashes + 5)
            });
            spans.hide(start.unwrap_or(name)..from);
        }
    }
}

/// Options of commands that take a secret as their next word, by program.
const ARGUMENTS: &[(&str, &str)] = &[
    ("redis-cli", "-a"),
    ("valkey-cli", "-a"),
    ("sshpass", "-p"),
    ("mongo", "-p"),
    ("mongosh", "-p"),
    ("rabbitmqadmin", "-p"),
];

/// Programs that take a password directly after `-p`.
const MYSQL: &[&str] = &["mysql", "mysqladmin", "mysqldump", "mariadb", "mariadb-admin"];

const QUOTES: [char; 3] = ['"', '\'', '\\'];

/// `curl -u user:password`, `--token x`, `Bearer x`, `mysql -px`.
fn arguments(text: &str, spans: &mut Spans) {
    let (mut before, mut program, mut start) = ("", "", 0);
    for word in text.split(|c: char| c.is_ascii_whitespace()) {
        let from = start;
        start += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        let bare = word.trim_matches(['"', '\'', '\\', ',', ';', '(', ')']);
        let name = program.rsplit('/').next().unwrap_or_default();
        let place = argument(text, from, word);
        if ["-u", "-U", "--user", "--proxy-user"].contains(&before) {
            if let Some(colon) = text[place.clone()].find(':') {
                spans.hide(place.start + colon + 1..place.end);
            }
        } else if MYSQL.contains(&name) && word.len() > 2 && word.starts_with("-p") {
            spans.hide(argument(text, from + 2, &word[2..]));
        } else if is_option(before) && !word.starts_with('-') && !words::is_path(&text[place.clone()])
            || ARGUMENTS.contains(&(name, before))
            || is_of_scheme(before, bare)
        {
            spans.hide(place);
        }
        // The program is the first word that is not an assignment; each `|`, `;` or `&&` starts another.
        if program.is_empty() && !word.contains('=') && !["exec", "sudo", "env", "time"].contains(&bare) {
            program = bare.strip_prefix("cmd:").unwrap_or(bare);
        }
        if ["|", "||", "&&", ";"].contains(&word) || word.ends_with(';') {
            program = "";
        }
        before = bare;
    }
}

/// Returns the range of the argument that begins with this word, without its quotes. A quoted argument
/// ends at its closing quote, whatever it contains.
fn argument(text: &str, from: usize, word: &str) -> Range<usize> {
    let start = from + word.len() - word.trim_start_matches(QUOTES).len();
    let quote = word.as_bytes().first().filter(|byte| b"\"'".contains(byte));
    let end =
        quote.and_then(|quote| memchr::memchr(*quote, &text.as_bytes()[start..])).map(|end| start + end);
    start..end.unwrap_or(from + word.trim_end_matches(QUOTES).len()).max(start)
}

/// Returns whether a word is an option such as `--token`, before its value.
fn is_option(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| !name.contains('=') && is_secret_parameter(name))
}

/// Returns whether a word is HTTP credentials after the name of their scheme.
fn is_of_scheme(scheme: &str, word: &str) -> bool {
    let is_prose = || word.bytes().all(|byte| byte.is_ascii_lowercase());
    let is_basic = || scheme.eq_ignore_ascii_case("basic") && !is_prose();
    word.len() >= 8 && (scheme.eq_ignore_ascii_case("bearer") || is_basic())
}

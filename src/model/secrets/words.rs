//! Words that look like secrets: known prefixes, and random characters.

use std::ops::Range;

use super::spans::Spans;

/// Prefixes of tokens of known services, and how many characters must follow at least.
const PREFIXES: &[(&str, usize)] = &[
    // Payment.
    ("sk_test_", 1),
    ("sk_live_", 1),
    ("rk_test_", 1),
    ("rk_live_", 1),
    ("whsec_", 1),
    ("rzp_live_", 1),
    ("rzp_test_", 1),
    ("sq0atp-", 1),
    ("sq0csp-", 1),
    // Code and packages.
    ("ghp_", 1),
    ("gho_", 1),
    ("ghs_", 1),
    ("ghu_", 1),
    ("ghr_", 1),
    ("github_pat_", 1),
    ("glpat-", 1),
    ("gldt-", 1),
    ("glrt-", 1),
    ("glptt-", 1),
    ("npm_", 6),
    ("pypi-Ag", 1),
    ("dckr_pat_", 1),
    ("ATATT3x", 1),
    // Clouds.
    ("AKIA", 8),
    ("ASIA", 8),
    ("AIza", 8),
    ("GOCSPX-", 1),
    ("ya29.", 1),
    ("hvs.", 1),
    ("hvb.", 1),
    ("dop_v1_", 1),
    ("doo_v1_", 1),
    ("dapi", 32),
    ("sbp_", 1),
    ("fo1_", 8),
    ("fm1r_", 8),
    ("fm2_", 8),
    ("pscale_pw_", 1),
    ("pscale_tkn_", 1),
    ("pscale_oauth_", 1),
    ("dp.st.", 4),
    ("dp.pt.", 4),
    ("dp.ct.", 4),
    ("dp.sa.", 4),
    ("tskey-", 4),
    ("nvapi-", 8),
    ("pul-", 32),
    // Chat and mail.
    ("xoxa-", 1),
    ("xoxb-", 1),
    ("xoxp-", 1),
    ("xoxr-", 1),
    ("xoxs-", 1),
    ("xoxe-", 1),
    ("xapp-", 1),
    ("EAAC", 8),
    ("SK", 32),
    // Others.
    ("shpat_", 1),
    ("shpss_", 1),
    ("shpca_", 1),
    ("shppa_", 1),
    ("lin_api_", 1),
    ("phx_", 8),
    ("xkeysib-", 8),
    ("PMAK-", 8),
    ("NRAK-", 8),
    ("CCIPAT_", 1),
    ("bkua_", 8),
    ("lsv2_", 8),
    ("ATBB", 16),
    ("ATCTT3x", 1),
    ("rubygems_", 16),
    ("glc_", 16),
    ("figd_", 1),
    ("hf_", 8),
    ("r8_", 8),
    ("gsk_", 8),
    ("glsa_", 8),
    ("sntrys_", 1),
    ("sntryu_", 1),
    ("ntn_", 8),
    ("secret_", 16),
    ("sk-", 12),
    ("AGE-SECRET-KEY-1", 1),
    // JSON in base64, as a JWT; a PEM file in base64.
    ("eyJ", 6),
    ("LS0tLS1CRUdJTi", 1),
];

/// Prefixes of password hashes (crypt(5)).
const HASHES: &[&str] = &["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$y$", "$argon2", "pbkdf2_sha256$"];

/// Directories at the root of a file system: text that begins with one is a path.
const ROOTS: &[&str] = &[
    "Applications",
    "Library",
    "Users",
    "Volumes",
    "app",
    "bin",
    "boot",
    "builds",
    "cache",
    "code",
    "config",
    "data",
    "dev",
    "etc",
    "github",
    "home",
    "lib",
    "lib64",
    "media",
    "mnt",
    "nix",
    "opt",
    "private",
    "proc",
    "root",
    "run",
    "sbin",
    "secrets",
    "snap",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
    "work",
    "workspace",
    "workspaces",
];

/// Masks words that are known or random.
pub(super) fn scan(text: &str, spans: &mut Spans) {
    let bytes = text.as_bytes();
    let (mut at, mut behind_host) = (0, false);
    while at < bytes.len() {
        let (host, limit) = spans.harmless_from(at, bytes.len());
        if host || !is_word(bytes[at]) {
            (at, behind_host) = (if host { limit } else { at + 1 }, host);
            continue;
        }
        let word = run(&bytes[at..limit], is_word);
        let is_name = at.checked_sub(1).is_some_and(|before| bytes[before] == b'.');
        if !behind_host && !is_name && is_path(&text[at..at + word]) {
            // Its directories may be named after hashes, as in a package store.
            at += run(&bytes[at..limit], |byte| is_word(byte) || byte == b'.');
            continue;
        }
        let in_url = std::mem::take(&mut behind_host);
        // Padding of base64; before any other `=` there is a name.
        let padding = run(&bytes[at + word..limit], |byte| byte == b'=').min(2);
        let is_padded = !bytes.get(at + word + padding).is_some_and(|byte| is_word(*byte));
        let end = at + word + if is_padded { padding } else { 0 };
        at = hide_word(text, at..end, in_url || bytes[at..end].starts_with(b"//"), spans).max(end);
    }
}

/// Masks the word, or the parts of it that are secrets. Returns where to continue.
fn hide_word(text: &str, span: Range<usize>, in_url: bool, spans: &mut Spans) -> usize {
    let (bytes, whole) = (text.as_bytes(), &text[span.clone()]);
    if HASHES.iter().any(|hash| whole.starts_with(hash)) {
        // Their parameters contain commas and `=`.
        let end = span.start
            + run(&bytes[span.start..], |byte| !byte.is_ascii_whitespace() && !b"\"'`".contains(&byte));
        spans.hide(span.start..end);
        return end;
    }
    let mut start = span.start;
    for part in whole.split('/') {
        if is_known(&text[start..]) {
            // As much of it as possible: some contain dots and slashes.
            let end = start + run(&bytes[start..], |byte| is_word(byte) || byte == b'.' || byte == b'=');
            spans.hide(if in_url { start } else { span.start }..end);
            return end;
        }
        start += part.len() + 1;
    }
    // In the path of a URL, slashes separate words.
    if whole.contains('/') && !in_url && is_random_base64(whole) {
        spans.hide(span);
        return 0;
    }
    let dotted = |byte: u8| is_word(byte) && byte != b'/' || byte == b'.';
    let (mut start, mut last) = (span.start, 0);
    for part in whole.split('/') {
        let end = start + part.len();
        if is_random(part) && !is_digest(text, start) && !is_host(text, &(start..end)) {
            // Further parts of a token with dots belong to it.
            let before = bytes[..start].iter().rev().take_while(|byte| dotted(**byte)).count();
            let behind = end + run(&bytes[end..], dotted);
            spans.hide(start - before..behind);
            last = behind;
        }
        start = end + 1;
    }
    last
}

/// Returns whether a token of a known kind begins here.
fn is_known(text: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$=+".contains(&byte);
    let begins = |(prefix, least): &(&str, usize)| {
        text.strip_prefix(prefix).is_some_and(|rest| run(rest.as_bytes(), in_token) >= *least)
    };
    // SendGrid: `SG.`, then two parts with a dot between them.
    let of_sendgrid = || {
        let mut parts = text.strip_prefix("SG.")?.split('.');
        let first = parts.next()?;
        let is_part = |part: &str| run(part.as_bytes(), |byte| byte != b'/' && is_word(byte)) > 0;
        let is_id = !first.is_empty() && first.bytes().all(|byte| byte != b'/' && is_word(byte));
        Some(is_id && parts.next().is_some_and(is_part))
    };
    PREFIXES.iter().any(begins) || of_sendgrid() == Some(true)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-+/$".contains(&byte)
}

/// Returns how many bytes at the beginning match.
pub(super) fn run(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !is(*byte)).unwrap_or(bytes.len())
}

/// Returns whether a word that mixes letters and digits is long and has no readable parts.
pub(super) fn is_random(word: &str) -> bool {
    let word = word.trim_end_matches('=');
    if word.len() < 20 || is_uuid(word) || is_readable(word) {
        return false;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    digits >= 3 && letters >= 3 || word.len() >= 32 && is_hex(word) || letters >= 3 && is_mixed(word)
}

/// Returns whether a word is random base64 with `/` in it, which paths have too.
fn is_random_base64(word: &str) -> bool {
    let text = word.trim_end_matches('=');
    let is_padded = text.len() < word.len() && word.len().is_multiple_of(4);
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    word.len() >= 20 && (is_mixed(text) || is_padded && has_digit)
}

/// Returns whether capitals, small letters and digits are mixed as in no word, not even `camelCase`.
fn is_mixed(word: &str) -> bool {
    let class = |byte: &u8| match byte {
        b'A'..=b'Z' => 1,
        b'a'..=b'z' => 2,
        b'0'..=b'9' => 3,
        _ => 0,
    };
    let classes: Vec<i32> = word.as_bytes().iter().map(class).filter(|class| *class > 0).collect();
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    classes.contains(&1) && classes.contains(&2) && changes * 7 >= classes.len() * 2
}

/// Returns whether it has several parts with `-` or `_` between them, each a plain word, a number, or a
/// word with a short number.
fn is_readable(word: &str) -> bool {
    let is_plain = |part: &str| {
        let letters = part.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = part.len() - letters.len();
        let is_one_word = letters.len() <= 14
            && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (letters.bytes().skip(1).all(|byte| byte.is_ascii_lowercase())
                || letters.bytes().all(|byte| byte.is_ascii_uppercase()));
        is_one_word && digits <= if letters.is_empty() { 8 } else { 3 }
    };
    word.contains(['-', '_']) && word.split(['-', '_']).all(is_plain)
}

pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_uuid(word: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = word.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| part.len() == length && is_hex(part))
}

/// Returns whether the hash of something public begins here, as of an image (`sha256:`, `sha512-`), or
/// a D-Bus address GUID.
fn is_digest(text: &str, start: usize) -> bool {
    let is = |text: &str| ["sha1", "sha256", "sha384", "sha512"].iter().any(|name| text.ends_with(name));
    text[..start].ends_with("guid=")
        || text[..start].strip_suffix(':').is_some_and(is)
        || ["sha256-", "sha384-", "sha512-"].iter().any(|name| text[start..].starts_with(name))
}

/// Returns whether the word is part of a host name, as in `db.c1a2b3c4d5e6.eu-west-1.rds.amazonaws.com`.
fn is_host(text: &str, span: &Range<usize>) -> bool {
    let bytes = text.as_bytes();
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let before = bytes[..span.start].iter().rev().take_while(|byte| in_host(**byte)).count();
    let start = span.start - before;
    let host = &text[start..start + run(&bytes[start..], in_host)];
    let Some((_, top)) = host.rsplit_once('.') else { return false };
    let is_top = top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_lowercase());
    is_top && start + host.len() >= span.end && !host.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Returns whether it is a file path: it begins with a directory at the root of file systems,
/// or is relative, and contains nothing that base64 has and paths do not.
pub(super) fn is_path(text: &str) -> bool {
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:,".contains(&byte);
    let relative = ["~/", "./", "../"].iter().find_map(|begin| text.strip_prefix(begin));
    let from_root = || {
        let mut parts = text.strip_prefix('/')?.trim_start_matches('/').split('/');
        Some(ROOTS.contains(&parts.next()?) && parts.next().is_some_and(|part| !part.is_empty()))
    };
    let is_long = |rest: &str| !rest.is_empty();
    relative.map_or_else(|| from_root() == Some(true), is_long)
        && relative.unwrap_or(text).bytes().all(in_path)
}

//! Secrets in URLs: credentials, and the paths of webhooks.

use std::ops::Range;

use super::spans::Spans;
use super::words::{self, run};

/// A URL in a text.
struct Url {
    /// Where its scheme begins.
    start: usize,
    /// After `://`.
    authority: usize,
    /// Where the next one begins, or the text ends. A password may contain spaces.
    limit: usize,
    /// Where it ends if it contains no spaces.
    end: usize,
}

fn each_url(text: &str, mut each: impl FnMut(&Url)) {
    let bytes = text.as_bytes();
    let in_scheme = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+.-".contains(byte);
    let mut starts: Vec<(usize, usize)> = Vec::new();
    for (at, _) in text.match_indices("://") {
        let from = starts.last().map_or(0, |(_, authority)| *authority);
        let start = at - bytes[from.min(at)..at].iter().rev().take_while(in_scheme).count();
        // Without a separator, it is part of the password or path of the one before.
        let divides = |byte: u8| byte.is_ascii_whitespace() || b",;|=\"'`([{<>&?".contains(&byte);
        if starts.is_empty() || start.checked_sub(1).is_some_and(|before| divides(bytes[before])) {
            starts.push((start, at + 3));
        }
    }
    for (place, (start, authority)) in starts.iter().copied().enumerate() {
        let next = starts.get(place + 1).map_or(text.len(), |next| next.0);
        let quote = start.checked_sub(1).map(|before| bytes[before]).filter(|byte| b"\"'`".contains(byte));
        let ends = |byte: &u8| *byte == b'\n' || Some(*byte) == quote;
        let limit = bytes[authority..next].iter().position(ends).map_or(next, |at| authority + at);
        let end = authority + run(&bytes[authority..limit], |byte| !byte.is_ascii_whitespace());
        each(&Url { start, authority, limit, end });
    }
}

/// Masks credentials and webhooks, and marks where hosts are.
pub(super) fn scan(text: &str, spans: &mut Spans) {
    each_url(text, |url| {
        let host = credentials(text, url, spans);
        let ends = |byte: u8| byte.is_ascii_whitespace() || b"/?#\"'<>`;\\".contains(&byte);
        let host = host..host + run(&text.as_bytes()[host..url.limit], |byte| !ends(byte));
        webhook(text, url, &host, spans);
        spans.allow(host);
    });
    without_scheme(text, spans);
}

/// Masks the credentials of a URL. Returns where its host begins.
///
/// A password may contain an unescaped `@`, `/`, `#` or space, so everything up to the last `@` belongs
/// to it; but in `http://localhost:5173/@vite/client` that is a port.
fn credentials(text: &str, url: &Url, spans: &mut Spans) -> usize {
    let start = url.authority;
    let (near, far) = (&text[start..url.end], &text[start..url.limit]);
    let authority = &near[..run(near.as_bytes(), |byte| !b"/?#".contains(&byte))];
    let Some(first_at) = far.find('@') else { return start };
    let scheme = &text[url.start..start - 3];
    let is_web = ["http", "https", "ws", "wss"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    // On the web, a user without a password is often a token; a short plain word is a name.
    let is_name = |user: &str| user.len() <= 8 && user.bytes().all(|byte| byte.is_ascii_lowercase());
    let user_alone = |spans: &mut Spans| match authority.rfind('@') {
        Some(at) => {
            if is_token(&authority[..at]) || is_web && !is_name(&authority[..at]) {
                spans.hide(start..start + at);
            }
            start + at + 1
        }
        None => start,
    };
    let Some(colon) = far.find(':').filter(|_| !authority.starts_with('[')) else { return user_alone(spans) };
    if colon >= authority.len() {
        // After the host.
        if colon < near.len() || far.rfind('@') < Some(colon) || authority.contains('@') {
            return user_alone(spans);
        }
    }
    let port = authority.get(colon + 1..).unwrap_or_default();
    let is_port = !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port && (is_web || colon > first_at) {
        return user_alone(spans);
    }
    let last = |text: &str| text.rfind('@').filter(|at| *at > colon);
    let Some(at) = last(near).or_else(|| last(far)) else { return user_alone(spans) };
    let (user, password) = (&far[..colon], &far[colon + 1..at]);
    // Some services take the token as the user name.
    if is_token(user) || is_web && ["", "x-oauth-basic"].contains(&password) {
        spans.hide(start..start + colon);
    }
    spans.hide(start + colon + 1..start + at);
    start + at + 1
}

/// Returns whether a user without a password is a token rather than a name.
fn is_token(user: &str) -> bool {
    let has_digit = user.bytes().any(|byte| byte.is_ascii_digit());
    let is_joined = !user.contains(['-', '_', '.']);
    let mut alone = Spans::default();
    words::scan(user, &mut alone);
    alone.mask(user).is_some()
        || user.len() >= 16 && has_digit
        || user.len() >= 20 && is_joined && user.bytes().any(|byte| byte.is_ascii_uppercase())
        || user.len() >= 32 && is_joined
}

/// Services where knowing the URL is enough to write: how the host ends, and where in
/// the path the secret begins.
const WEBHOOKS: &[(&str, &str)] = &[
    ("hooks.slack.com", "/services/"),
    ("hooks.slack.com", "/workflows/"),
    ("hooks.slack.com", "/triggers/"),
    ("hooks.slack-gov.com", "/services/"),
    // There may be a version before it: `/api/v10/webhooks/`.
    ("discord.com", "/webhooks/"),
    ("discordapp.com", "/webhooks/"),
    ("outlook.office.com", "/webhook/"),
    ("outlook.office365.com", "/webhook/"),
    ("webhook.office.com", "/"),
    ("logic.azure.com", "/workflows/"),
    ("hooks.zapier.com", "/hooks/"),
    ("api.telegram.org", "/bot"),
    ("maker.ifttt.com", "/"),
    ("webhook.site", "/"),
    ("chat.googleapis.com", "/v1/spaces/"),
    ("hooks.airtable.com", "/"),
    ("mattermost.com", "/hooks/"),
    // Monitors of scheduled jobs.
    ("hc-ping.com", "/"),
    ("nosnch.in", "/"),
    ("cronitor.link", "/"),
    ("heartbeat.uptimerobot.com", "/"),
    ("uptime.betterstack.com", "/heartbeat/"),
    ("events.pagerduty.com", "/integration/"),
];

fn webhook(text: &str, url: &Url, host: &Range<usize>, spans: &mut Spans) {
    let length = run(&text.as_bytes()[host.end..url.limit], |byte| !byte.is_ascii_whitespace());
    if let Some(secret) = webhook_path(&text[host.clone()], &text[host.end..host.end + length]) {
        spans.hide(host.end + secret..host.end + length);
    }
}

/// Returns where in the path the secret begins, if the host is that of a webhook.
fn webhook_path(host: &str, path: &str) -> Option<usize> {
    let name = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let is_host =
        |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let found = |(end, marker): &(&str, &str)| {
        is_host(end).then(|| path.find(marker).map(|found| found + marker.len())).flatten()
    };
    WEBHOOKS.iter().filter_map(found).min()
}

/// Masks the part after the host of each URL, or all of a value that is not a URL.
pub(super) fn hide_paths(value: &str, spans: &mut Spans) {
    let mut any = false;
    each_url(value, |url| {
        any = true;
        let host = credentials(value, url, spans);
        let length = run(&value.as_bytes()[host..url.limit], |byte| {
            !b"/?#".contains(&byte) && !byte.is_ascii_whitespace()
        });
        let path = host + length;
        let slash = value[path..url.limit].starts_with('/');
        spans.hide(path + usize::from(slash)..url.limit);
    });
    if !any {
        spans.hide(0..value.len());
    }
}

/// Masks `user:password@host:port`, `user:password@tcp(host)/db` as in Go, Oracle's
/// `thin:user/password@host` and `user/password@host:port`, webhooks, and lines of `.pgpass`.
fn without_scheme(text: &str, spans: &mut Spans) {
    let bytes = text.as_bytes();
    let mut start = 0;
    for word in text.split(|c: char| c.is_ascii_whitespace() || "\"'`,;<>".contains(c)) {
        let from = start;
        start += word.len() + 1;
        let name = word
            .rfind('=')
            .filter(|at| word[*at..].contains('@') && !word[..*at].contains(':'))
            .map_or(0, |at| at + 1);
        let (from, word) = (from + name, &word[name..]);
        if word.contains("://") {
            continue;
        }
        let slash = word.find('/');
        if let Some(slash) = slash
            && let Some(secret) = webhook_path(&word[..slash], &word[slash..])
        {
            spans.hide(from + slash + secret..from + word.len());
        }
        if let Some(password) = pgpass(word) {
            spans.hide(from + password..from + word.len());
        }
        let Some(at) = word.rfind('@') else { continue };
        if let Some(thin) = word.find("oracle:").filter(|thin| thin + 7 < at) {
            let user = word[thin + 7..at].rfind(':').map_or(thin + 7, |colon| thin + 8 + colon);
            if let Some(slash) = word[user..at].find('/') {
                spans.hide(from + user + slash + 1..from + at);
            }
            continue;
        }
        if let Some(slash) = slash.filter(|slash| *slash > 0 && *slash < at)
            && is_oracle(&word[..slash], &word[at + 1..])
        {
            spans.hide(from + slash + 1..from + at);
            continue;
        }
        let Some(colon) = word[..at].find(':').filter(|colon| colon + 1 < at) else { continue };
        let in_user = |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte);
        let host = &bytes[from + at + 1..from + word.len()];
        let length = run(host, |byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        let ends = match host.get(length) {
            Some(b'(' | b'/') => true,
            Some(b':') => host.get(length + 1).is_some_and(u8::is_ascii_digit),
            _ => false,
        };
        let is_digest = host.starts_with(b"sha256:") || host.starts_with(b"sha512:");
        let is_pair = run(&bytes[from..from + colon], in_user) == colon && length > 0 && ends;
        if is_pair && !is_digest {
            spans.hide(from + colon + 1..from + at);
        }
    }
}

/// Returns whether it is the user and the host of `user/password@host:port` or `user/password@//host`.
fn is_oracle(user: &str, host: &str) -> bool {
    let is_user = user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_$#".contains(&byte));
    let has_port = || {
        let (name, port) = host.split_once(':')?;
        let is_digest = name.starts_with("sha") && port.len() >= 32;
        Some(!name.is_empty() && !is_digest && port.starts_with(|c: char| c.is_ascii_digit()))
    };
    is_user && (host.starts_with("//") || has_port() == Some(true))
}

/// Returns where the password begins in `host:port:database:user:password`.
fn pgpass(word: &str) -> Option<usize> {
    let mut parts = word.splitn(5, ':');
    let (host, port, database) = (parts.next()?, parts.next()?, parts.next()?);
    let (user, password) = (parts.next()?, parts.next()?);
    let is_port =
        port == "*" || (2..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = |name: &str| name == "*" || name.contains(|c: char| c.is_ascii_alphabetic());
    // Not an address of Ethernet or of IPv6.
    let is_address = word.split(':').all(|part| part.len() <= 4 && words::is_hex(part));
    let is_entry = is_port && [host, database, user].into_iter().all(is_name) && !is_address;
    (is_entry && !password.is_empty()).then(|| word.len() - password.len())
}

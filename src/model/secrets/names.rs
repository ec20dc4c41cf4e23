//! Names of variables and parameters that mark the value as a secret.
//!
//! A name is split into words at everything that is not a letter and at the humps of camelCase. A word,
//! or its plural, decides. The end of a word does not, or MONKEY would be a key and COMPASS a
//! password; compounds that people do write in one word are composed from [`PARTS`].

/// What a name says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is a secret.
    Secret,
    /// It is a secret, unless it is a number or a short word.
    Setting,
    /// It is a secret, unless it is a plain name, as of a column.
    Identifier,
    /// It is a URL that contains a secret.
    Address,
    /// It is the hash of a commit or of a file, or another public number.
    Commit,
    /// Nothing.
    Plain,
}

/// Words that make the value a secret.
const SECRET: &[&str] = &[
    "APIKEY",
    "AUTH",
    "AUTHENTICATION",
    "AUTHORIZATION",
    "BEARER",
    "CERT",
    "CONTRASENA",
    "CONTRASEÑA",
    "COOKIE",
    "CRED",
    "CREDENTIAL",
    "ENCRYPTION",
    "HMAC",
    "JSESSIONID",
    "JWT",
    "KENNWORT",
    "KEY",
    "LICENCE",
    "LICENSE",
    "LOGIN",
    "MDP",
    "MNEMONIC",
    "NONCE",
    "OAUTH",
    "OTP",
    "PASS",
    "PASSCODE",
    "PASSE",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORT",
    "PASSWRD",
    "PASWORD",
    "PAT",
    "PEM",
    "PEPPER",
    "PFX",
    "PHPSESSID",
    "PHRASE",
    "PIN",
    "PRIV",
    "PRIVATE",
    "PSW",
    "PSWD",
    "PW",
    "PWD",
    "SALT",
    "SAS",
    "SECRET",
    "SEED",
    "SENHA",
    "SESSID",
    "SIGNATURE",
    "TOKEN",
    "TOTP",
    "WACHTWOORD",
];

/// Words for a URL that contains a secret.
const ADDRESS: &[&str] = &["DSN", "WEBHOOK"];

/// Words that make the value a secret only at the end of the name: not `HEADER_COLOR`, `SESSION_STORE`.
const SECRET_AT_END: &[&str] = &["HEADER", "SESSION"];

/// Last two words that together mean a secret.
const PAIRS: &[(&str, &str)] = &[
    ("ACCESS", "CODE"),
    ("ACTIVATION", "CODE"),
    ("BACKUP", "CODE"),
    ("INVITE", "CODE"),
    ("PAIRING", "CODE"),
    ("RECOVERY", "CODE"),
    ("SECURITY", "CODE"),
    ("SERVICE", "ROLE"),
    ("VERIFICATION", "CODE"),
];

/// Pairs of words that mean something else: neither word makes the value a secret.
const OTHER: &[(&str, &str)] = &[
    ("DESKTOP", "SESSION"),
    ("PASS", "RATE"),
    ("PASS", "THROUGH"),
    ("PRIVATE", "CIDR"),
    ("PRIVATE", "NETWORK"),
    ("PRIVATE", "SUBNET"),
    ("SALT", "MASTER"),
    ("SALT", "MINION"),
];

/// Words before HEADERS that make it a list of names.
const OF_HEADERS: &[&str] = &["ALLOW", "ALLOWED", "CORS", "EXPOSE", "EXPOSED"];

/// Words that mean a secret or a setting: `SEED=42`, `MAIL_ENCRYPTION=tls`.
const SETTINGS: &[&str] = &["ENCRYPTION", "LICENCE", "LICENSE", "LOGIN", "SEED"];

/// Words before KEY that mean the name of a column or the like, or a secret.
const IDENTIFIERS: &[&str] = &["FEATURE", "FOREIGN", "PARTITION", "PRIMARY", "SORT"];

/// Endings that leave a word a secret: SECRETBASE, PASSWORDHASH.
const SUFFIXES: &[&str] = &["BASE", "HASH", "STRING", "TEXT", "VALUE"];

/// Words of [`ABOUT`] that name another thing. After `PASSWORD` its value is still a secret, as in
/// `PASSWORD_USER`, the password of the user.
const THINGS: &[&str] = &[
    "ADDR", "ADDRESS", "DATABASE", "DOMAIN", "HOST", "HOSTNAME", "HOSTS", "IP", "NAME", "NAMES", "PORT",
    "REALM", "REGION", "SOURCE", "USER", "USERNAME",
];

/// Last words that make it harmless: the value describes the word before it and is not the secret itself.
const ABOUT: &[&str] = &[
    "ADDR",
    "ADDRESS",
    "AGE",
    "ALG",
    "ALGORITHM",
    "AUDIENCE",
    "BACKEND",
    "BITS",
    "CLASS",
    "COUNT",
    "DATABASE",
    "DIR",
    "DIRECTORY",
    "DOMAIN",
    "DRIVER",
    "ENABLED",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "FILENAME",
    "HOST",
    "HOSTNAME",
    "HOSTS",
    "IN",
    "IP",
    "ISSUER",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "MECHANISM",
    "METHOD",
    "MODE",
    "NAME",
    "NAMES",
    "PATH",
    "PLUGIN",
    "PORT",
    "PREFIX",
    "PROVIDER",
    "REALM",
    "REGION",
    "REQUIRED",
    "SCHEME",
    "SIZE",
    "SOCK",
    "SOCKET",
    "SOURCE",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "URLS",
    "USER",
    "USERNAME",
    "VERSION",
];

/// Words of names whose values are public hashes.
const COMMIT: &[&str] =
    &["CHECKSUM", "COMMIT", "DIGEST", "GIT", "INVOCATION", "REV", "REVISION", "SHA", "VERSION"];

/// No English word ends in one of these, except the word itself.
const PLAIN_ENDS: &[&str] = &[
    "APIKEY",
    "CREDENTIAL",
    "KENNWORT",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PASSWORT",
    "PASSWRD",
    "SECRET",
    "SECRETKEY",
    "TOKEN",
];

/// Many English words end in one of these, so the part before it must be a known one.
const ENDS: &[&str] = &["AUTH", "CRED", "KEY", "PASS", "PIN", "PW", "PWD"];

/// Parts that are written before one of [`ENDS`] without a `_`, alone or combined.
const PARTS: &[&str] = &[
    "ACCESS",
    "ACCOUNT",
    "ADMIN",
    "AES",
    "ALGOLIA",
    "ANALYTICS",
    "ANON",
    "API",
    "APP",
    "AUTH",
    "AWS",
    "AZURE",
    "BASIC",
    "BIND",
    "BOT",
    "CLIENT",
    "CONSUMER",
    "CRYPT",
    "CRYPTO",
    "DATABASE",
    "DATADOG",
    "DB",
    "DECRYPT",
    "DEPLOY",
    "DEPLOYMENT",
    "ENC",
    "ENCRYPT",
    "ENCRYPTION",
    "ENV",
    "EVENT",
    "FIREBASE",
    "FTP",
    "FUNCTION",
    "GCP",
    "GITHUB",
    "GPG",
    "HASH",
    "HMAC",
    "HONEYCOMB",
    "HTTP",
    "IMAP",
    "INGEST",
    "INSTRUMENTATION",
    "JWT",
    "KEY",
    "LDAP",
    "LICENCE",
    "LICENSE",
    "MAIL",
    "MAILGUN",
    "MAPS",
    "MASTER",
    "MONGO",
    "MQ",
    "MY",
    "OPENAI",
    "PASS",
    "PG",
    "POSTGRES",
    "PRIV",
    "PRIVATE",
    "PROJECT",
    "PROXY",
    "PUBLIC",
    "PUSH",
    "RABBIT",
    "READ",
    "REDIS",
    "ROOT",
    "RSA",
    "SECRET",
    "SECURITY",
    "SEGMENT",
    "SENDER",
    "SENDGRID",
    "SENTRY",
    "SERVER",
    "SERVICE",
    "SESSION",
    "SHARED",
    "SIGN",
    "SIGNING",
    "SITE",
    "SMTP",
    "SQL",
    "SSH",
    "SSL",
    "STORAGE",
    "STORE",
    "STRIPE",
    "SUBSCRIPTION",
    "TLS",
    "TWILIO",
    "USER",
    "VAULT",
    "WEB",
    "WIFI",
    "WRITE",
];

/// Returns what the name says about its value.
pub(super) fn kind(name: &str) -> Kind {
    let words = words(name);
    let has = |list: &[&str]| {
        words.iter().any(|word| list.contains(&word.as_str()) || list.contains(&singular(word)))
    };
    let last = words.last().map_or("", String::as_str);
    if has(ADDRESS) && (!ABOUT.contains(&last) || ["ENDPOINT", "URI", "URL", "URLS"].contains(&last)) {
        return Kind::Address;
    }
    let is_limit = words.iter().any(|word| ["MAX", "MIN", "NUM", "PER"].contains(&word.as_str()));
    match secret_kind(&words) {
        Some(kind) if !is_limit && (is_host_of_gems(name) || !is_about(&words)) => kind,
        None if is_host_of_gems(name) => Kind::Secret,
        _ if has(COMMIT) => Kind::Commit,
        _ => Kind::Plain,
    }
}

/// Returns what the words that mean a secret say, if there are any.
fn secret_kind(words: &[String]) -> Option<Kind> {
    let word = |at: usize| words.get(at).map_or("", |word| singular(word));
    let (mut found, end) = (None, words.len());
    let is_pair = end >= 2 && PAIRS.contains(&(&words[end - 2], word(end - 1)));
    for at in 0..end {
        let before = at.checked_sub(1).map_or("", word);
        let is_other = OTHER.contains(&(word(at), word(at + 1))) || OTHER.contains(&(before, word(at)));
        let is_last = SECRET_AT_END.contains(&word(at))
            && (at + 1 == end || word(at + 1) == "VALUE")
            && !words.iter().any(|word| OF_HEADERS.contains(&word.as_str()));
        match word(at) {
            text if is_other || !is_last && !is_secret(text) => {}
            text if SETTINGS.contains(&text) => found = found.or(Some(Kind::Setting)),
            "KEY" if IDENTIFIERS.contains(&before) => found = found.or(Some(Kind::Identifier)),
            _ => return Some(Kind::Secret),
        }
    }
    if is_pair { Some(Kind::Secret) } else { found }
}

/// Returns whether the last word describes the secret, so that the value is not one.
fn is_about(words: &[String]) -> bool {
    let Some((last, before)) = words.split_last() else { return false };
    if !ABOUT.contains(&last.as_str()) {
        return false;
    }
    // A token's own region is one thing, but the token of another thing is a token.
    let is_token = |word: &&String| ["SECRET", "TOKEN"].iter().any(|end| singular(word).ends_with(end));
    let owner = before.last();
    let is_far = before.iter().any(|word| is_token(&word)) && !owner.is_some_and(|word| is_token(&word));
    !(THINGS.contains(&last.as_str()) && (is_far || before.iter().any(|word| is_password(word))))
}

/// Returns whether a word means a password, and not a method or a service as `AUTH` may.
fn is_password(word: &str) -> bool {
    let word = singular(word);
    let is = |end: &&str| word.ends_with(*end);
    ["PASSPHRASE", "PASSWD", "PASSWORD", "PASSWORT", "PASSWRD"].iter().any(is)
        || ["PASS", "PSW", "PSWD", "PW", "PWD"].contains(&word)
        || is_secret(word) && ["PASS", "PW", "PWD"].iter().any(is)
}

/// Returns whether it is the variable of Bundler with the credentials of a host:
/// `BUNDLE_GEMS__EXAMPLE__COM`.
fn is_host_of_gems(name: &str) -> bool {
    let options = ["BUILD__", "GEM__", "LOCAL__", "MIRROR__", "PATH__"];
    name.strip_prefix("BUNDLE_")
        .is_some_and(|rest| rest.contains("__") && !options.iter().any(|option| rest.starts_with(option)))
}

/// Returns whether the value of a name of this kind is shown although the name says that it is a secret.
pub(super) fn is_harmless(kind: Kind, value: &str) -> bool {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = value.len() <= 5 && value.bytes().all(|byte| byte.is_ascii_alphabetic());
    let in_name = |byte: u8| byte.is_ascii_lowercase() || b"_,".contains(&byte);
    match kind {
        Kind::Setting => is_number || is_short,
        Kind::Identifier => is_number || value.len() <= 24 && value.bytes().all(in_name),
        Kind::Secret => false,
        Kind::Address | Kind::Commit | Kind::Plain => true,
    }
}

/// Returns whether the value of a parameter in a URL, or in a connection string, may be a secret.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    matches!(kind(name), Kind::Secret | Kind::Setting | Kind::Identifier)
        || words(name).iter().any(|word| word == "SIG")
}

fn is_secret(word: &str) -> bool {
    let word = singular(word);
    let before = |ends: &'static [&str]| ends.iter().filter_map(|end| word.strip_suffix(end));
    let is_base =
        |end: &&str| word.strip_suffix(*end).is_some_and(|rest| !rest.is_empty() && is_secret(rest));
    SECRET.contains(&word)
        || SUFFIXES.iter().any(is_base)
        || before(PLAIN_ENDS).next().is_some()
        || before(ENDS).any(|text| is_known(text, 3))
}

/// Returns whether the text is made of [`PARTS`], at most `most` of them.
fn is_known(text: &str, most: usize) -> bool {
    let rest = |part: &&str| text.strip_prefix(*part);
    most > 0 && PARTS.iter().filter_map(rest).any(|rest| rest.is_empty() || is_known(rest, most - 1))
}

/// `KEYS` without its S; PASS is not a plural.
fn singular(word: &str) -> &str {
    match word.strip_suffix('S') {
        Some(stem) if !word.ends_with("PASS") && word != "SAS" => stem,
        _ => word,
    }
}

/// Returns the words of a name in capitals.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let (mut words, mut word) = (Vec::new(), String::new());
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let next = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && (before.is_some_and(char::is_lowercase)
                // The last of several capitals begins a word (`APIKey`), unless a plural's s follows it.
                || next.is_some_and(|it| it.is_lowercase() && (*it != 's' || letters.get(at + 2).is_some_and(|it| it.is_lowercase()))));
        if (begins || !letter.is_alphabetic()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphabetic() {
            word.extend(letter.to_uppercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        let table = [
            ("SECRET_KEY_BASE", "SECRET KEY BASE"),
            ("secretKeyBase", "SECRET KEY BASE"),
            ("APIKey", "API KEY"),
            ("APIKEYs", "APIKEYS"),
            ("key2", "KEY"),
            ("S3KEY.x-y", "S KEY X Y"),
            ("MySQLPwd", "MY SQL PWD"),
            ("_9", ""),
        ];
        for (name, expected) in table {
            assert_eq!(words(name).join(" "), expected, "{name}");
        }
    }

    #[test]
    fn compounds_have_known_parts() {
        for word in ["STRIPEKEY", "MYAPIKEY", "MYAPIKEYS", "DBPW", "PASSKEY", "PGPASSWORD", "MYSQLPWD"] {
            assert!(is_secret(word), "{word}");
        }
        for word in
            ["MONKEY", "TURKEY", "COMPASS", "BYPASS", "ASKPASS", "HOTKEY", "AUTHOR", "PASSENGER", "DONKEYS"]
        {
            assert!(!is_secret(word), "{word}");
        }
    }
}

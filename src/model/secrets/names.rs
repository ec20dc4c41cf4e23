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
    "COOKIE",
    "CRED",
    "CREDENTIAL",
    "ENCRYPTION",
    "HEADER",
    "HMAC",
    "JWT",
    "KEY",
    "LICENCE",
    "LICENSE",
    "LOGIN",
    "MNEMONIC",
    "NONCE",
    "OTP",
    "PASS",
    "PASSCODE",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PAT",
    "PEPPER",
    "PHRASE",
    "PIN",
    "PRIVATE",
    "PSWD",
    "PW",
    "PWD",
    "SALT",
    "SAS",
    "SECRET",
    "SEED",
    "SIGNATURE",
    "TOKEN",
    "TOTP",
];

/// Words for a URL that contains a secret.
const ADDRESS: &[&str] = &["DSN", "WEBHOOK"];

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
const PLAIN_ENDS: &[&str] =
    &["CREDENTIAL", "PASSPHRASE", "PASSWD", "PASSWORD", "SECRET", "TOKEN", "APIKEY", "SECRETKEY"];

/// Many English words end in one of these, so the part before it must be a known one.
const ENDS: &[&str] = &["AUTH", "CRED", "KEY", "PASS", "PIN", "PW", "PWD"];

/// Parts that are written before one of [`ENDS`] without a `_`, alone or combined.
const PARTS: &[&str] = &[
    "ACCESS",
    "ACCOUNT",
    "ADMIN",
    "AES",
    "ANON",
    "API",
    "APP",
    "AUTH",
    "AWS",
    "AZURE",
    "BASIC",
    "BOT",
    "CLIENT",
    "CONSUMER",
    "CRYPTO",
    "DATABASE",
    "DB",
    "DEPLOY",
    "ENC",
    "ENCRYPTION",
    "ENV",
    "FTP",
    "GCP",
    "GITHUB",
    "GPG",
    "HMAC",
    "HTTP",
    "IMAP",
    "JWT",
    "KEY",
    "LDAP",
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
    "PRIVATE",
    "PROXY",
    "PUBLIC",
    "RABBIT",
    "REDIS",
    "ROOT",
    "RSA",
    "SECRET",
    "SENDGRID",
    "SERVER",
    "SERVICE",
    "SESSION",
    "SHARED",
    "SIGN",
    "SIGNING",
    "SMTP",
    "SQL",
    "SSH",
    "SSL",
    "STORAGE",
    "STORE",
    "STRIPE",
    "TLS",
    "TWILIO",
    "USER",
    "VAULT",
    "WEB",
    "WIFI",
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
    if words.iter().any(|word| is_secret(word)) && !ABOUT.contains(&last) && !is_limit {
        return Kind::Secret;
    }
    if has(COMMIT) { Kind::Commit } else { Kind::Plain }
}

/// Returns the same for a parameter in a URL or in a connection string.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    kind(name) == Kind::Secret || words(name).iter().any(|word| word == "SIG")
}

fn is_secret(word: &str) -> bool {
    let word = singular(word);
    let before = |ends: &'static [&str]| ends.iter().filter_map(|end| word.strip_suffix(end));
    SECRET.contains(&word)
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

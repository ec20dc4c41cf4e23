//! Which variables are secrets, and what is shown instead.

use std::ffi::OsStr;

/// What stands for a secret.
const MASK: &str = "********";

/// Words of a name that make its value a secret.
const NAMES: &[&str] = &[
    "SECRET",
    "SECRETS",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "PW",
    "KEY",
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "AUTH",
    "PRIVATE",
    "SALT",
    "JWT",
    "COOKIE",
    "DSN",
    "SIGNATURE",
    "CERT",
    "PIN",
];

/// What is shown instead of a secret; `None` for what is none.
///
/// Names tell most secrets, and some values tell themselves: passwords in URLs, keys, long
/// random words. What ganger sets is never one and not for here.
pub(super) fn mask(key: &OsStr, value: &OsStr) -> Option<String> {
    if value.is_empty() {
        return None;
    }
    let (key, value) = (key.to_string_lossy().to_ascii_uppercase(), value.to_string_lossy());
    if let Some(url) = mask_url(&value) {
        return Some(url);
    }
    let mut words = key.split(['_', '-', '.']);
    let secret_name = words.any(|word| {
        NAMES.contains(&word) || ["PASSWORD", "SECRET", "TOKEN"].iter().any(|end| word.ends_with(end))
    });
    // PWD and OLDPWD are the shell's folders, SSH_AUTH_SOCK a socket's path.
    let named = secret_name && !value.starts_with('/');
    (named || value.contains("PRIVATE KEY-----") || is_random(&value)).then(|| MASK.to_owned())
}

/// `scheme://user:password@host` with the password masked. A password may hold an unescaped
/// `@`, `/` or `#`, so everything up to the last `@` belongs to it.
fn mask_url(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://")?;
    let at = rest.rfind('@')?;
    let colon = rest[..at].find(':')?;
    Some(format!("{scheme}://{}:{MASK}{}", &rest[..colon], &rest[at..]))
}

/// A long word of letters and digits mixed, as tokens and hashes are; no path, no version.
fn is_random(value: &str) -> bool {
    let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+=$".contains(&byte);
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    value.len() >= 20 && value.bytes().all(in_token) && digits >= 3 && letters >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(key: &str, value: &str) -> Option<String> {
        mask(OsStr::new(key), OsStr::new(value))
    }

    #[test]
    fn secrets_are_known_by_name_and_by_look() {
        let secrets = [
            ("DB_PASSWORD", "hunter2"),
            ("API_TOKEN", "x"),
            ("SECRET_KEY", "y"),
            ("PGPASSWORD", "z"),
            ("PW", "pa$$"),
            ("PEM", "-----BEGIN PRIVATE KEY-----\nabc"),
            ("STRIPE", "sk_live_51H8abcdefghijk"),
        ];
        for (key, value) in secrets {
            assert_eq!(masked(key, value).as_deref(), Some(MASK), "{key}");
        }
        let others = [
            ("DEBUG", "1"),
            ("PWD", "/home/ada"),
            ("HOST", "localhost"),
            ("TOKEN", ""),
            ("PATH", "/usr/bin:/bin"),
        ];
        for (key, value) in others {
            assert_eq!(masked(key, value), None, "{key}");
        }
    }

    #[test]
    fn a_url_keeps_all_but_its_password() {
        let table = [
            ("postgres://u:p@ss@h:5432/db", "postgres://u:********@h:5432/db"),
            ("redis://:pa#ss/x@h:6379/0", "redis://:********@h:6379/0"),
        ];
        for (url, shown) in table {
            assert_eq!(masked("DATABASE_URL", url).as_deref(), Some(shown));
        }
        assert_eq!(masked("URL", "https://example.com:80/a"), None);
    }
}

//! The masking of secrets: no input panics, what was masked once stays masked, and a password in a URL
//! or under a name that says so is never shown.
#![no_main]

use ganger::model::{mask_text, mask_variable};
use ganger_fuzz::fuzz;

/// Nothing that a fuzzer would come upon by itself.
const SECRET: &str = "Xq7Zr9Kw";

fuzz!(|text: &str| {
    let (name, value) = text.split_once('=').unwrap_or(("", text));
    if let Some(masked) = mask_variable(name, value) {
        assert!(masked.len() <= value.len() + 8 * value.len().max(1));
    }
    if let Some(masked) = mask_text(text) {
        let again = mask_text(&masked).unwrap_or_else(|| masked.clone());
        assert!(!again.contains(SECRET) || masked.contains(SECRET));
    }
    if !text.contains(SECRET) {
        // Not the path of a file, which is shown.
        let named = mask_variable("DB_PASSWORD", &format!("x{text}{SECRET}"));
        assert!(named.is_some_and(|masked| !masked.contains(SECRET)), "{text:?}");
        let plain: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let url = format!("https://ada:{plain}{SECRET}@localhost/");
        assert!(mask_text(&url).is_some_and(|masked| !masked.contains(SECRET)), "{url:?}");
    }
});

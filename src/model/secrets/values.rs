//! Secrets inside values: runs all scanners; private keys.

use super::spans::Spans;
use super::{arguments, pairs, urls, words};

/// Finds everything that [`super::mask_text`] masks.
pub(super) fn scan(text: &str, spans: &mut Spans) {
    private_keys(text, spans);
    urls::scan(text, spans);
    pairs::scan(text, spans);
    pairs::elements(text, spans);
    arguments::scan(text, spans);
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

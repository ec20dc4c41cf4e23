//! Names of programs, as `--keep` has them.

use crate::model::quoted;

/// What is wrong with a name: the message, and what to do.
pub type Complaint = (String, Option<String>);

/// Reads comma lists of names.
pub fn parse<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Vec<String>, Complaint> {
    let mut names = Vec::new();
    for text in texts {
        for name in text.as_ref().split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if let Some((_, file)) = name.rsplit_once('/') {
                let file = if file.is_empty() { "chrome" } else { file };
                let hint = format!("leave the directory out, as in `{}`", quoted(file));
                return Err((format!("`{}`: a path, not the name of a program", quoted(name)), Some(hint)));
            }
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_comma_lists_and_have_no_directory() {
        assert_eq!(parse(["a, b", "", "c d"]), Ok(vec!["a".into(), "b".into(), "c d".into()]));
        let (message, hint) = parse(["a,/opt/chrome"]).expect_err("a path");
        assert_eq!(message, "`/opt/chrome`: a path, not the name of a program");
        assert_eq!(hint.as_deref(), Some("leave the directory out, as in `chrome`"));
    }
}

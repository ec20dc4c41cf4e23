//! `$NAME`, `${NAME}` and `${NAME:-default}` in values, for those who ask for it.
//!
//! dotenvy can replace names too, but it asks the process's own environment before the file,
//! and ends `$NAME` at an underscore. So it never gets to see a `$` that is not escaped, and
//! this module finds and looks up the names.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use memchr::memchr;

use super::MOST_BYTES;

/// What a name stands for outside this file: in the files before it and in the shell.
pub type Lookup<'a> = dyn Fn(&OsStr) -> Option<OsString> + 'a;

/// The names that a value can refer to.
pub(super) struct Names<'a> {
    lookup: &'a Lookup<'a>,
    earlier: HashMap<OsString, OsString>,
    /// How many bytes replacements may still add.
    left: Cell<usize>,
}

impl<'a> Names<'a> {
    pub(super) fn new(lookup: &'a Lookup<'a>) -> Self {
        Self { lookup, earlier: HashMap::new(), left: Cell::new(MOST_BYTES) }
    }

    /// Returns whether a replacement may add `bytes` more. Each line of a file can double the length of
    /// the value before it.
    pub(super) fn spend(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// Makes an assignment known to those below it.
    pub(super) fn define(&mut self, key: &OsStr, value: &OsStr) {
        self.earlier.insert(key.to_owned(), value.to_owned());
    }

    /// The value of the last assignment above, else the one from outside, else nothing.
    fn get(&self, name: &[u8]) -> OsString {
        let name = OsStr::from_bytes(name);
        self.earlier.get(name).cloned().or_else(|| (self.lookup)(name)).unwrap_or_default()
    }
}

/// A name in a value, with what to do if it stands for nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    name: &'t [u8],
    /// What stands there instead if the name is unknown or empty. It goes to the next `}`.
    pub(super) default: &'t [u8],
    /// The length of the whole reference in bytes.
    pub(super) length: usize,
}

impl<'t> Reference<'t> {
    /// The reference that `text` begins with. `closes` tells whether a `}` follows at all: the
    /// caller knows, and looking for it once for each `${` would take too long.
    pub(super) fn at_start(text: &'t [u8], closes: bool) -> Option<Self> {
        let rest = text.strip_prefix(b"$")?;
        let Some(rest) = rest.strip_prefix(b"{") else {
            let name = name_at_start(rest)?;
            return Some(Self { name, default: b"", length: 1 + name.len() });
        };
        let name = name_at_start(rest)?;
        let rest = &rest[name.len()..];
        if rest.starts_with(b"}") {
            return Some(Self { name, default: b"", length: name.len() + 3 });
        }
        let rest = rest.strip_prefix(b":-").filter(|_| closes)?;
        let default = &rest[..memchr(b'}', rest)?];
        Some(Self { name, default, length: name.len() + default.len() + 5 })
    }

    /// What the name stands for, empty for nothing.
    pub(super) fn resolve(&self, names: &Names<'_>) -> OsString {
        names.get(self.name)
    }
}

/// The name that `text` begins with: `[A-Za-z_][A-Za-z0-9_]*`.
fn name_at_start(text: &[u8]) -> Option<&[u8]> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = text.iter().position(|byte| !allowed(byte)).unwrap_or(text.len());
    (length > 0 && !text[0].is_ascii_digit()).then_some(&text[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_and_leaves_other_dollars_alone() {
        let table = [
            ("$A", Some(("A", "", 2_usize))),
            ("$a_1-b", Some(("a_1", "", 4))),
            ("${A}b", Some(("A", "", 4))),
            ("${A:-}", Some(("A", "", 6))),
            ("${A:-b c}d}", Some(("A", "b c", 9))),
            ("$", None),
            ("$$A", None),
            ("$1", None),
            ("$é", None),
            ("${", None),
            ("${}", None),
            ("${A", None),
            ("${A:-b", None),
            ("${A-b}", None),
            ("${A.B}", None),
            ("${ A }", None),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(name, default, length)| Reference {
                name: name.as_bytes(),
                default: default.as_bytes(),
                length,
            });
            assert_eq!(Reference::at_start(text.as_bytes(), true), expected, "{text}");
        }
        assert_eq!(Reference::at_start(b"${A:-b}", false), None);
    }
}

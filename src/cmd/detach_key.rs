//! The key that leaves a process: Ctrl-], in all the forms in which terminals send it. Pure.
//!
//! A program may ask its terminal to report keys in full. Then the key is no byte but a sequence:
//! `CSI 27 ; modifiers ; 93 ~` with xterm's `modifyOtherKeys`, and `CSI 93 ; modifiers u` in the form
//! of kitty's keyboard protocol, in which more can stand behind each number.

const KEY: u8 = 0x1d;

/// `]`.
const CODE: u32 = 93;

/// Of the modifiers, each a bit (kitty's keyboard protocol): the one that has to be there, and those
/// that make no difference: Shift, Caps Lock and Num Lock.
const CTRL: u32 = 4;
const NO_MATTER: u32 = 1 | 64 | 128;

/// Where it is first in what was typed.
pub(super) fn find(keys: &[u8]) -> Option<usize> {
    let byte = memchr::memchr(KEY, keys);
    let sequence = memchr::memmem::find_iter(keys, b"\x1b[").find(|at| is_key(&keys[at + 2..]));
    [byte, sequence].into_iter().flatten().min()
}

/// Whether it is what follows a CSI.
fn is_key(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':')) else {
        return false;
    };
    let text = std::str::from_utf8(&rest[..end]).unwrap_or_default();
    let parts: Vec<Vec<&str>> = text.split(';').map(|part| part.split(':').collect()).collect();
    let number = |part: usize, place: usize| -> Option<u32> { parts.get(part)?.get(place)?.parse().ok() };
    let with_ctrl = number(1, 0).is_some_and(|bits| bits.wrapping_sub(1) & !NO_MATTER == CTRL);
    match rest[end] {
        // Behind the modifiers may stand what became of the key; 3 is that it was let go.
        b'u' => number(0, 0) == Some(CODE) && with_ctrl && number(1, 1) != Some(3),
        b'~' => number(0, 0) == Some(27) && with_ctrl && number(2, 0) == Some(CODE),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn it_is_found_in_each_form() {
        for key in [
            "\x1d",
            "\x1b[27;5;93~",
            "\x1b[93;5u",
            "\x1b[93;5:1u",
            "\x1b[93;5:2u",
            // Caps Lock, Num Lock, and what another layout has on that key.
            "\x1b[93;69u",
            "\x1b[93;133u",
            "\x1b[93:125:93;5u",
            "\x1b[93;5;29u",
        ] {
            let typed = format!("\u{e4}\x1b[A{key}\x1d");
            assert_eq!(find(typed.as_bytes()), Some(5), "{typed:?}");
        }
    }

    #[test]
    fn other_keys_are_the_process_s() {
        for keys in [
            "",
            "]",
            "\x1b]",
            "\x1b[",
            "\x1b[93",
            "\x1b[93;5",
            "\x1b[93u",
            "\x1b[93;1u",
            // Alt and Ctrl, and the key let go.
            "\x1b[93;7u",
            "\x1b[93;5:3u",
            "\x1b[91;5u",
            "\x1b[27;5;91~",
            "\x1b[27;3;93~",
            "\x1b[93;5~",
            "\x1b[99999999999;5u",
            "\x1b[93;0u",
        ] {
            assert_eq!(find(keys.as_bytes()), None, "{keys:?}");
        }
    }
}

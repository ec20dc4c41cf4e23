//! Checks, with a model of a terminal, what holds for every line that the [`sanitize`](super::sanitize)
//! module lets out. For property tests and for fuzzing.
//!
//! The model has its own parser and does not know how the lines were made. It
//! accepts text, tabs, SGR and OSC 8, and nothing else. Between two lines, and after part of a
//! line, the terminal must be plain.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::sanitize::{Allowed, Row, Sanitizer};

/// A byte that is shown, and its look.
type Cell = (u8, Look);

/// Attributes by what they replace, and the link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Look {
    attributes: BTreeMap<&'static str, String>,
    link: Option<String>,
}

/// Some output of one process, and whether its unfinished line is shown after it.
pub type Chunk<'a> = (usize, &'a [u8], bool);

/// Checks that the terminal is plain after each line and each part of a line, whatever the processes
/// write, and that the lines do not depend on how the output is split into chunks.
///
/// On failure, returns a description of the problem.
pub fn check(allowed: Allowed, chunks: &[Chunk<'_>]) -> Result<(), String> {
    check_kind(allowed, chunks, Sanitizer::of_blocks)?;
    check_kind(allowed, chunks, Sanitizer::of_lines)?;
    check_newlines(allowed, chunks)
}

/// Without blocks, nothing is left behind a newline but blank lines.
fn check_newlines(allowed: Allowed, chunks: &[Chunk<'_>]) -> Result<(), String> {
    let mut sanitizers: HashMap<usize, Sanitizer> = HashMap::new();
    for (who, chunk, _) in chunks {
        let sanitizer = sanitizers.entry(*who).or_insert_with(|| Sanitizer::of_lines(allowed));
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            sanitizer.push(part, |_| {});
            if sanitizer.is_block() || (part.ends_with(b"\n") && sanitizer.row().is_half()) {
                return Err(format!("not all is shown after {}", part.escape_ascii()));
            }
        }
    }
    Ok(())
}

fn check_kind(
    allowed: Allowed,
    chunks: &[Chunk<'_>],
    make: impl Fn(Allowed) -> Sanitizer,
) -> Result<(), String> {
    let mut shown: HashMap<usize, (Sanitizer, Vec<Cell>)> = HashMap::new();
    let mut whole: HashMap<usize, Vec<u8>> = HashMap::new();
    let mut lines: HashMap<usize, (Sanitizer, Vec<Vec<u8>>)> = HashMap::new();
    let now = Instant::now();
    for (who, chunk, show) in chunks {
        let new = || (make(allowed), Vec::new());
        let (sanitizer, cells) = shown.entry(*who).or_insert_with(new);
        let mut result = Ok(());
        sanitizer.push(chunk, |row| {
            result = std::mem::replace(&mut result, Ok(())).and_then(|()| show_row(allowed, row, cells));
            cells.clear();
        });
        result?;
        if *show {
            let mut result = Ok(());
            sanitizer.flush(|row| {
                result =
                    std::mem::replace(&mut result, Ok(())).and_then(|()| line(allowed, &text(row)).map(drop));
            });
            std::mem::replace(&mut result, Ok(()))?;
            let (still, was_block) = (sanitizer.note(now), sanitizer.is_block());
            sanitizer.settle(still, |row| {
                result =
                    std::mem::replace(&mut result, Ok(())).and_then(|()| line(allowed, &text(row)).map(drop));
            });
            std::mem::replace(&mut result, Ok(()))?;
            if was_block && sanitizer.row().is_shown() {
                *cells = line(allowed, &text(sanitizer.row()))?;
            }
            if !sanitizer.is_block() && sanitizer.row().is_half() {
                show_row(allowed, sanitizer.row(), cells)?;
                sanitizer.row().set_shown(false);
            }
        }
        whole.entry(*who).or_default().extend_from_slice(chunk);
        let (sanitizer, lines) = lines.entry(*who).or_insert_with(|| (make(allowed), Vec::new()));
        sanitizer.push(chunk, |row| lines.push(text(row)));
    }
    for (who, (mut sanitizer, mut lines)) in lines {
        sanitizer.finish(|row| lines.push(text(row)));
        for bytes in &lines {
            line(allowed, bytes)?;
        }
        for size in [1, usize::MAX] {
            let (mut sanitizer, mut same) = (make(allowed), Vec::new());
            let all = whole.get(&who).map_or(&[][..], Vec::as_slice);
            all.chunks(size).for_each(|chunk| sanitizer.push(chunk, |row| same.push(text(row))));
            sanitizer.finish(|row| same.push(text(row)));
            if lines != same {
                return Err(format!(
                    "other lines in chunks of {size}:\n{}\n{}",
                    escaped(&lines),
                    escaped(&same)
                ));
            }
        }
    }
    Ok(())
}

/// Checks a line or part of a line by itself.
pub fn check_line(allowed: Allowed, bytes: &[u8]) -> Result<(), String> {
    line(allowed, bytes).map(drop)
}

fn text(row: &mut Row) -> Vec<u8> {
    let mut out = Vec::new();
    row.write(&mut out);
    out
}

fn escaped(lines: &[Vec<u8>]) -> String {
    lines.join(&b'\n').escape_ascii().to_string()
}

/// Shows the new part of a row. Together with the parts shown before, it must be the whole row.
fn show_row(allowed: Allowed, row: &mut Row, cells: &mut Vec<Cell>) -> Result<(), String> {
    let mut rest = Vec::new();
    if row.is_shown() && row.is_longer() {
        row.write_rest(&mut rest);
    } else {
        cells.clear();
        row.write(&mut rest);
    }
    cells.extend(line(allowed, &rest)?);
    let all = text(row);
    if *cells == line(allowed, &all)? {
        Ok(())
    } else {
        Err(format!("its parts look different: {} of {}", rest.escape_ascii(), all.escape_ascii()))
    }
}

/// Shows a line or part of a line on a plain terminal. Fails unless the terminal is plain afterwards
/// and the line contains nothing but text, tabs and what is allowed.
fn line(allowed: Allowed, bytes: &[u8]) -> Result<Vec<Cell>, String> {
    let wrong = |what: String| format!("{what} in {}", bytes.escape_ascii());
    let (mut look, mut cells, mut rest) = (Look::default(), Vec::new(), bytes);
    while let Some((byte, behind)) = rest.split_first() {
        let length = match byte {
            b'\t' => {
                cells.push((b'\t', look.clone()));
                1
            }
            0x1b if behind.first() == Some(&b'[') && allowed.sgr => {
                let length = behind.iter().position(u8::is_ascii_alphabetic);
                let length = length.filter(|length| behind[*length] == b'm');
                let length = length.ok_or_else(|| wrong("a sequence that is not SGR".into()))?;
                look.sgr(&behind[1..length]).map_err(wrong)?;
                length + 2
            }
            0x1b if behind.starts_with(b"]8;") && allowed.links => {
                let length = behind.iter().position(|byte| *byte == 0x1b);
                let length = length.filter(|length| behind.get(length + 1) == Some(&b'\\'));
                let length = length.ok_or_else(|| wrong("an open sequence".into()))?;
                look.link(&behind[3..length]).map_err(wrong)?;
                length + 3
            }
            0..0x20 | 0x7f => return Err(wrong(format!("control character {byte}"))),
            _ => {
                let length = rest.iter().take_while(|byte| **byte >= 0x20 && **byte != 0x7f).count();
                characters(allowed.utf8, &rest[..length], &look, &mut cells).map_err(wrong)?;
                length
            }
        };
        rest = &rest[length..];
    }
    if look == Look::default() { Ok(cells) } else { Err(wrong(format!("{look:?} at the end"))) }
}

fn characters(utf8: bool, text: &[u8], look: &Look, cells: &mut Vec<Cell>) -> Result<(), String> {
    let acts = |byte: &u8| (0x80..0xa0).contains(byte);
    if !utf8 && let Some(byte) = text.iter().copied().find(acts) {
        return Err(format!("control character {byte}"));
    }
    for chunk in text.utf8_chunks() {
        if let Some(character) = chunk.valid().chars().find(|character| character.is_control()) {
            return Err(format!("control character {character:?}"));
        }
        if let Some(byte) = chunk.invalid().iter().copied().find(acts) {
            return Err(format!("byte {byte} outside of a character"));
        }
    }
    cells.extend(text.iter().map(|byte| (*byte, look.clone())));
    Ok(())
}

impl Look {
    /// Applies the parameters of an SGR sequence.
    fn sgr(&mut self, text: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let mut params = text.split(';');
        while let Some(param) = params.next() {
            let mut value = param.to_owned();
            if matches!(param, "38" | "48" | "58") {
                let kind = params.next().unwrap_or_default();
                let count = if kind == "5" { 1 } else { 3 };
                value = format!("{param};{kind}");
                for _ in 0..count {
                    value = format!("{value};{}", params.next().ok_or("half a color")?);
                }
            }
            let code = param.split(':').next().unwrap_or_default();
            // With a subparameter nothing else is known to every terminal, and nothing is turned off.
            if param != code && (param == "4:0" || !matches!(code, "4" | "38" | "48" | "58")) {
                return Err(format!("SGR {param:?}"));
            }
            let (name, is_on) = match code.parse().map_err(|_| format!("SGR {param:?}"))? {
                0 => {
                    self.attributes.clear();
                    continue;
                }
                22 => {
                    self.attributes.remove("bold");
                    ("dim", false)
                }
                1 => ("bold", true),
                2 => ("dim", true),
                3 | 23 => ("italic", code == "3"),
                4 | 21 | 24 => ("underline", code != "24"),
                5 | 6 | 25 => ("blink", code != "25"),
                7 | 27 => ("inverse", code == "7"),
                8 | 28 => ("hidden", code == "8"),
                9 | 29 => ("struck", code == "9"),
                10..=20 => ("font", code != "10"),
                30..=39 | 90..=97 => ("foreground", code != "39"),
                40..=49 | 100..=107 => ("background", code != "49"),
                53 | 55 => ("overline", code == "53"),
                58 | 59 => ("underline color", code == "58"),
                _ => return Err(format!("SGR {param:?}")),
            };
            if is_on {
                self.attributes.insert(name, value);
            } else {
                self.attributes.remove(name);
            }
        }
        Ok(())
    }

    /// Applies the content of an OSC 8.
    fn link(&mut self, text: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let (params, address) = text.split_once(';').ok_or("a link without parameters")?;
        // The limits of VTE.
        if address.len() > 2083 || params.len() > 253 || text.contains(|it: char| !(' '..='~').contains(&it))
        {
            return Err("a link that is none".into());
        }
        self.link = (!address.is_empty()).then(|| text.to_owned());
        Ok(())
    }
}

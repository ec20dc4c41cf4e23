//! What `benches/e2e` runs under ganger: processes that write lines in ways no shell can.
//!
//! It takes no crate, starts in a millisecond and makes each write one system call, so that
//! what is measured is not the generator:
//!
//! - `lines each NAME COUNT`: COUNT lines of 75 bytes, one write for each
//! - `lines flood`: the same block for ever, as fast as somebody reads
//! - `lines times COUNT MICROS`: the time in nanoseconds, COUNT times, MICROS apart
//!
//! It ends with 1 when what it is asked makes no sense or nobody reads.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The length of a line with its end, as in the tables of docs/benchmarks.md.
const LINE: usize = 75;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn run(arguments: &[&str]) -> io::Result<()> {
    match arguments {
        ["each", name, count] => each(name, number(count)?),
        ["flood"] => flood(),
        ["times", count, micros] => times(number(count)?, Duration::from_micros(number(micros)?)),
        _ => Err(io::Error::other("unknown arguments")),
    }
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(io::Error::other)
}

/// The text of a line, which `benches/e2e` knows too: name, number, filling.
fn line(name: &str, number: u64) -> Vec<u8> {
    format!("{:.<width$}\n", format!("{name} {number:08} "), width = LINE - 1).into_bytes()
}

fn each(name: &str, count: u64) -> io::Result<()> {
    // The standard library's stdout looks for newlines first; a file only writes.
    let mut out = stdout()?;
    for number in 0..count {
        out.write_all(&line(name, number))?;
    }
    Ok(())
}

fn flood() -> io::Result<()> {
    let block: Vec<u8> = (0..1000).flat_map(|number| line("flood", number)).collect();
    let mut out = stdout()?;
    loop {
        out.write_all(&block)?;
    }
}

fn times(count: u64, apart: Duration) -> io::Result<()> {
    let mut out = stdout()?;
    for _ in 0..count {
        std::thread::sleep(apart);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        out.write_all(format!("{}\n", now.as_nanos()).as_bytes())?;
    }
    Ok(())
}

fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

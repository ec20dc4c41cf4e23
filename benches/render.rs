//! The way of a byte from a process's pipe to our buffer: `LineBuffer` and `Renderer`, without
//! any system call.
//!
//! `floor` is what no renderer can go below: find each newline, copy a prefix and the line. It
//! runs over the same chunks in the same run, so that a ratio means something on any machine:
//! `cargo bench --bench render`, then divide. It is not the renderer's code with parts taken
//! out, but the loop one would write with nothing else to care for.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use ganger::model::InstanceId;
use ganger::output::lines::LineBuffer;
use ganger::output::render::{Layout, Renderer};
use ganger::output::sanitize::{Allowed, Sanitizer};
use ganger::output::style::Style;

/// What one read of the pump brings at most.
const CHUNK: usize = 64 * 1024;

/// What is rendered in one iteration. It fits the second level of any cache, as a chunk that
/// was just read does.
const TEXT: usize = 4 * CHUNK;

/// When the sink would write. Both sides empty their buffer there, or they would measure how
/// fast the system gives memory.
const FULL: usize = 256 * 1024;

const PREFIX: &[u8] = b"12:00:00 web.1    | ";

/// `TEXT` bytes of lines of `length` bytes with their end; the last one may be cut.
fn text(length: usize, begin: &[u8]) -> Vec<u8> {
    let mut line = begin.to_vec();
    line.extend((line.len()..length - 1).map(|at| b"abcdefghijklmnopqrstuvwxyz 0123456789"[at % 37]));
    line.push(b'\n');
    line.into_iter().cycle().take(TEXT).collect()
}

struct Case {
    name: &'static str,
    text: Vec<u8>,
    chunk: usize,
    colors: bool,
}

fn cases() -> Vec<Case> {
    let case = |name, text, chunk, colors| Case { name, text, chunk, colors };
    let escapes = || text(75, b"\x1b[32mINFO\x1b[0m ");
    vec![
        case("blocks of 75-byte lines", text(75, b""), CHUNK, false),
        case("one 75-byte line at a time", text(75, b""), 75, false),
        // Chunks end anywhere: each has a line that the next one completes.
        case("half a line at a time", text(75, b""), 37, false),
        case("blocks of empty lines", text(1, b""), CHUNK, false),
        case("blocks of 8 KiB lines", text(8 * 1024, b""), CHUNK, false),
        case("one line over many chunks", text(TEXT, b""), CHUNK, false),
        case("blocks of UTF-8", text(75, "größe 漢字 ✓ “ok” ".as_bytes()), CHUNK, false),
        case("colours of ours", text(75, b""), CHUNK, true),
        case("colours of ours and the process's", escapes(), CHUNK, true),
    ]
}

fn renderer(colors: bool) -> (Renderer, InstanceId) {
    let id: InstanceId = "web.1".parse().expect("an instance");
    let mut renderer = Renderer::new(Style::new(colors), Layout::default(), [&id].into_iter());
    renderer.set_time(jiff::Timestamp::UNIX_EPOCH);
    (renderer, id)
}

fn ganger(group: &mut BenchmarkGroup<'_, WallTime>, case: &Case) {
    let (renderer, id) = renderer(case.colors);
    let (mut prefix, mut lines) = (renderer.prefix(&id), LineBuffer::default());
    let mut out = Vec::with_capacity(2 * FULL);
    group.bench_function("ganger", |bencher| {
        bencher.iter(|| {
            for chunk in black_box(&case.text).chunks(case.chunk) {
                lines.push(chunk, |block| renderer.block(&mut out, &mut prefix, block));
                if out.len() >= FULL {
                    black_box(&out);
                    out.clear();
                }
            }
        });
    });
}

/// The same on a terminal, where what a process writes is sanitized first.
fn terminal(group: &mut BenchmarkGroup<'_, WallTime>, case: &Case) {
    let mut sanitizer = Sanitizer::of_blocks(Allowed { sgr: true, links: true, utf8: true });
    let mut out = Vec::with_capacity(2 * FULL);
    group.bench_function("terminal", |bencher| {
        bencher.iter(|| {
            for chunk in black_box(&case.text).chunks(case.chunk) {
                sanitizer.push(chunk, |row| {
                    out.extend_from_slice(PREFIX);
                    row.write(&mut out);
                    out.push(b'\n');
                });
                if out.len() >= FULL {
                    black_box(&out);
                    out.clear();
                }
            }
        });
    });
}

fn floor(group: &mut BenchmarkGroup<'_, WallTime>, case: &Case) {
    let mut out = Vec::with_capacity(2 * FULL);
    group.bench_function("floor", |bencher| {
        bencher.iter(|| {
            for chunk in black_box(&case.text).chunks(case.chunk) {
                let mut begin = 0;
                for end in memchr::memchr_iter(b'\n', chunk) {
                    out.extend_from_slice(PREFIX);
                    out.extend_from_slice(&chunk[begin..=end]);
                    begin = end + 1;
                }
                out.extend_from_slice(&chunk[begin..]);
                if out.len() >= FULL {
                    black_box(&out);
                    out.clear();
                }
            }
        });
    });
}

fn lines_in(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for case in cases() {
        let mut group = criterion.benchmark_group(case.name);
        // Bytes and lines at once: MiB/s say how far from memcpy, lines/s what users ask.
        let (bytes, elements) = (case.text.len() as u64, lines_in(&case.text));
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        floor(&mut group, &case);
        ganger(&mut group, &case);
        terminal(&mut group, &case);
        group.finish();
    }
    criterion.final_summary();
}

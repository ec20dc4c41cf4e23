//! How the program is linked on Linux, so that it starts sooner: `docs/design/start.md` has the figures.
//!
//! What the compiler or the linker here does not have is left out; the program does the same without.

use std::env::var;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The functions of a start; `benches/order` writes it.
const ORDER: &str = "benches/start.order";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    if !is_for_this_linux() {
        return;
    }
    if let Some(archive) = unwinder() {
        link_unwinder(&archive);
    }
    put_in_order();
}

fn is_for_this_linux() -> bool {
    var("CARGO_CFG_TARGET_OS").is_ok_and(|it| it == "linux") && var("HOST") == var("TARGET")
}

/// Links the unwinder statically. Rust's standard library takes it from `libgcc_s.so.1`, which has to
/// be found and mapped, and asks the processor what it can do, which is slow where a hypervisor
/// answers. `libgcc_eh.a` is the same code, and comes with the compiler that links Rust programs.
fn link_unwinder(archive: &Path) {
    let Some(folder) = archive.parent() else { return };
    // An update of the compiler may put it elsewhere, or take it away.
    println!("cargo::rerun-if-changed={}", archive.display());
    println!("cargo::rustc-link-search=native={}", folder.display());
    // It stands before the standard library's `-lgcc_s`, so it is the one that gives the functions.
    // Without `-bundle` a copy of it would go into our library.
    println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
}

/// Where the compiler has it. A static program has it anyway, and other C libraries have their own.
fn unwinder() -> Option<PathBuf> {
    let is_static =
        var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|it| it.split(',').any(|it| it == "crt-static"));
    if is_static || var("CARGO_CFG_TARGET_ENV").is_ok_and(|it| it != "gnu") {
        return None;
    }
    let compiler = var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let found = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output().ok()?;
    // Only the name if there is none.
    let path = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim_end());
    (path.is_absolute() && path.is_file()).then_some(path)
}

/// Has the linker put the functions of a start beside each other. The kernel maps 64 KiB for each page
/// that is missed, and a start would miss half of all there are, three times: in guard, reserve and
/// supervisor. Names that are not there any more do no harm.
fn put_in_order() {
    let is_release = var("PROFILE").is_ok_and(|it| it == "release");
    let Some(order) = var("CARGO_MANIFEST_DIR").ok().map(|root| format!("{root}/{ORDER}")) else { return };
    // With `-Wl,` a path could have no comma.
    let options = [format!("--symbol-ordering-file={order}"), "--no-warn-symbol-ordering".to_owned()];
    let arguments = options.map(|option| ["-Xlinker".to_owned(), option]).concat();
    if is_release && linker_takes(&arguments) == Some(true) {
        for argument in arguments {
            println!("cargo::rustc-link-arg-bins={argument}");
        }
    }
}

/// Whether a program can be linked so: lld, which Rust brings for x86-64, knows the option, GNU's ld
/// and others do not.
fn linker_takes(arguments: &[String]) -> Option<bool> {
    let mut rustc = Command::new(var("RUSTC").ok()?);
    rustc.args(["--crate-name", "probe", "--crate-type", "bin", "-", "--out-dir", &var("OUT_DIR").ok()?]);
    rustc.args(
        var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().split('\x1f').filter(|flag| !flag.is_empty()),
    );
    // What is forbidden in our code is no matter here.
    rustc.arg("--cap-lints=allow");
    if let Ok(linker) = var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    for argument in arguments {
        rustc.args(["-C", &format!("link-arg={argument}")]);
    }
    let quiet = rustc.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut rustc = quiet.spawn().ok()?;
    rustc.stdin.take()?.write_all(b"fn main() {}").ok()?;
    Some(rustc.wait().ok()?.success())
}

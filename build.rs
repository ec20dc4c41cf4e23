//! Links the unwinder statically, where it can be had.
//!
//! Rust's standard library takes it from `libgcc_s.so.1`. Of the milliseconds from `exec` to a
//! process's first line that file costs 0.15: it has to be found and mapped, and asks the processor
//! what it can do, which is slow where a hypervisor answers. `libgcc_eh.a` is the same code, and
//! comes with the compiler that links Rust programs. Where it is not found nothing changes.

use std::env::var;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(folder) = is_usual().then(folder_of_unwinder).flatten() else { return };
    println!("cargo::rustc-link-search=native={}", folder.display());
    // Before the standard library, so that this one has what is looked for; only the program has it.
    println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
}

/// Whether the program is for this machine and uses glibc as a shared library.
fn is_usual() -> bool {
    let is = |name, value: &str| var(name).is_ok_and(|found| found == value);
    let is_static =
        var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|it| it.split(',').any(|it| it == "crt-static"));
    is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && var("HOST") == var("TARGET")
        && !is_static
}

/// Where the compiler has it.
fn folder_of_unwinder() -> Option<PathBuf> {
    let compiler = var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let found = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output().ok()?;
    // Only the name if there is none.
    let path = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim_end());
    path.parent().filter(|_| path.is_absolute() && path.is_file()).map(PathBuf::from)
}

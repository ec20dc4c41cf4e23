//! Why a program cannot be started: one diagnosis for `check`, `start` and `run`.
//!
//! Looks where the shell would look, and into the first line of a script, since the system says `No such file`
//! of a script that is there too, when its interpreter is not.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use crate::model::{mask_path, quoted};
use crate::os::spawn::find_program;

/// What is wrong with a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A name without a slash that no directory of the `PATH` has.
    NotOnPath,
    /// There is nothing at its path, which is this one.
    Missing(PathBuf),
    Directory,
    /// This file is not executable.
    NotExecutable(PathBuf),
    /// The interpreter in its first line is missing.
    NoInterpreter(OsString),
    /// Its first line ends with CR LF, and the CR belongs to the interpreter's name.
    Crlf(PathBuf),
}

/// Returns why `program` could not be started from `folder`, if it could not.
pub(super) fn fault(program: &OsStr, path: &OsStr, folder: &Path) -> Option<Fault> {
    let has_slash = program.as_bytes().contains(&b'/');
    if path.is_empty() && !has_slash {
        // Where it is looked for then is the system's or the shell's own.
        return None;
    }
    let found = match find_program(program, path, folder) {
        Some(found) => found,
        None if has_slash => return Some(of_path(&folder.join(program).components().collect::<PathBuf>())),
        None => {
            let mut folders = std::env::split_paths(path).map(|it| folder.join(it).join(program));
            return Some(folders.find(|file| file.is_file()).map_or(Fault::NotOnPath, Fault::NotExecutable));
        }
    };
    of_script(&found, path, folder)
}

/// Why a file that is not an executable one is none.
fn of_path(file: &Path) -> Fault {
    match file.metadata() {
        Ok(found) if found.is_dir() => Fault::Directory,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Fault::Missing(file.to_owned())
        }
        Ok(_) | Err(_) => Fault::NotExecutable(file.to_owned()),
    }
}

/// How much of a script the system looks at (`BINPRM_BUF_SIZE` of Linux).
const FIRST_BYTES: u64 = 256;

/// What is wrong with the first line of an executable file, if it begins with `#!`.
fn of_script(file: &Path, path: &OsStr, folder: &Path) -> Option<Fault> {
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(FIRST_BYTES).read_to_end(&mut bytes).ok()?;
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    if line.ends_with(b"\r") {
        return Some(Fault::Crlf(file.to_owned()));
    }
    let mut words = line.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
    let interpreter = OsStr::from_bytes(words.next()?);
    let missing = |name: &OsStr| Some(Fault::NoInterpreter(OsString::from_vec(name.as_bytes().to_vec())));
    if !folder.join(interpreter).exists() {
        return missing(interpreter);
    }
    // `#!/usr/bin/env node` leads to another program.
    let is_env = Path::new(interpreter).file_name() == Some(OsStr::new("env"));
    let name = words.next().filter(|word| is_env && !word.starts_with(b"-") && !word.contains(&b'='))?;
    let name = OsStr::from_bytes(name);
    if find_program(name, path, folder).is_none() { missing(name) } else { None }
}

impl Fault {
    /// What is wrong, to be said after the program's name.
    pub(super) fn what(&self) -> String {
        match self {
            Self::NotOnPath => "command not found".to_owned(),
            Self::Missing(_) => "no such file".to_owned(),
            Self::Directory => "it is a directory".to_owned(),
            Self::NotExecutable(_) => "permission denied: the file is not executable".to_owned(),
            Self::NoInterpreter(name) => {
                format!("its interpreter `{}` was not found", quoted(&name.to_string_lossy()))
            }
            Self::Crlf(_) => "its first line ends with CR LF (Windows line endings)".to_owned(),
        }
    }

    /// What to do, or where it was looked for.
    pub(super) fn hint(&self, path: &OsStr) -> String {
        match self {
            Self::NotOnPath => format!("the PATH searched is {}", path.display()),
            Self::Missing(file) => format!("it was looked for at {}", mask_path(file)),
            Self::Directory => "name a file".to_owned(),
            Self::NotExecutable(file) => format!("make it executable: `chmod +x {}`", mask_path(file)),
            Self::NoInterpreter(_) => "install it, or correct the first line of the script".to_owned(),
            Self::Crlf(file) => {
                format!("convert it to LF, as with `sed -i 's/\\r$//' {}`", mask_path(file))
            }
        }
    }

    /// Whether the program is there, and cannot be executed as it is.
    pub(super) fn is_there(&self) -> bool {
        matches!(self, Self::Directory | Self::NotExecutable(_))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_fault_is_told_from_the_others() {
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name: &str| folder.path().join(name);
        for (name, text, mode) in [
            ("bin/good", "#!/bin/sh\n", 0o755),
            ("bin/plain", "true\n", 0o755),
            ("bin/env", "#! /usr/bin/env sh\n", 0o755),
            ("bin/split", "#!/usr/bin/env -S no-such-x\n", 0o755),
            ("bin/flat", "#!/bin/sh\n", 0o644),
            ("bin/lost", "#!/no/such -x\n", 0o755),
            ("bin/env-lost", "#!/usr/bin/env no-such-x\n", 0o755),
            ("bin/crlf", "#!/bin/sh\r\ntrue\r\n", 0o755),
            ("bin/env-crlf", "#!/usr/bin/env sh\r\n", 0o755),
        ] {
            std::fs::create_dir_all(at("bin")).expect("created");
            std::fs::write(at(name), text).expect("written");
            std::fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).expect("changed");
        }
        assert_eq!(fault("no-such-x".as_ref(), "".as_ref(), folder.path()), None, "no PATH");
        let fault = |program: &str| fault(program.as_ref(), "bin:/bin:/usr/bin".as_ref(), folder.path());
        for good in ["bin/good", "good", "bin/plain", "bin/env", "./bin/split", "sh", "/bin/sh"] {
            assert_eq!(fault(good), None, "{good}");
        }
        let table = [
            ("no-such-x", Fault::NotOnPath),
            ("bin/nope", Fault::Missing(at("bin/nope"))),
            ("bin/good/nope", Fault::Missing(at("bin/good/nope"))),
            ("bin/", Fault::Directory),
            ("./bin", Fault::Directory),
            ("flat", Fault::NotExecutable(at("bin/flat"))),
            ("bin/flat", Fault::NotExecutable(at("bin/flat"))),
            ("bin/lost", Fault::NoInterpreter("/no/such".into())),
            ("lost", Fault::NoInterpreter("/no/such".into())),
            ("bin/env-lost", Fault::NoInterpreter("no-such-x".into())),
            ("bin/crlf", Fault::Crlf(at("bin/crlf"))),
            ("env-crlf", Fault::Crlf(at("bin/env-crlf"))),
        ];
        for (program, expected) in table {
            assert_eq!(fault(program), Some(expected), "{program}");
        }
    }
}

//! What belongs to one test alone: a folder, ports, and a mark in the environment of all its
//! processes.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::ports::Block;
use super::{poll_for, proc};

/// How long the processes of a test may take to be gone from `/proc` after ganger has ended.
/// They are dead by then; only this look may be early.
const SETTLE: Duration = Duration::from_secs(5);

/// One test's own surroundings. Dropped when the last of [`super::Test`], [`super::Running`],
/// [`super::Finished`] and [`super::Terminal`] is: then nothing may be alive.
#[derive(Debug)]
pub(crate) struct World {
    dir: TempDir,
    ports: Option<Block>,
    mark: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Some(Block::reserve()))
    }

    /// For many at once: there are only so many blocks of ports.
    pub(crate) fn without_ports() -> Self {
        Self::with(None)
    }

    fn with(ports: Option<Block>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::Builder::new().prefix("ganger-it-").tempdir().expect("a folder");
        let unique = dir.path().file_name().expect("a name").to_string_lossy().into_owned();
        // With a dot in it `ganger config` does not take it for a secret.
        Self { ports, mark: format!("{unique}.{number}"), dir }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The first of this test's ports.
    pub(crate) fn port(&self) -> u16 {
        self.ports.as_ref().expect("a world with ports").base
    }

    /// The same, where the test may have no ports.
    pub(crate) fn base(&self) -> Option<u16> {
        self.ports.as_ref().map(|block| block.base)
    }

    /// The environment that ganger is started with.
    pub(crate) fn vars(&self) -> Vec<(String, String)> {
        let own = std::env::var("PATH").expect("a PATH");
        let path = format!("{}:{}:{own}", examples().display(), folder_of_ganger().display());
        let home = self.dir().to_str().expect("a text").to_owned();
        let port = self.ports.as_ref().map(|block| ("PORT", block.base.to_string()));
        [("PATH", path), ("HOME", home), ("GANGER_TEST_MARK", self.mark.clone())]
            .into_iter()
            .chain(port)
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// The processes of this test that are alive.
    pub(crate) fn alive(&self) -> Vec<proc::Process> {
        proc::with_variable(&format!("GANGER_TEST_MARK={}", self.mark))
    }

    /// Fails if a process is left.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let gone = || self.alive().is_empty().then_some(());
        if poll_for(SETTLE, gone).is_none() {
            let left: Vec<String> = self.alive().iter().map(|process| format!("{process:?}")).collect();
            self.kill_all();
            panic!("left alive:\n{}", left.join("\n"));
        }
    }

    /// Kills what is left.
    pub(crate) fn kill_all(&self) {
        poll_for(SETTLE, || {
            let alive = self.alive();
            for process in &alive {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid), Signal::SIGKILL);
            }
            alive.is_empty().then_some(())
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.kill_all();
        } else {
            self.assert_nothing_left();
        }
    }
}

pub(crate) fn ganger() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ganger"))
}

/// One with nothing else in it: where several packages share a target folder, Cargo's own has programs
/// of all of them, and a test may count on a name that is none.
fn folder_of_ganger() -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let ganger = ganger();
        // Tests of two profiles may run at the same time.
        let profile = ganger.parent().and_then(Path::file_name).expect("a folder");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("path").join(profile);
        std::fs::create_dir_all(&folder).expect("created");
        let link = folder.join("ganger");
        if std::fs::read_link(&link).ok().as_deref() != Some(ganger) {
            // Put there at once, as another test's program may look for it just now.
            let new = folder.join(format!("new-{}", std::process::id()));
            std::os::unix::fs::symlink(ganger, &new).expect("linked");
            std::fs::rename(&new, &link).expect("renamed");
        }
        folder
    });
    FOLDER.clone()
}

/// Where Cargo puts examples: beside the folder of this test's program.
fn examples() -> PathBuf {
    let program = std::env::current_exe().expect("a path");
    let examples = program.parent().and_then(Path::parent).expect("a target folder").join("examples");
    assert!(
        examples.join("gangling").exists(),
        "`cargo test` builds gangling; before `cargo test --test it` run `cargo build --examples`"
    );
    examples
}

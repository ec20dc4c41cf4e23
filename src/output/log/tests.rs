use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

use super::*;

/// Two files whose writer is at your mercy.
struct Stage {
    _folder: TempDir,
    files: Vec<LogFile>,
    logs: Logs,
    told: Receiver<Event>,
}

impl Stage {
    fn new(patience: Patience) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let open =
            |id: &str| LogFile::open(folder.path(), &id.parse().expect("an instance")).expect("a file");
        let files = vec![open("a.1"), open("b.1")];
        let (tell, told) = channel();
        let logs = Logs::new(&files, Arc::default(), move |event| drop(tell.send(event)), patience);
        Self { _folder: folder, files, logs, told }
    }

    fn log(&self, id: &str) -> Log {
        self.logs.of(&id.parse().expect("an instance")).expect("a log")
    }

    /// Which logs were told to be lost, since the last call.
    fn lost(&self) -> Vec<String> {
        let id = |event| match event {
            Event::LogLost { id, error, .. } => format!("{id} {error}"),
            other => panic!("{other:?}"),
        };
        self.told.try_iter().map(id).collect()
    }
}

const SHORT: Patience = Patience { in_run: Duration::from_millis(10), at_end: Duration::from_millis(10) };

/// Nobody waits that long for what nobody does.
const NEVER: Patience = Patience { in_run: Duration::from_mins(10), at_end: Duration::from_mins(10) };

#[test]
fn a_stuck_writer_costs_bounded_memory_and_one_wait() {
    let stage = Stage::new(Patience { in_run: Duration::from_millis(100), ..SHORT });
    let (a, b) = (stage.log("a.1"), stage.log("b.1"));
    let began = Instant::now();
    for _ in 0..1000 {
        a.push(&[b'x'; 8192]);
    }
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(stage.lost(), ["a.1 the file system is stuck"], "told once");
    assert!(stage.logs.shared.lock().pending.bytes.capacity() <= 2 * LIMIT);
    // What still fits is taken; what does not is not waited for.
    b.push(b"short");
    assert_eq!(stage.lost(), Vec::<String>::new());
    b.push(&[b'x'; 8192]);
    assert_eq!(stage.lost(), ["b.1 the file system is stuck"]);
    stage.logs.finish();
    assert_eq!(stage.lost(), Vec::<String>::new(), "nothing is told twice");
}

#[test]
fn short_lines_of_many_are_bounded_too() {
    let stage = Stage::new(SHORT);
    let (a, b) = (stage.log("a.1"), stage.log("b.1"));
    for _ in 0..LIMIT / 16 {
        a.push(b"a");
        b.push(b"b");
    }
    assert!(stage.logs.shared.lock().pending.spans.len() * size_of::<(usize, usize)>() <= LIMIT);
    assert_eq!(stage.lost().len(), 2);
}

#[test]
fn what_is_not_written_at_the_end_is_told() {
    let stage = Stage::new(SHORT);
    stage.log("b.1").push(b"last words");
    stage.logs.finish();
    assert_eq!(stage.lost(), ["b.1 the file system is stuck"]);
}

#[test]
fn the_writer_makes_room_and_ends_when_all_is_written() {
    let Stage { _folder, files, logs, told } = Stage::new(NEVER);
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let (a, b) = (logs.of(&files[0].id).expect("a log"), logs.of(&files[1].id).expect("a log"));
    let shared = logs.shared.clone();
    let writer = std::thread::spawn(move || shared.write_all(files));
    for _ in 0..1000 {
        a.push(&[b'a'; 8192]);
        b.push(b"b");
    }
    logs.finish();
    let sizes: Vec<usize> = paths.iter().map(|path| std::fs::read(path).expect("a file").len()).collect();
    assert_eq!(sizes, [1000 * 8192, 1000]);
    writer.join().expect("it has ended");
    assert!(told.try_recv().is_err());
}

/// Opens a log file in a directory of this mode, after `put` has taken its path.
fn opened(mode: u32, put: impl FnOnce(&Path)) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("changed");
    put(&folder.path().join("web.1.log"));
    let opened = LogFile::open(folder.path(), &"web.1".parse().expect("an instance"));
    opened.map(drop).map_err(|error| error.to_string())
}

#[test]
fn links_are_followed_only_in_a_private_directory() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let target = elsewhere.path().join("target");
    let missing = elsewhere.path().join("missing");
    std::fs::write(&target, "precious").expect("written");
    let symbolic = |path: &Path| symlink(&target, path).expect("linked");
    let dangling = |path: &Path| symlink(&missing, path).expect("linked");
    let hard = |path: &Path| std::fs::hard_link(&target, path).expect("linked");
    for mode in [0o777, 0o1777, 0o775, 0o757] {
        assert_eq!(opened(mode, symbolic), Err(SYMLINK.to_owned()), "{mode:o}");
        assert_eq!(opened(mode, dangling), Err(SYMLINK.to_owned()), "{mode:o}");
        let told = "it is a hard link in a directory that is not yours alone";
        assert_eq!(opened(mode, hard), Err(told.to_owned()), "{mode:o}");
        assert_eq!(opened(mode, |_| ()), Ok(()), "{mode:o}");
    }
    assert!(!missing.exists());
    assert_eq!(opened(0o755, symbolic), Ok(()));
    assert_eq!(opened(0o700, hard), Ok(()));
    assert_eq!(opened(0o755, dangling), Ok(()));
    assert!(missing.exists());
    assert_eq!(std::fs::read(&target).expect("read"), b"precious");
}

#[test]
fn special_files_are_named_in_the_error() {
    let socket = |path: &Path| drop(UnixListener::bind(path).expect("bound"));
    let pipe = |path: &Path| nix::unistd::mkfifo(path, Mode::S_IRWXU).expect("made");
    for mode in [0o700, 0o1777] {
        assert_eq!(opened(mode, socket), Err("it is a socket".to_owned()));
        assert_eq!(opened(mode, pipe), Err("it is a pipe without a reader".to_owned()));
    }
    let device = |path: &Path| symlink("/dev/null", path).expect("linked");
    assert_eq!(opened(0o700, device), Ok(()));
}

#[test]
fn a_plain_line_is_handed_on_at_its_newline() {
    let mut stage = Stage::new(NEVER);
    stage.logs.format = LogFormat::Plain;
    let log = stage.log("a.1");
    log.push(b"building\n\x1b[1A\x1b[2Kbuilt\nserved\n");
    assert_eq!(stage.logs.shared.lock().pending.bytes, b"building\nbuilt\nserved\n");
}

//! Finding the running instance, for the commands that need one.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::project::root_of;
use crate::cli::AppArgs;
use crate::control::client::{Client, Failure, NoClient};
use crate::control::lock;
use crate::control::others;
use crate::control::place::{self, Places};
use crate::control::proto::{Instance, Request};
use crate::env::Env;
use crate::error::Error;

/// How long until the next look.
const PAUSE: Duration = Duration::from_millis(2);

/// A running instance.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) client: Client,
    /// Where it listens.
    pub(super) socket: PathBuf,
    /// The folder it was found for.
    pub(super) root: PathBuf,
}

impl Remote {
    /// The instance of the app that `-d` or `-f` names; without either, of this folder or the
    /// nearest above it that has one.
    ///
    /// Connects only to an instance of this user. Unless the path was named, its directory must be private
    /// to this user before connecting; other places are skipped, and reported if no instance is found.
    pub(super) fn find(args: &AppArgs, env: &Env) -> Result<Self, Error> {
        let named = args.root.is_some() || args.procfile.is_some();
        let root = if named { root_of(args, env)? } else { env.cwd.clone() };
        let root = canonical(&root);
        let name = args.name.as_deref();
        let candidates = root.ancestors().take(if named { 1 } else { usize::MAX });
        let mut refused = Vec::new();
        for folder in candidates.clone() {
            let places = Places::of(folder, name, env);
            for socket in places.sockets().iter().chain(&places.elsewhere()) {
                match look(socket, places.is_named()) {
                    Look::Found(client) => {
                        return Ok(Self { client, socket: socket.clone(), root: folder.to_owned() });
                    }
                    Look::Silent(pid) => return Err(Error::Silent { pid }),
                    Look::Nothing => {}
                    Look::Refused(why) if places.is_named() => {
                        let hint =
                            "set GANGER_SOCKET to your own instance, or run this as the user who owns it";
                        return Err(Error::usage(why, hint));
                    }
                    Look::Refused(why) | Look::Other(why) if refused.contains(&why) => {}
                    Look::Refused(why) | Look::Other(why) => refused.push(why),
                }
            }
            if places.is_named() {
                break;
            }
        }
        let is_named = Places::of(&root, name, env).is_named();
        let name = name.map(str::to_owned);
        for folder in candidates.filter(|_| !is_named) {
            if let Some(uid) = others::other_user(folder, name.as_deref()) {
                return Err(Error::NotAsYou { root: folder.to_owned(), name, uid });
            }
        }
        let others = if is_named { Vec::new() } else { others::names(&root, env) };
        Err(Error::NotRunning { root, name, others, refused })
    }

    /// Returns the root of the instance on a socket that the user named, if one listens there.
    pub(super) fn root_at(socket: &Path) -> Option<PathBuf> {
        let Look::Found(mut client) = look(socket, true) else { return None };
        let instance: Instance = client.call(&Request::Ps).ok()?;
        Some(instance.root.into())
    }

    /// Asks for one result.
    pub(super) fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Error> {
        self.client.call(request).map_err(|failure| Self::failed(failure, &self.root))
    }

    /// Why a request was not carried out.
    pub(super) fn failed(failure: Failure, root: &Path) -> Error {
        match failure {
            Failure::Refused(refusal) => Error::Refused(refusal),
            Failure::Invalid(why) => Error::Refused(Failure::invalid_reply(&why)),
            Failure::Silent(pid) => Error::Silent { pid },
            Failure::Unread => Error::system("writing to stdout", io::Error::from(io::ErrorKind::BrokenPipe)),
            Failure::Broken(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    Error::Ended { root: root.to_owned() }
                }
                _ => Error::system("asking the running instance", error),
            },
        }
    }
}

/// What was found at a place.
enum Look {
    Found(Client),
    /// An instance that is not responding; its pid.
    Silent(Option<u32>),
    /// No instance, or one that was killed.
    Nothing,
    /// Not a socket; says what it is.
    Other(String),
    /// Not to be trusted; says why.
    Refused(String),
}

fn look(socket: &Path, is_named: bool) -> Look {
    if !is_named {
        let directory = socket.parent().unwrap_or(Path::new("/"));
        match place::is_own_directory(directory) {
            Ok(true) => {}
            Ok(false) => return Look::Nothing,
            Err(why) => return Look::Refused(format!("{} is not used: {why}", directory.display())),
        }
    }
    // An instance that has just started may not listen yet, though its processes run (`cmd/start.rs`).
    loop {
        return match Client::connect(socket) {
            Ok(client) => Look::Found(client),
            Err(NoClient::Silent(pid)) => Look::Silent(pid),
            Err(NoClient::NotOurs(uid)) => {
                Look::Refused(format!("the socket {} belongs to another user (uid {uid})", socket.display()))
            }
            Err(NoClient::Absent(error)) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused if lock::is_starting(socket) => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                io::ErrorKind::PermissionDenied => {
                    Look::Refused(format!("the socket {} is not yours", socket.display()))
                }
                _ if is_other(socket) => Look::Other(format!("{} is not a socket", socket.display())),
                _ => Look::Nothing,
            },
        };
    }
}

fn is_other(socket: &Path) -> bool {
    std::fs::metadata(socket).is_ok_and(|found| !found.file_type().is_socket())
}

/// The path without links, also where the folder is gone.
fn canonical(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(found), ..) => found,
        (Err(_), Some(parent), Some(name)) => canonical(parent).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}

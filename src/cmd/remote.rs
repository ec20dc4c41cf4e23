//! Finding the running instance, for the commands that need one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::project::root_of;
use crate::cli::AppArgs;
use crate::control::client::{Client, Failure};
use crate::control::place::{self, Places};
use crate::control::proto::Request;
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
    pub(super) fn find(args: &AppArgs, env: &Env) -> Result<Self, Error> {
        let named = args.root.is_some() || args.procfile.is_some();
        let root = if named { root_of(args, env)? } else { env.cwd.clone() };
        let root = canonical(&root);
        let candidates = root.ancestors().take(if named { 1 } else { usize::MAX });
        for folder in candidates {
            let places = Places::of(folder, env);
            for socket in places.sockets() {
                match connect(socket) {
                    Ok(client) => {
                        return Ok(Self { client, socket: socket.clone(), root: folder.to_owned() });
                    }
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied && places.is_named() => {
                        let message = format!("the socket {} is not yours", socket.display());
                        return Err(Error::usage(
                            message,
                            "set GANGER_SOCKET to the socket of your instance",
                        ));
                    }
                    // None there, one that a killed instance left, or somebody else's folder.
                    Err(_) => {}
                }
            }
            if places.is_named() {
                break;
            }
        }
        Err(Error::NotRunning { root })
    }

    /// Asks for one result.
    pub(super) fn call<T: DeserializeOwned>(&mut self, request: &Request) -> Result<T, Error> {
        self.client.call(request).map_err(|failure| Self::failed(failure, &self.root))
    }

    /// Why a request was not carried out.
    pub(super) fn failed(failure: Failure, root: &Path) -> Error {
        match failure {
            Failure::Refused(refusal) => Error::Refused(refusal),
            Failure::Broken(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                    Error::Ended { root: root.to_owned() }
                }
                _ => Error::system("asking the running instance", error),
            },
        }
    }
}

/// Connects. One that has just started may not listen yet, though its processes run (`cmd/start.rs`).
fn connect(socket: &Path) -> io::Result<Client> {
    loop {
        match Client::connect(socket) {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
                    && place::is_starting(socket) =>
            {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

/// The path without links, also where the folder is gone.
fn canonical(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(found), ..) => found,
        (Err(_), Some(parent), Some(name)) => canonical(parent).join(name),
        (Err(_), ..) => path.to_owned(),
    }
}

//! The control socket of `ganger start`: had before anything starts, opened in the supervisor by the
//! output's thread.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

use tokio::net::UnixListener;
use tokio::sync::mpsc::UnboundedSender;

use super::background::Background;
use super::complain;
use super::remote::Remote;
use crate::control::desk::{About, Desk};
use crate::control::place::{NoPlace, Place, Places};
use crate::control::proto::Refusal;
use crate::control::seats::Seats;
use crate::control::server;
use crate::env::Env;
use crate::error::Error;
use crate::os::unix_socket;
use crate::output::pump::Pump;
use crate::plan::Planner;
use crate::supervisor::driver::Message;
use crate::supervisor::event::Event;

/// Reads the app's files again.
pub(super) type ReadAgain = Box<dyn Fn() -> Result<Planner, Refusal> + Send + Sync>;

/// The place of this run's socket. Dropped, the socket is gone; those who are connected see the end
/// when we end.
#[derive(Debug)]
pub(super) struct Listening {
    /// The place, or why there is none: the run goes on without.
    place: Result<Place, String>,
    root: String,
    name: Option<String>,
    pid: u32,
}

/// The socket that a thread opens. Dropped, it waits for that: then the socket can be removed.
#[derive(Debug)]
pub(super) struct Door {
    opening: Option<Receiver<Result<StdListener, String>>>,
    /// What came of it.
    opened: Result<StdListener, String>,
}

/// An instance, for a message about it.
#[derive(Debug)]
pub(super) struct Who {
    /// What runs where.
    pub(super) text: String,
    /// How its commands begin.
    pub(super) command: String,
}

impl Door {
    fn wait(&mut self) {
        if let Some(opened) = self.opening.take().and_then(|opening| opening.recv().ok()) {
            self.opened = opened;
        }
    }

    /// Fails where there is no socket, for a run that cannot do without.
    pub(super) fn need(&mut self) -> io::Result<()> {
        self.wait();
        self.opened.as_ref().map(drop).map_err(|why| io::Error::other(format!("there is no socket: {why}")))
    }

    /// The socket. A run that goes on without says so.
    pub(super) fn socket(mut self, pump: &Pump) -> Option<StdListener> {
        self.wait();
        let tell = |why: &String| {
            pump.tell(Event::Hint(format!(
                "`ganger ps` and its like will not find this run, there is no socket: {why}"
            )));
        };
        std::mem::replace(&mut self.opened, Err(String::new())).inspect_err(tell).ok()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.wait();
    }
}

impl Listening {
    /// Takes the place. Fails if another instance has it, or if the user named one that cannot be
    /// had.
    ///
    /// `GANGER_SOCKET` is passed on to processes. One that starts another project leaves the socket of ours alone.
    pub(super) fn prepare(root: &Path, name: Option<&str>, env: &Env) -> Result<Self, Error> {
        let root = &root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let (mut places, pid) = (Places::of(root, name, env), std::process::id());
        let without = |path: &Path, error: &io::Error| format!("{}: {error}", path.display());
        let mut taken = places.take();
        if let (true, Err(NoPlace::Taken(_)), [socket]) = (places.is_named(), &taken, places.sockets())
            && let Some(other) = Remote::root_at(socket).filter(|other| other != root)
        {
            let other = other.display();
            complain(&format!(
                "ganger: note: GANGER_SOCKET is the socket of the instance in {other}; this one has its own"
            ));
            places = Places::own(root, name, env);
            taken = places.take();
        }
        let place = match taken {
            Ok(mut place) => match place.sign(pid) {
                Ok(()) => Ok(place),
                Err(error) => Err(without(place.socket(), &error)),
            },
            Err(NoPlace::Taken(pid)) => {
                return Err(Error::Running { root: root.to_owned(), name: name.map(str::to_owned), pid });
            }
            Err(NoPlace::Unusable(all)) if places.is_named() => {
                let why = |(path, error): &(PathBuf, io::Error)| {
                    format!("the socket {} cannot be made: {error}", path.display())
                };
                let message = all.iter().map(why).collect::<Vec<_>>().join("; ");
                return Err(Error::usage(message, "set GANGER_SOCKET to another path, or unset it"));
            }
            Err(NoPlace::Unusable(all)) => {
                Err(all.iter().map(|(path, error)| without(path, error)).collect::<Vec<_>>().join("; "))
            }
        };
        Ok(Self { place, root: root.display().to_string(), name: name.map(str::to_owned), pid })
    }

    /// The socket. Fails where there is no place for one: `option` cannot do without.
    pub(super) fn socket_for(&self, option: &str) -> Result<&Path, Error> {
        let why = match &self.place {
            Ok(place) => return Ok(place.socket()),
            Err(why) => why,
        };
        let message = format!("{option}: there is no place for the socket that it needs: {why}");
        let hint =
            format!("set GANGER_SOCKET to a path in a folder that you may write to, or leave {option} out");
        Err(Error::Start { message, hint: Some(hint) })
    }

    /// Says that this process is the one to signal, if it is another one since the place was taken.
    pub(super) fn hand_over(&mut self) -> Result<(), Error> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        self.pid = std::process::id();
        let signed = self.place.as_mut().map_or(Ok(()), |place| place.sign(self.pid));
        signed.map_err(|error| Error::system("writing the lock of the socket", error))
    }

    /// Who runs here.
    pub(super) fn describe(&self) -> Who {
        let command = self.name.as_ref().map_or("ganger".to_owned(), |name| format!("ganger --name {name}"));
        Who { text: format!("{command} runs in {}, pid {}", self.root, self.pid), command }
    }

    /// What opens the socket, for a thread that has time for it, and where the socket comes out. Who
    /// connects from then on is answered once [`Listening::serve`] is called.
    pub(super) fn door(&self) -> (impl FnOnce() + Send + 'static, Door) {
        let (opened, opening) = channel();
        let open = self.place.as_ref().map_err(String::clone).map(|place| {
            let path = place.socket().display().to_string();
            let open = place.opener();
            move || open().map_err(|error| format!("{path}: {error}"))
        });
        let first = move || drop(opened.send(open.and_then(|open| open())));
        (first, Door { opening: Some(opening), opened: Err("nobody has opened it".to_owned()) })
    }

    /// Accepts clients on the socket that was opened, on the background thread, which the first client starts.
    /// `needed` is the number of descriptors that the processes and ganger itself need.
    pub(super) fn serve(
        &self,
        (listener, background): (StdListener, Background),
        driver: &UnboundedSender<Message>,
        read: ReadAgain,
        (pump, seats): (&Pump, &Seats),
        needed: usize,
    ) -> io::Result<()> {
        let (root, history) = (self.root.clone(), pump.history());
        let about = About { read, pid: self.pid, root, history, seats: seats.clone() };
        let desk = Desk::new(driver.clone(), about);
        let first = unix_socket::first_client(listener)?;
        tokio::spawn(async move {
            if let Ok(listener) = first.await {
                background.spawn(async move {
                    if let Ok(listener) = UnixListener::from_std(listener) {
                        server::serve(listener, desk, needed).await;
                    }
                });
            }
        });
        Ok(())
    }
}

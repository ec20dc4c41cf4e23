//! Whether a TCP port is free, who holds it, and which ports `-p auto` tries.
//!
//! Asks the system and changes nothing there. It never listens on a port: a browser tab that
//! reloads every second would be answered by us. What it tells is true at the moment it
//! looks; a port may be taken before the app binds it, and then the app says so.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};

use crate::model::Port;

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its command line for a message: one line, at most about 80 characters, no control
    /// characters.
    pub command: String,
}

/// Whether an app that listens on `port`, on this machine's or on all addresses, would be
/// refused because another does.
///
/// Tries to bind, as the app will, on loopback and wildcard of IPv4 and of IPv6. All four are
/// needed: on BSD and macOS a listener on `0.0.0.0` does not hinder a second one on
/// `127.0.0.1`, which then gets the browser's requests. Connecting instead of binding would
/// miss a listener whose queue is full and one behind a firewall rule, and would make its
/// server log a request.
///
/// `SO_REUSEADDR` is set, as every server sets it, so that a connection the last run left
/// behind (`TIME_WAIT`, up to a minute) does not count; a socket that listens does in any case.
///
/// A port below 1024 that we may not bind is in use if the system's tables have a listener. An error is
/// one that says nothing about the port, such as no descriptors left.
pub fn in_use(port: Port) -> io::Result<bool> {
    let mut forbidden = false;
    let addresses: [std::net::IpAddr; 4] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ];
    for address in addresses {
        let result = try_bind(SocketAddr::new(address, port.get()), true);
        forbidden |= result == Err(Errno::EACCES);
        if refused(result)? {
            return Ok(true);
        }
    }
    // The check without tables would ask here.
    Ok(forbidden && cfg!(target_os = "linux") && is_listening(port))
}

/// Returns whether this user may not listen on `port` at all, as on those below 1024.
pub fn is_forbidden(port: Port) -> bool {
    try_bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.get()), true) == Err(Errno::EACCES)
}

/// Binds for a moment.
fn try_bind(address: SocketAddr, reuse: bool) -> nix::Result<()> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    // macOS cannot set it here; nothing is spawned while ports are tried, so that no child
    // gets the socket.
    #[cfg(target_os = "linux")]
    let flags = SockFlag::SOCK_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = SockFlag::empty();
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &reuse)?;
    if address.is_ipv6() {
        // `::` would otherwise speak for IPv4 too, where the system's default wants it.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))
}

/// What the result of binding one address says: the port is taken there or not, or nothing.
fn refused(result: nix::Result<()>) -> io::Result<bool> {
    match result {
        // No IPv6 in the kernel, no `::1` in this container, or not ours to bind.
        Ok(()) | Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL | Errno::EACCES) => Ok(false),
        Err(Errno::EADDRINUSE) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// The process that listens on `port`, where the system tells.
///
/// Linux only, and there it is not found if it belongs to another user (unless we are root),
/// lives in another container, or has bound the port and does not listen. Of several
/// processes that share the socket it is the one that handed it down, the master of a
/// pre-forking server: ending a worker would free nothing. Process 1 is named only if nobody
/// else has the socket, since an init that hands sockets to its services keeps a copy.
///
/// Reads the descriptors of all processes (some milliseconds): for the message, not for the
/// check.
#[cfg(target_os = "linux")]
pub fn holder(port: Port) -> Option<Holder> {
    let mut sockets = std::collections::HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        sockets.extend(proc::listeners(&std::fs::read_to_string(table).unwrap_or_default(), port));
    }
    if sockets.is_empty() {
        return None;
    }
    let pid = proc::first_owner(&proc::owners(&sockets))?;
    Some(Holder { pid, command: proc::command(pid)? })
}

/// Whether somebody listens on `port`, by the system's tables: no connection is made, or the server
/// would log one.
#[cfg(target_os = "linux")]
pub fn is_listening(port: Port) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        proc::listeners(&table, port).next().is_some()
    })
}

/// See the Linux version. Without such tables a port that cannot be bound is one that is listened
/// on.
#[cfg(not(target_os = "linux"))]
pub fn is_listening(port: Port) -> bool {
    in_use(port).unwrap_or(false)
}

/// A port that a process is expected to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The port.
    pub port: Port,
    /// The pid of the process.
    pub leader: i32,
    /// Its name, which its descendants have as `PS`.
    pub name: String,
}

/// Returns for each of these whether a process of ours listens on the port: the one with the pid `leader`,
/// one below it, or one below us that has left it and was started with `PS=name`. By the system's tables, so
/// that no connection is made: a server that takes one at a time is not disturbed.
///
/// A listener whose owner cannot be seen counts: what another user's program has open is hidden (one that
/// `sudo` runs, a container's proxy), and the port was free before the process was started.
///
/// One scan serves all. It blocks for some milliseconds, and for much longer on a machine with many sockets
/// or descriptors: not for the driver's thread.
#[cfg(target_os = "linux")]
pub fn own_listening(all: &[Expected]) -> Vec<bool> {
    let mut sockets = std::collections::HashMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        let wanted = |port: u16| all.iter().any(|it| it.port.get() == port);
        sockets.extend(proc::listening(&table, wanted));
    }
    let owners = if sockets.is_empty() { Vec::new() } else { proc::owners_by_port(&sockets) };
    let is_there = |it: &Expected| {
        let port = it.port.get();
        let mut owners = owners.iter().filter(|(its, _)| *its == port).peekable();
        sockets.values().any(|its| *its == port)
            && (owners.peek().is_none() || owners.any(|(_, pid)| proc::is_own(*pid, it)))
    };
    all.iter().map(is_there).collect()
}

/// See the Linux version; without such tables any listener counts.
#[cfg(not(target_os = "linux"))]
pub fn own_listening(all: &[Expected]) -> Vec<bool> {
    all.iter().map(|it| is_listening(it.port)).collect()
}

/// Returns all ports on which the process listens that `expected` is about, in order. It costs more than
/// [`own_listening`]: the descriptors of all processes are read, whatever the ports.
#[cfg(target_os = "linux")]
pub fn listened_by(expected: &Expected) -> Vec<Port> {
    let mut sockets = std::collections::HashMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        sockets.extend(proc::listening(&table, |_| true));
    }
    let owners = if sockets.is_empty() { Vec::new() } else { proc::owners_by_port(&sockets) };
    let mut is_own = std::collections::HashMap::new();
    let mut own = |pid| *is_own.entry(pid).or_insert_with(|| proc::is_own(pid, expected));
    let ports: std::collections::BTreeSet<u16> =
        owners.into_iter().filter(|(_, pid)| own(*pid)).map(|(port, _)| port).collect();
    ports.into_iter().filter_map(|port| Port::new(port.into())).collect()
}

/// See the Linux version; without such tables it is not known whose a port is.
#[cfg(not(target_os = "linux"))]
pub fn listened_by(_: &Expected) -> Vec<Port> {
    Vec::new()
}

/// The process that listens on `port`: this system does not tell without `lsof`.
#[cfg(not(target_os = "linux"))]
pub fn holder(_port: Port) -> Option<Holder> {
    None
}

/// Base ports for `-p auto`: each stands for a block of a thousand, all from 5000 to 31000
/// but 6000, once each, the first chosen by the project's folder and the instance's name.
///
/// A named instance leaves the block of `avoid` to the one without a name.
///
/// The caller takes the first whose ports are all free. A block holds ten types a hundred
/// apart; a larger app reaches into the next block, which the caller's check covers. A folder
/// keeps its block from run to run and from machine to machine as long as nobody is in the
/// way, so that bookmarks and cookies go on working; two folders may share a first choice,
/// and then the later one gets the next block for as long as the first runs.
///
/// The blocks end below 32768, where Linux by default begins to take ports for outgoing
/// connections. 6000 is X11's and one of the ports that browsers refuse to open.
pub fn candidates(
    root: &Path,
    name: Option<&str>,
    avoid: Option<Port>,
) -> impl Iterator<Item = Port> + use<> {
    let avoid = avoid.map(|port| u32::from(port.get()) / 1000);
    let blocks = (5..32).filter(move |block| *block != 6 && Some(*block) != avoid);
    let count = blocks.clone().count();
    let mut chosen_by = root.as_os_str().as_bytes().to_vec();
    chosen_by.extend(name.iter().flat_map(|name| [b"@", name.as_bytes()].concat()));
    let first = usize::try_from(fnv1a(&chosen_by) % (count as u64)).unwrap_or(0);
    blocks.cycle().skip(first).take(count).filter_map(|block| Port::new(block * 1000))
}

/// FNV-1a, 64 bits. The standard library's hasher may change with every release, and with it
/// the port of every project.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// What `/proc` tells of sockets and processes; proc(5).
#[cfg(target_os = "linux")]
mod proc {
    use std::collections::{HashMap, HashSet};
    use std::fs;
    use std::io::Read as _;
    use std::path::PathBuf;

    use crate::model::Port;

    /// Most characters of a command line that a message shows.
    const MAX_COMMAND: usize = 80;

    /// A process and its parent.
    pub(super) type Family = (u32, u32);

    /// The listening sockets of `/proc/net/tcp` or `tcp6` on `port`, as links to them in
    /// `/proc/PID/fd` read.
    pub(super) fn listeners(table: &str, port: Port) -> impl Iterator<Item = PathBuf> {
        listening(table, move |its| its == port.get()).map(|(link, _)| link)
    }

    /// The same for all ports that are `wanted`, with the port of each.
    pub(super) fn listening(
        table: &str,
        wanted: impl Fn(u16) -> bool,
    ) -> impl Iterator<Item = (PathBuf, u16)> {
        table.lines().filter_map(move |line| {
            let mut fields = line.split_ascii_whitespace();
            let (_, local_port) = fields.nth(1)?.rsplit_once(':')?;
            let is_listening = fields.nth(1)? == "0A";
            let inode = fields.nth(5)?;
            let port = u16::from_str_radix(local_port, 16).ok()?;
            (is_listening && wanted(port)).then(|| (format!("socket:[{inode}]").into(), port))
        })
    }

    /// All processes that have one of `sockets` open. Those that end meanwhile, and those
    /// that are not ours to see, are left out.
    pub(super) fn owners(sockets: &HashSet<PathBuf>) -> Vec<Family> {
        let Ok(processes) = fs::read_dir("/proc") else { return vec![] };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| owns(*pid, sockets)).filter_map(|pid| Some((pid, parent(pid)?))).collect()
    }

    fn owns(pid: u32, sockets: &HashSet<PathBuf>) -> bool {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors
            .flatten()
            .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
            .any(|target| sockets.contains(&target))
    }

    /// The port and the pid for each of `sockets` that a process has open. Those that are not ours to see are
    /// left out.
    pub(super) fn owners_by_port(sockets: &HashMap<PathBuf, u16>) -> Vec<(u16, u32)> {
        let Ok(processes) = fs::read_dir("/proc") else { return vec![] };
        let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let of_process = |pid: u32| {
            let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let links = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
            links.filter_map(|link| sockets.get(&link).copied()).map(move |port| (port, pid))
        };
        pids.flat_map(of_process).collect()
    }

    fn parent(pid: u32) -> Option<u32> {
        // The program's name may hold blanks and parentheses; the last one closes it.
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let behind = memchr::memrchr(b')', &stat)? + 1;
        str::from_utf8(&stat[behind..]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
    }

    /// Returns whether `pid` belongs to what is expected. Every ganger on this machine may have a process of this
    /// name, so what has left the leader counts only if it is below us.
    pub(super) fn is_own(pid: u32, expected: &super::Expected) -> bool {
        is_below(pid, expected.leader.unsigned_abs())
            || is_below(pid, std::process::id()) && has_name(pid, &expected.name)
    }

    /// Returns whether `pid` is `leader` or below it.
    fn is_below(pid: u32, leader: u32) -> bool {
        let above = std::iter::successors(Some(pid), |pid| parent(*pid).filter(|parent| *parent > 1));
        // A process that ends meanwhile may make a circle of what is read.
        above.take(1000).any(|pid| pid == leader)
    }

    /// Returns whether `pid` was started as the process `name` of some ganger.
    fn has_name(pid: u32, name: &str) -> bool {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|item| item.strip_prefix(b"PS=") == Some(name.as_bytes()))
    }

    /// The owner whose parent is no owner; of several the one with the lowest number.
    pub(super) fn first_owner(owners: &[Family]) -> Option<u32> {
        let but_init = || owners.iter().filter(|(pid, _)| *pid != 1);
        let first = but_init().filter(|(_, parent)| !but_init().any(|(pid, _)| pid == parent));
        first.map(|(pid, _)| *pid).min().or_else(|| owners.first().map(|(pid, _)| *pid))
    }

    /// The command line of `pid`, else the name of its program.
    pub(super) fn command(pid: u32) -> Option<String> {
        let read = |file: &str| {
            let mut bytes = Vec::new();
            fs::File::open(format!("/proc/{pid}/{file}")).ok()?.take(4096).read_to_end(&mut bytes).ok()?;
            Some(one_line(&bytes)).filter(|text| !text.is_empty())
        };
        read("cmdline").or_else(|| read("comm"))
    }

    /// Arguments, each ended by a NUL, as one line that is safe to print.
    pub(super) fn one_line(arguments: &[u8]) -> String {
        let text = String::from_utf8_lossy(arguments);
        let mut characters = text.trim_end_matches(['\0', '\n', ' ']).chars();
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let mut line: String = characters.by_ref().take(MAX_COMMAND).map(shown).collect();
        if characters.next().is_some() {
            line.push('…');
        }
        line
    }
}

#[cfg(test)]
mod tests;

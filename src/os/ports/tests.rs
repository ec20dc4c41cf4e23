use std::io::Read as _;
use std::net::{TcpListener, TcpStream};

use super::*;

fn port_of(listener: &TcpListener) -> Port {
    let port = listener.local_addr().expect("it is bound").port();
    Port::new(port.into()).expect("a port is never 0")
}

/// Whether this machine has `::1`. Asked of the kernel's list and not by binding, so that
/// a test cannot skip itself over the fault it looks for.
fn has_ipv6() -> bool {
    if cfg!(target_os = "linux") {
        let addresses = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        return addresses.lines().any(|line| line.starts_with("00000000000000000000000000000001 "));
    }
    true
}

/// A listener whose port nobody else has on any address, so that it is free afterwards.
fn listener_on_all_addresses() -> TcpListener {
    let address = if has_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    TcpListener::bind(address).expect("any port")
}

#[track_caller]
fn assert_held_while_listening(address: &str) {
    let listener = TcpListener::bind(address).expect("any port");
    let port = port_of(&listener);
    assert!(in_use(port).expect("an answer"), "{address} port {port}");
}

#[test]
fn a_listener_on_any_ipv4_address_is_seen() {
    assert_held_while_listening("127.0.0.1:0");
    assert_held_while_listening("0.0.0.0:0");
}

#[test]
fn a_listener_on_any_ipv6_address_is_seen() {
    if has_ipv6() {
        assert_held_while_listening("[::1]:0");
        // Both families, as std binds it on Linux.
        assert_held_while_listening("[::]:0");
    }
}

#[test]
fn looking_does_not_disturb_the_listener() {
    let listener = listener_on_all_addresses();
    let port = port_of(&listener);
    assert!(in_use(port).expect("an answer"));
    drop(TcpStream::connect(("127.0.0.1", port.get())).expect("it still listens"));
    drop(listener);
    assert!(!in_use(port).expect("an answer"), "free when the listener is gone");
    assert!(!in_use(port).expect("an answer"), "and we do not keep it ourselves");
    let refused = TcpStream::connect(("127.0.0.1", port.get())).expect_err("nobody listens");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn connections_of_a_server_that_has_ended_do_not_count() {
    let listener = listener_on_all_addresses();
    let port = port_of(&listener);
    let mut client = TcpStream::connect(("127.0.0.1", port.get())).expect("it listens");
    let (server, _) = listener.accept().expect("the client");
    drop(listener);
    assert!(!in_use(port).expect("an answer"), "a connection that is still open");
    // Who closes first has the TIME_WAIT.
    drop(server);
    assert_eq!(client.read(&mut [0]).expect("end of file"), 0);
    drop(client);
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port.get());
    assert_eq!(try_bind(address, false), Err(Errno::EADDRINUSE), "something is left of it");
    assert!(!in_use(port).expect("an answer"));
}

#[test]
fn what_an_error_says_about_the_port() {
    assert_eq!(refused(Ok(())).ok(), Some(false));
    assert_eq!(refused(Err(Errno::EADDRINUSE)).ok(), Some(true));
    for errno in [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL, Errno::EACCES] {
        assert_eq!(refused(Err(errno)).ok(), Some(false), "{errno}");
    }
    let error = refused(Err(Errno::EMFILE)).expect_err("nothing is known");
    assert_eq!(error.raw_os_error(), Some(Errno::EMFILE as i32));
}

#[cfg(target_os = "linux")]
#[test]
fn the_holder_is_found() {
    let mut addresses = vec!["127.0.0.1:0", "0.0.0.0:0"];
    if has_ipv6() {
        addresses.extend(["[::1]:0", "[::]:0"]);
    }
    for address in addresses {
        let listener = TcpListener::bind(address).expect("any port");
        let holder = holder(port_of(&listener)).expect("it is us");
        assert_eq!(holder.pid, std::process::id(), "{address}");
        assert!(holder.command.contains("ganger"), "{holder:?}");
    }
}

#[test]
fn one_scan_tells_who_listens_on_several_ports() {
    let [ours, other, closed] = [0; 3].map(|_| listener_on_all_addresses());
    let us = i32::try_from(std::process::id()).expect("a pid");
    let expected =
        |listener: &_, leader| Expected { port: port_of(listener), leader, name: "no.1".to_owned() };
    let all = [expected(&ours, us), expected(&other, i32::MAX), expected(&closed, us), expected(&other, us)];
    drop(closed);
    let is_linux = cfg!(target_os = "linux");
    // Elsewhere it is not known whose a port is.
    assert_eq!(own_listening(&all), [true, !is_linux, false, true]);
    assert!(own_listening(&[]).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_free_port_has_no_holder() {
    let listener = listener_on_all_addresses();
    let port = port_of(&listener);
    drop(listener);
    assert_eq!(holder(port), None);
}

#[cfg(target_os = "linux")]
#[test]
fn only_listening_sockets_of_the_port_are_taken() {
    let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1388 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000 100 0 0 10 0
   1: 0100007F:1388 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000 20 4 30 10 -1
   2: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000 100 0 0 10 0
   3: 00000000000000000000000000000000:1388 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4714 1 0000 100 0 0 10 0
   4: short
";
    let found: Vec<_> = proc::listeners(table, Port::DEFAULT).collect();
    assert_eq!(found, [Path::new("socket:[4711]"), Path::new("socket:[4714]")]);
}

#[cfg(target_os = "linux")]
#[test]
fn the_holder_is_the_one_that_handed_the_socket_down() {
    for (owners, expected, why) in [
        (&[][..], None, "nobody"),
        (&[(7, 1)], Some(7), "one"),
        (&[(20, 30), (30, 1), (31, 30)], Some(30), "a master, also with a higher number"),
        (&[(40, 2), (20, 2)], Some(20), "two that know nothing of each other"),
        (&[(1, 0), (20, 1)], Some(20), "a service that got it from init"),
        (&[(1, 0)], Some(1), "the server of a container"),
    ] {
        assert_eq!(proc::first_owner(owners), expected, "{why}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_command_line_is_one_short_safe_line() {
    assert_eq!(proc::one_line(b"python3\0-m\0http.server\0\0\0"), "python3 -m http.server");
    assert_eq!(proc::one_line(b"nginx\n"), "nginx");
    assert_eq!(proc::one_line(b"a\x1b[31m\nb\xff"), "a [31m b\u{fffd}");
    assert_eq!(proc::one_line(&[b'x'; 80]), "x".repeat(80));
    assert_eq!(proc::one_line(&[b'x'; 81]), "x".repeat(80) + "…");
}

#[test]
fn each_block_is_tried_once_and_the_folder_says_which_first() {
    let bases = |root: &str| candidates(Path::new(root), None, None).map(Port::get).collect::<Vec<_>>();
    let ours = bases("/home/ada/app");
    assert_eq!(ours[..3], [10000, 11000, 12000], "it must never change: people keep bookmarks");
    assert_eq!(ours, bases("/home/ada/app"));
    let mut sorted = ours;
    sorted.sort_unstable();
    let all: Vec<u16> = (5..=31).filter(|block| *block != 6).map(|block| block * 1000).collect();
    assert_eq!(sorted, all);
}

#[test]
fn a_name_chooses_another_block_and_leaves_one_out() {
    let avoid = Port::new(11_500);
    let bases = |name: Option<&str>| {
        candidates(Path::new("/home/ada/app"), name, avoid).map(Port::get).collect::<Vec<_>>()
    };
    assert_eq!(bases(Some("test")), bases(Some("test")));
    let firsts: std::collections::HashSet<u16> =
        ["test", "dev", "ci", "a", "b"].iter().map(|name| bases(Some(name))[0]).collect();
    assert!(firsts.len() > 1, "{firsts:?}");
    assert!(!bases(Some("test")).contains(&11_000));
    assert_eq!(bases(Some("test")).len(), 25);
}

#[test]
fn folders_spread_over_the_blocks() {
    let firsts: std::collections::HashSet<_> = (0..1000)
        .filter_map(|number| candidates(Path::new(&format!("/src/app-{number}")), None, None).next())
        .collect();
    assert_eq!(firsts.len(), 26);
}

#[test]
fn the_hash_is_fnv1a() {
    // From the list of its authors, http://www.isthe.com/chongo/tech/comp/fnv/
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}

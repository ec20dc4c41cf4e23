//! The web process: a page that shows what ganger gave to it, on the port that ganger gave to it.
//!
//! It knows as much of HTTP as that takes: one request for each connection, GET and HEAD, no
//! bodies. There is nothing here to end it in good order: ganger asks it to stop with SIGTERM,
//! and the default action of that signal is to end.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// How long a client may say nothing before its connection is closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of a request line and its headers.
const MAX_HEAD: u64 = 16 * 1024;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    let port = env::var("PORT").ok().and_then(|text| text.parse().ok());
    let port: u16 = port.ok_or_else(|| io::Error::other("PORT is no port: run me with ganger"))?;
    // Nobody but this machine can reach the app.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("listening on http://localhost:{port}");
    loop {
        let result = listener.accept().and_then(|(connection, _)| {
            // A thread for each, so that an idle connection (browsers open some) delays nobody.
            thread::Builder::new().spawn(move || {
                if let Err(error) = answer(&connection) {
                    println!("a connection was lost: {error}");
                }
            })
        });
        if let Err(error) = result {
            // Out of descriptors or threads: that passes when others end.
            println!("a connection was refused: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Reads one request and answers it.
fn answer(mut connection: &TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(connection);
    let Some(line) = read_head(&mut reader)? else { return Ok(()) };
    let request = Request::parse(&line);
    let Response { status, kind, body } = respond(request.as_ref());
    let length = body.len();
    let body = if request.as_ref().is_some_and(|it| it.method == "HEAD") { "" } else { &body };
    connection.write_all(
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        )
        .as_bytes(),
    )?;
    let shown: String = line.chars().take(80).collect();
    println!("{shown:?} {status}");
    // To close while the client still sends (a body we do not want) would reset the connection,
    // and the client might never see the answer. How it ends does not matter any more.
    connection.shutdown(Shutdown::Write)?;
    let _ = io::copy(&mut reader.take(1024 * 1024), &mut io::sink());
    Ok(())
}

/// Reads the request line and the headers, of which nothing is used, and answers the line.
/// `None` if the client closes without a word, or says nothing for too long.
fn read_head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = reader.take(MAX_HEAD);
    let mut request = Vec::new();
    loop {
        let before = request.len();
        match head.read_until(b'\n', &mut request) {
            Ok(_) => {}
            Err(error) if request.is_empty() && is_timeout(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        // The end is an empty line; or the client closed, or has said too much.
        if matches!(&request[before..], b"" | b"\n" | b"\r\n") {
            break;
        }
    }
    let line = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).trim_end().to_owned();
    Ok(if request.is_empty() { None } else { Some(line) })
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// What is used of a request.
struct Request<'a> {
    method: &'a str,
    path: &'a str,
}

impl<'a> Request<'a> {
    /// Takes `GET /path?query HTTP/1.1` apart.
    fn parse(line: &'a str) -> Option<Self> {
        let [method, target, version] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let path = target.split('?').next()?;
        (version.starts_with("HTTP/1.") && path.starts_with('/')).then_some(Self { method, path })
    }
}

struct Response {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Response {
    fn text(status: &'static str, body: &str) -> Self {
        Self { status, kind: "text/plain", body: format!("{body}\n") }
    }
}

fn respond(request: Option<&Request<'_>>) -> Response {
    let Some(Request { method, path }) = request else {
        return Response::text("400 Bad Request", "This is no HTTP request.");
    };
    match (*method, *path) {
        ("GET" | "HEAD", "/") => Response { status: "200 OK", kind: "text/html", body: page() },
        ("GET" | "HEAD", "/healthz") => Response::text("200 OK", "ok"),
        ("GET" | "HEAD", _) => Response::text("404 Not Found", "There is no such page."),
        _ => Response::text("405 Method Not Allowed", "Only GET and HEAD are allowed."),
    }
}

/// The page, with what ganger gave to this process.
fn page() -> String {
    let variables = [
        ("PORT", "where this process listens"),
        ("PS", "the name of this process"),
        ("GREETING", "a line of .env"),
        ("GANGER_PROCESS_WORKER_PORT", "the port given to the worker"),
    ];
    let row = |(name, meaning): (&str, &str)| {
        let value = escape(&env::var(name).unwrap_or_else(|_| "(not set)".to_owned()));
        format!("<tr><th><code>{name}</code></th><td><code>{value}</code></td><td>{meaning}</td></tr>\n")
    };
    let rows = variables.map(row).concat();
    let greeting = env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned());
    include_str!("page.html").replace("{greeting}", &escape(&greeting)).replace("{rows}", &rows)
}

/// Text as HTML shows it: a value may hold anything, also what is a mark in the page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('{', "&#123;")
}

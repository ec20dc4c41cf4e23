//! The worker process: something to do every few seconds, and now and then a question to the
//! web process, whose port ganger tells.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// From one job to the next.
const PAUSE: Duration = Duration::from_secs(3);

/// How long the web process may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() {
    // Every process gets GANGER_PROCESS_<TYPE>_PORT for each type of the Procfile.
    let web = env::var("GANGER_PROCESS_WEB_PORT").ok().and_then(|text| text.parse().ok());
    for job in 1_u64.. {
        println!("job {job} done");
        if job % 3 == 2
            && let Some(port) = web
        {
            match ask(port) {
                Ok(status) => println!("web on port {port} says {status}"),
                // While it is compiled, for one.
                Err(error) => println!("web on port {port} does not answer: {error}"),
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Asks the web process whether it is well; answers the first line of its reply.
fn ask(port: u16) -> io::Result<String> {
    let mut connection =
        TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(connection).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

//! Whether a probe's address answers, by a connection or an HTTP request, and whether processes listen on
//! their ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::model::Port;
use crate::os::ports::{self, Expected};

/// How long a connection may take. Who waits for a machine that drops what it gets asks again.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How long a server may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Connects, and closes at once.
pub(super) async fn tcp(host: String, port: Port) -> Result<(), String> {
    let known: Vec<IpAddr> = match host.as_str() {
        // What it means is known, and to ask may take long where the network is away.
        "localhost" => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        host => host.parse().into_iter().collect(),
    };
    if known.is_empty() {
        return in_thread(move || connect_by_name(&host, port).map_err(|error| error.to_string())).await;
    }
    let mut first = None;
    for address in known {
        let connect = tokio::net::TcpStream::connect(SocketAddr::new(address, port.get()));
        match tokio::time::timeout(CONNECT_LIMIT, connect).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => drop(first.get_or_insert(in_words(&error))),
            Err(_) => drop(first.get_or_insert_with(|| "no answer".to_owned())),
        }
    }
    Err(first.unwrap_or_default())
}

fn connect_by_name(host: &str, port: Port) -> io::Result<()> {
    let mut last = io::Error::other("this name has no address");
    for address in (host, port.get()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The system's words without its number.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

/// Asks for a page. A status below 400 is a good answer: a redirect (to a login, say) is followed by
/// browsers and shows that the server works.
pub(super) async fn http(url: String) -> Result<(), String> {
    in_thread(move || {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_LIMIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A server on a developer's machine signs its own certificate. Credentials are sent only to this
            // machine (`Probe` refuses any other host) and never to the target of a redirect. Of the response,
            // only its status is used.
            .tls_config(ureq::tls::TlsConfig::builder().disable_verification(true).build())
            // What is waited for is here or near; a proxy for the wide world does not know it.
            .proxy(None)
            .user_agent(concat!("ganger/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = ureq::Agent::with_parts(config, DefaultConnector::default(), BothLocal::default());
        match agent.get(&url).header("Connection", "close").call() {
            Ok(answer) if answer.status().as_u16() < 400 => Ok(()),
            Ok(answer) => Err(format!("status {}", answer.status().as_u16())),
            Err(ureq::Error::Io(error)) => Err(in_words(&error)),
            Err(ureq::Error::Timeout(_)) => Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
}

/// Resolves `localhost` to both of its addresses, as for `tcp:`; the system often knows one alone, and a
/// server may listen on the other.
#[derive(Debug, Default)]
struct BothLocal(DefaultResolver);

impl Resolver for BothLocal {
    fn resolve(
        &self,
        url: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if url.host() != Some("localhost") {
            return self.0.resolve(url, config, timeout);
        }
        let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
        let port = url.port_u16().unwrap_or(usual);
        let mut both = self.empty();
        both.push((Ipv4Addr::LOCALHOST, port).into());
        both.push((Ipv6Addr::LOCALHOST, port).into());
        Ok(both)
    }
}

/// Scans for listening ports, one at a time: what is asked for during one is answered together by the next.
/// A scan costs the same for one port as for all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Scans(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    next: Vec<(Expected, oneshot::Sender<Result<bool, String>>)>,
    is_scanning: bool,
}

impl Scans {
    /// Returns an error with the reason unless the process listens on its port.
    pub(super) async fn listens(&self, expected: Expected) -> Result<(), String> {
        let port = expected.port;
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut asked = self.lock();
            asked.next.push((expected, answer));
            !std::mem::replace(&mut asked.is_scanning, true)
        };
        if begins {
            tokio::spawn(self.clone().scan());
        }
        match answered.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(why)) => Err(why),
            Ok(Ok(false)) | Err(_) => Err(format!("nothing listens on {port}")),
        }
    }

    async fn scan(self) {
        loop {
            // Those who look at the same time have asked by then.
            tokio::task::yield_now().await;
            let next = {
                let mut asked = self.lock();
                // A search that was called off needs no answer.
                asked.next.retain(|(_, answer)| !answer.is_closed());
                if asked.next.is_empty() {
                    asked.is_scanning = false;
                    return;
                }
                std::mem::take(&mut asked.next)
            };
            let (all, answers): (Vec<Expected>, Vec<_>) = next.into_iter().unzip();
            let scanned = in_thread(move || Ok(ports::own_listening(&all))).await;
            for (place, answer) in answers.into_iter().enumerate() {
                let _ = answer.send(match &scanned {
                    Ok(found) => Ok(found.get(place).copied().unwrap_or(false)),
                    Err(why) => Err(why.clone()),
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the ports on which a process listens.
pub(super) async fn listened_by(expected: Expected) -> Vec<Port> {
    in_thread(move || Ok(ports::listened_by(&expected))).await.unwrap_or_default()
}

/// Does what blocks in a thread of its own. When nobody wants the answer any more, nobody waits for the
/// thread: it ends by itself within the limits, or with us.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (answer, answered) = oneshot::channel();
    let work = move || drop(answer.send(work()));
    std::thread::Builder::new().name("probe".into()).spawn(work).map_err(|error| error.to_string())?;
    answered.await.unwrap_or_else(|_| Err("nobody has looked".to_owned()))
}

//! `loop`: finds out whether what is forwarded comes back, by asking for a name that nobody else asks for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::base::iana::{Class, Rtype};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Next, Plugin, Serving};
use crate::http::reachable;
use crate::name::Name;
use crate::server::Context;
use crate::server::journal::{Journal, Level};
use crate::server::message::{MAX_LEN, Question};
use crate::server::query::Query;

/// How often the name may be asked for: by ourselves, and once more should the first be lost.
const HARMLESS: u32 = 2;

/// For how long it is tried to ask ourselves.
const TRYING: Duration = Duration::from_secs(30);

/// How long we may take to reply.
const REPLY: Duration = Duration::from_secs(2);

/// How long to wait after we did not.
const PAUSE: Duration = Duration::from_secs(1);

/// For how long what comes is counted after we have replied.
const WATCHING: Duration = Duration::from_secs(2);

/// Looks for loops.
pub(super) struct Looping(Arc<Shared>);

struct Shared {
    zone: Name,
    /// The name that is asked for.
    name: Name,
    /// Whom we ask.
    asked: OnceLock<SocketAddr>,
    seen: AtomicU32,
    is_over: AtomicBool,
    journal: Journal,
    fatal: Fatal,
}

/// Where it is told why the agent cannot go on.
#[derive(Clone)]
pub struct Fatal {
    reason: Arc<OnceLock<String>>,
    told: CancellationToken,
}

impl Default for Fatal {
    fn default() -> Self {
        Self {
            reason: Arc::default(),
            told: CancellationToken::new(),
        }
    }
}

impl Fatal {
    /// Tells it; the first reason counts.
    fn tell(&self, reason: String) {
        self.reason.get_or_init(|| reason);
        self.told.cancel();
    }

    /// Waits until it is told.
    pub async fn wait(&self) -> String {
        self.told.cancelled().await;
        self.reason.get().cloned().unwrap_or_default()
    }
}

impl Looping {
    /// Looks for loops in the block of this zone.
    pub(super) fn new(zone: &Name, context: &Context) -> Self {
        // Below 2^62 each, as in CoreDNS, so that it is a name of the same form.
        let number = || rand::random::<u64>() >> 2;
        let name = match format!("{}.{}.{zone}", number(), number()) {
            name if name.ends_with("..") => name[..name.len() - 1].to_owned(),
            name => name,
        };
        Self(Arc::new(Shared {
            name: Name::parse(&name).unwrap_or_else(|| zone.clone()),
            zone: zone.clone(),
            asked: OnceLock::new(),
            seen: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
            journal: context.journal.clone(),
            fatal: context.fatal.clone(),
        }))
    }
}

impl Plugin for Looping {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let is_ours = query.message.question.qtype == Rtype::HINFO && query.name() == &self.0.name;
        if is_ours && !self.0.is_over.load(Ordering::Relaxed) {
            self.0.see(query);
        }
        next.serve(query)
    }

    fn start(&self, address: SocketAddr) {
        if self.0.asked.set(reachable(address)).is_ok() {
            tokio::spawn(self.0.clone().look());
        }
    }
}

impl Shared {
    fn see(&self, query: &Query) {
        if self.seen.fetch_add(1, Ordering::Relaxed) < HARMLESS {
            return;
        }
        let Self { zone, name, .. } = self;
        let to = self.asked.get().map(SocketAddr::to_string).unwrap_or_default();
        let reason = format!(
            "Loop ({} -> {to}) detected for zone \"{zone}\", see https://coredns.io/plugins/loop#troubleshooting. \
             Query: \"HINFO {name}\"",
            query.client.address
        );
        self.journal.write(Level::Fatal, &format!("plugin/loop: {reason}"));
        self.fatal.tell(reason);
    }

    /// Asks ourselves until we reply, and watches for a while.
    async fn look(self: Arc<Self>) {
        let begun = Instant::now();
        while begun.elapsed() < TRYING {
            if let Ok(Some(())) = timeout(REPLY, self.ask()).await {
                sleep(WATCHING).await;
                break;
            }
            self.seen.store(0, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
        self.is_over.store(true, Ordering::Relaxed);
    }

    async fn ask(&self) -> Option<()> {
        let address = *self.asked.get()?;
        let mut query = Query::of_question(Question {
            name: self.name.as_wire().to_vec(),
            qtype: Rtype::HINFO,
            class: Class::IN,
        });
        query.message.header.set_id(rand::random());
        query.message.header.set_rd(true);
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await.ok()?;
        socket.connect(address).await.ok()?;
        socket.send(&query.message.write(MAX_LEN)).await.ok()?;
        socket.recv(&mut [0; 512]).await.ok().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::*;
    use crate::server::{Server, Sockets};

    #[tokio::test]
    async fn a_name_that_comes_back_is_a_loop() {
        let context = context();
        let looping = Looping::new(&Name::root(), &context);
        assert_eq!(looping.0.name.labels().count(), 2);
        let question = |qtype| query(&looping.0.name.to_string(), qtype);
        let see = |qtype: u16| {
            let query = Query::read(&question(qtype), UDP).unwrap();
            if query.message.question.qtype == Rtype::HINFO {
                looping.0.see(&query);
            }
        };
        see(13);
        see(13);
        assert!(!context.fatal.told.is_cancelled());
        see(13);
        let reason = context.fatal.wait().await;
        assert!(
            reason.starts_with("Loop (127.0.0.1:0 -> ) detected for zone \".\", see "),
            "{reason}"
        );
        assert!(
            reason.ends_with(&format!("Query: \"HINFO {}\"", looping.0.name)),
            "{reason}"
        );
    }

    #[tokio::test]
    async fn a_server_that_asks_itself_finds_its_loop() {
        // Below the ports that the kernel hands out, so that no other test comes by it.
        const PORT: u16 = 5457;
        let context = context();
        let corefile = format!(".:{PORT} {{\nbind 127.0.0.1\nloop\nforward . 127.0.0.1:{PORT}\n}}");
        let config = crate::corefile::parse("Corefile".as_ref(), &corefile).unwrap();
        let endpoints = crate::server::endpoints(&config, &context).unwrap();
        let server = Server::new(Sockets::default().open(endpoints).unwrap(), context.metrics);
        let shutdown = CancellationToken::new();
        let told = shutdown.clone();
        let serving = tokio::spawn(async move { server.serve(std::future::ready(()), told).await });
        let reason = timeout(Duration::from_secs(20), context.fatal.wait()).await.unwrap();
        assert!(reason.contains(&format!("-> 127.0.0.1:{PORT}) detected")), "{reason}");
        shutdown.cancel();
        serving.abort();
    }
}

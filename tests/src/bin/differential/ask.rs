//! Asks one server many questions: over UDP with many in flight, over TCP by one connection after the other.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use kxdns_tests::client::{Door, MTU, is_by_kernel};
use kxdns_tests::namespace::Namespace;

use crate::corefiles::Corefile;
use crate::tcp;
use crate::upstream::{LATE, WAITING};
use kxdns_tests::meaning::Reply;
use kxdns_tests::question::{Name, Question};

/// Where a server listens, as seen from its own namespace.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const PORT: u16 = 53;

const IN_FLIGHT: usize = 64;
/// How long a question waits before it is sent again; after the last of these it has no reply.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];
/// How long one waits that its server has to wait for: longer than CoreDNS asks an upstream that says nothing.
const MORE_PATIENCE: [Duration; 1] = [Duration::from_secs(7)];
const TICK: Duration = Duration::from_millis(20);

/// A reply, and who has sent it.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) reply: Reply,
    /// Whether the kernel has sent it.
    pub(crate) by_kernel: bool,
    /// The bytes of a datagram.
    pub(crate) length: usize,
}

const NOTHING: Told = Told {
    reply: Reply::Silence,
    by_kernel: false,
    length: 0,
};

/// Asks a server from a namespace.
pub(crate) struct Asker<'a> {
    namespace: &'a Namespace,
    /// The addresses that are asked. It follows from a question which of them it goes to.
    servers: Vec<IpAddr>,
    door: Door,
    next_id: u16,
    /// How many questions had to be sent again.
    pub(crate) repeated: usize,
    /// The addresses of the server's pod, and the scope of each.
    own: Vec<(String, String)>,
}

/// A question that waits for its reply.
struct Waiting {
    place: usize,
    tries: usize,
    since: Instant,
}

impl<'a> Asker<'a> {
    /// Asks a server over loopback, by both families unless its Corefile names addresses.
    pub(crate) fn beside(server: &'a Namespace, corefile: &Corefile) -> Result<Asker<'a>> {
        let both = [LOOPBACK, LOOPBACK_V6];
        let served = if corefile.binds() { &both[..1] } else { &both };
        Asker::new(server, server, served.to_vec())
    }

    /// Asks a server at these addresses from a [`kxdns_tests::client::Client`].
    pub(crate) fn from(client: &'a Namespace, server: &Namespace, servers: Vec<IpAddr>) -> Result<Asker<'a>> {
        Asker::new(client, server, servers)
    }

    fn new(namespace: &'a Namespace, server: &Namespace, servers: Vec<IpAddr>) -> Result<Asker<'a>> {
        Ok(Asker {
            namespace,
            servers,
            door: Door::open(namespace, TICK)?,
            next_id: 0,
            repeated: 0,
            own: addresses_of(server)?,
        })
    }

    /// The replies, in the order of the questions.
    pub(crate) fn ask_all(&mut self, questions: &[Question]) -> Result<Vec<Told>> {
        let mut replies = vec![NOTHING; questions.len()];
        let (tcp, udp): (Vec<usize>, Vec<usize>) = (0..questions.len()).partition(|place| questions[*place].tcp);
        let (namespace, servers) = (self.namespace, self.servers.clone());
        let over_tcp = thread::scope(|scope| {
            let over_tcp = scope.spawn(|| ask_tcp(namespace, &servers, questions, &tcp));
            self.ask_udp(questions, &udp, &mut replies)?;
            over_tcp.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        for (place, reply) in over_tcp? {
            replies[place].reply = reply;
        }
        replies.iter_mut().for_each(|told| told.reply.hide_own(&self.own));
        Ok(replies)
    }

    pub(crate) fn ask(&mut self, question: &Question) -> Result<Told> {
        let replies = self.ask_all(std::slice::from_ref(question))?;
        Ok(replies.into_iter().next().unwrap_or(NOTHING))
    }

    /// How many bytes a reply to the question can have without being cut into fragments; over loopback any number.
    pub(crate) fn room(&self, question: &Question) -> Option<usize> {
        let headers = match server_for(&self.servers, question) {
            IpAddr::V4(_) => 20 + 8,
            IpAddr::V6(_) => 40 + 8,
        };
        (!question.tcp && !self.is_over_loopback()).then_some(MTU - headers)
    }

    /// Whether no link is in between, on which the kernel could answer.
    fn is_over_loopback(&self) -> bool {
        self.servers.iter().all(IpAddr::is_loopback)
    }

    fn ask_udp(&mut self, questions: &[Question], places: &[usize], replies: &mut [Told]) -> Result<()> {
        let mut waiting = BTreeMap::new();
        let mut places = places.iter();
        let mut buffer = vec![0; 65536];
        loop {
            while waiting.len() < IN_FLIGHT
                && let Some(place) = places.next()
            {
                self.send_first(questions, *place, &mut waiting)?;
            }
            if waiting.is_empty() {
                return Ok(());
            }
            if let Some((message, from)) = self.door.receive(&mut buffer)? {
                self.take_reply(message, from, questions, &mut waiting, replies);
            } else {
                self.send_again(questions, &mut waiting)?;
            }
        }
    }

    fn send_first(&mut self, questions: &[Question], place: usize, waiting: &mut BTreeMap<u16, Waiting>) -> Result<()> {
        self.next_id = self.next_id.wrapping_add(1);
        self.send(&questions[place], self.next_id)?;
        let since = Instant::now();
        waiting.insert(self.next_id, Waiting { place, tries: 0, since });
        Ok(())
    }

    /// Sends again what has waited too long, and gives up what was sent often enough.
    fn send_again(&mut self, questions: &[Question], waiting: &mut BTreeMap<u16, Waiting>) -> Result<()> {
        for (id, wait) in waiting.iter_mut() {
            let question = &questions[wait.place];
            let patience = patience(question);
            if patience
                .get(wait.tries)
                .is_some_and(|patience| wait.since.elapsed() > *patience)
            {
                wait.tries += 1;
                wait.since = Instant::now();
                if wait.tries < patience.len() {
                    self.send(question, *id)?;
                    self.repeated += 1;
                }
            }
        }
        waiting.retain(|_, wait| wait.tries < patience(&questions[wait.place]).len());
        Ok(())
    }

    fn send(&self, question: &Question, id: u16) -> Result<()> {
        let server = server_for(&self.servers, question);
        self.door.send(server, &question.to_message(id))
    }

    /// Takes a reply from whom the question was sent to; anybody else's is none, nor is a second one.
    fn take_reply(
        &self,
        bytes: &[u8],
        from: SocketAddr,
        questions: &[Question],
        waiting: &mut BTreeMap<u16, Waiting>,
        replies: &mut [Told],
    ) {
        let id = bytes.first_chunk().map(|id| u16::from_be_bytes(*id));
        let Some((id, place)) = id.and_then(|id| Some((id, waiting.get(&id)?.place))) else {
            return;
        };
        let question = &questions[place];
        if let Some(by_kernel) = is_by_kernel(from, server_for(&self.servers, question)) {
            waiting.remove(&id);
            replies[place] = Told {
                reply: read(question, bytes),
                by_kernel: by_kernel && !self.is_over_loopback(),
                length: bytes.len(),
            };
        }
    }
}

/// How long a question waits each time that it is sent: what an upstream is slow at is not sent again.
fn patience(question: &Question) -> &'static [Duration] {
    if waits(&question.name) || question.name.has_word(LATE) {
        &MORE_PATIENCE
    } else {
        &PATIENCE
    }
}

/// Whether a server that forwards this name waits for seconds.
pub(crate) fn waits(name: &Name) -> bool {
    WAITING.iter().any(|word| name.has_word(word))
}

/// Reads a reply over UDP, which is not to be longer than its client can take.
fn read(question: &Question, bytes: &[u8]) -> Reply {
    match question.limit() {
        limit if bytes.len() > limit => Reply::Broken(format!("{} bytes of {limit} allowed", bytes.len())),
        _ => Reply::read(bytes),
    }
}

fn ask_tcp(
    namespace: &Namespace,
    servers: &[IpAddr],
    questions: &[Question],
    places: &[usize],
) -> Result<BTreeMap<usize, Reply>> {
    let mut replies = BTreeMap::new();
    for server in servers {
        let is_asked = |place: &usize| server_for(servers, &questions[*place]) == *server;
        let places: Vec<usize> = places.iter().copied().filter(is_asked).collect();
        let server = SocketAddr::from((*server, PORT));
        replies.extend(tcp::ask(namespace, server, questions, &places)?);
    }
    Ok(replies)
}

/// The server that a question goes to: always the same, so that a difference can be seen again.
fn server_for(servers: &[IpAddr], question: &Question) -> IpAddr {
    let sum = question
        .to_message(0)
        .iter()
        .fold(0, |sum: usize, byte| sum + usize::from(*byte));
    servers.get(sum % servers.len().max(1)).copied().unwrap_or(LOOPBACK)
}

/// All addresses of a namespace and how far each reaches, as `ip` tells them: `1: lo    inet 127.0.0.1/8 scope host lo ...`.
fn addresses_of(namespace: &Namespace) -> Result<Vec<(String, String)>> {
    let told = namespace.run("ip", ["-oneline", "address", "show"])?;
    let address = |line: &str| {
        let mut words = line.split_whitespace().skip(3);
        let address = words.next()?.split('/').next()?.to_owned();
        let scope = words.skip_while(|word| *word != "scope").nth(1)?.to_owned();
        Some((address, scope))
    };
    Ok(told.lines().filter_map(address).collect())
}

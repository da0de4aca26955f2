//! Asks one server many questions: over UDP with many in flight, over TCP by one connection after the other.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use kxdns_tests::namespace::Namespace;

use crate::meaning::Reply;
use crate::question::Question;
use crate::tcp;

/// Where a server listens, as seen from its own namespace.
pub(crate) const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 53);

const IN_FLIGHT: usize = 64;
/// How long a question waits before it is sent again; after the last of these it has no reply.
const PATIENCE: [Duration; 3] = [
    Duration::from_millis(400),
    Duration::from_millis(800),
    Duration::from_millis(1600),
];
const TICK: Duration = Duration::from_millis(20);

/// Asks a server from inside its namespace.
pub(crate) struct Asker<'a> {
    namespace: &'a Namespace,
    socket: UdpSocket,
    next_id: u16,
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
    pub(crate) fn new(namespace: &'a Namespace) -> Result<Asker<'a>> {
        let own = addresses_of(namespace)?;
        let socket = namespace.udp_to(SERVER)?;
        socket.set_read_timeout(Some(TICK))?;
        Ok(Asker {
            namespace,
            socket,
            next_id: 0,
            own,
        })
    }

    /// The replies, in the order of the questions.
    pub(crate) fn ask_all(&mut self, questions: &[Question]) -> Result<Vec<Reply>> {
        let mut replies = vec![Reply::Silence; questions.len()];
        let (tcp, udp): (Vec<usize>, Vec<usize>) = (0..questions.len()).partition(|place| questions[*place].tcp);
        let namespace = self.namespace;
        let over_tcp = thread::scope(|scope| {
            let over_tcp = scope.spawn(|| tcp::ask(namespace, questions, &tcp));
            self.ask_udp(questions, &udp, &mut replies)?;
            over_tcp.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        for (place, reply) in over_tcp? {
            replies[place] = reply;
        }
        replies.iter_mut().for_each(|reply| reply.hide_own(&self.own));
        Ok(replies)
    }

    pub(crate) fn ask(&mut self, question: &Question) -> Result<Reply> {
        let replies = self.ask_all(std::slice::from_ref(question))?;
        Ok(replies.into_iter().next().unwrap_or(Reply::Silence))
    }

    fn ask_udp(&mut self, questions: &[Question], places: &[usize], replies: &mut [Reply]) -> Result<()> {
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
            if let Some(length) = self.receive(&mut buffer)? {
                take_reply(&buffer[..length], &mut waiting, replies);
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
    fn send_again(&self, questions: &[Question], waiting: &mut BTreeMap<u16, Waiting>) -> Result<()> {
        for (id, wait) in waiting.iter_mut() {
            if PATIENCE
                .get(wait.tries)
                .is_some_and(|patience| wait.since.elapsed() > *patience)
            {
                wait.tries += 1;
                wait.since = Instant::now();
                if wait.tries < PATIENCE.len() {
                    self.send(&questions[wait.place], *id)?;
                }
            }
        }
        waiting.retain(|_, wait| wait.tries < PATIENCE.len());
        Ok(())
    }

    fn send(&self, question: &Question, id: u16) -> Result<()> {
        match self.socket.send(&question.to_message(id)) {
            Ok(_) => Ok(()),
            // A server that is about to start: the same as a lost question.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match self.socket.recv(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if is_silence(error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
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

fn is_silence(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    matches!(kind, ConnectionRefused | Interrupted | TimedOut | WouldBlock)
}

fn take_reply(bytes: &[u8], waiting: &mut BTreeMap<u16, Waiting>, replies: &mut [Reply]) {
    let id = bytes.first_chunk().map(|id| u16::from_be_bytes(*id));
    // A second reply to a question that was sent twice finds nobody.
    if let Some(wait) = id.and_then(|id| waiting.remove(&id)) {
        replies[wait.place] = Reply::read(bytes);
    }
}

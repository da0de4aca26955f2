//! Asking a server for one name again and again without taking the processor from it: a wait sleeps in the kernel.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use domain::base::iana::Rcode;
use kxdns_tests::dns::{Question, Reply};

const REPLY_LIMIT: Duration = Duration::from_millis(100);
/// The room of a reply under the size that the question advertises.
const REPLY_SIZE: usize = 1232;

/// What a name must answer to be right.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    pub(crate) name: String,
    /// No address: the name must not exist.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

impl Expectation {
    fn is_met(&self, reply: &Reply) -> bool {
        let addresses: BTreeSet<IpAddr> = reply.addresses.iter().copied().collect();
        match self.addresses.is_empty() {
            true => reply.rcode == Rcode::NXDOMAIN,
            false => reply.rcode == Rcode::NOERROR && addresses == self.addresses,
        }
    }
}

/// A socket to one server.
pub(crate) struct Probe {
    socket: UdpSocket,
    next_id: u16,
}

impl Probe {
    pub(crate) fn new(socket: UdpSocket) -> Result<Probe> {
        socket.set_read_timeout(Some(REPLY_LIMIT))?;
        Ok(Probe { socket, next_id: 1 })
    }

    /// Asks until the answer is right, with this pause after each that is not, and returns when it came.
    pub(crate) fn await_right(&mut self, expected: &Expectation, pause: Duration, limit: Duration) -> Result<Instant> {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < limit {
            let reply = self.ask(&expected.name)?;
            if reply.as_ref().is_some_and(|reply| expected.is_met(reply)) {
                return Ok(Instant::now());
            }
            last = reply.or(last);
            sleep(pause);
        }
        bail!("no right answer within {limit:?}: {expected:?}, but {last:?}")
    }

    /// Asks once whether the answer is right.
    pub(crate) fn is_right(&mut self, expected: &Expectation) -> Result<bool> {
        let reply = self.ask(&expected.name)?;
        Ok(reply.is_some_and(|reply| expected.is_met(&reply)))
    }

    /// Asks once; `None` if nobody listens, or too slowly.
    fn ask(&mut self, name: &str) -> Result<Option<Reply>> {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let query = Question::a(name).with_edns().to_message(id)?;
        let mut buffer = [0; REPLY_SIZE];
        let exchange = self.socket.send(&query).and_then(|_| self.socket.recv(&mut buffer));
        match exchange {
            Ok(length) => {
                let reply = Reply::parse(&buffer[..length])?;
                // A late reply to an earlier question is as good as none.
                Ok((reply.id == id).then_some(reply))
            }
            Err(error) if is_silence(error.kind()) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Fails where a Service's answer would not fit into a datagram.
pub(crate) fn ensure_fit(endpoints: usize) -> Result<()> {
    const HEADER_QUESTION_AND_OPT: usize = 12 + 255 + 4 + 11;
    const RECORD: usize = 16;
    let most = (REPLY_SIZE - HEADER_QUESTION_AND_OPT) / RECORD;
    ensure!(
        endpoints <= most,
        "{endpoints} endpoints a Service: more than {most} are not measured"
    );
    Ok(())
}

fn is_silence(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    )
}

//! Connections to one upstream, kept for the next query. Each serves one query at a time, so that a forged reply must guess
//! both its port and its ID (RFC 5452, 9.2), and the longest idle is taken first, so that the port changes from query to query.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use rustix::net::{RecvFlags, recv};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_util::codec::Framed;

use super::Protocol;
use crate::server::message::{HEADER_LEN, MAX_LEN};
use crate::server::tcp::{self, Frames};

/// Idle connections of each protocol.
pub(super) struct Pool {
    target: Target,
    idle: [Mutex<VecDeque<Idle>>; 2],
    limits: Limits,
}

/// Where connections lead.
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// The address that they come from, if not any.
    pub(super) source: Option<IpAddr>,
    /// How TLS is spoken, and to whom; if it is.
    pub(super) tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Which connections are kept.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How long one may be idle.
    pub(super) expire: Duration,
    /// How old one may be.
    pub(super) max_age: Option<Duration>,
    /// How many of a protocol may be idle.
    pub(super) max_idle: Option<usize>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection.
pub(super) struct Connection {
    link: Link,
    made: Instant,
}

enum Link {
    Datagrams(UdpSocket),
    Stream(Box<Framed<Box<dyn Stream>, Frames>>, SocketAddr),
}

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

impl Pool {
    pub(super) fn new(target: Target, limits: Limits) -> Self {
        Self {
            target,
            idle: Default::default(),
            limits,
        }
    }

    /// Where its connections lead.
    pub(super) fn address(&self) -> SocketAddr {
        self.target.address
    }

    /// Over what a query goes that is to go over this: with TLS always over a stream.
    pub(super) fn protocol(&self, wanted: Protocol) -> Protocol {
        match self.target.tls {
            Some(_) => Protocol::Stream,
            None => wanted,
        }
    }

    /// An idle connection, the one that has been so for the longest time; those that are too old are closed.
    pub(super) fn take(&self, protocol: Protocol) -> Option<Connection> {
        let mut idle = self.idle(protocol);
        self.limits.close_old(&mut idle);
        Some(idle.pop_front()?.connection)
    }

    /// A new connection.
    pub(super) async fn connect(&self, protocol: Protocol) -> io::Result<Connection> {
        let link = match protocol {
            Protocol::Datagrams => Link::Datagrams(self.target.connect_udp().await?),
            Protocol::Stream => {
                let (stream, local) = self.target.connect_stream().await?;
                Link::Stream(Box::new(tcp::frame(stream)), local)
            }
        };
        let made = Instant::now();
        Ok(Connection { link, made })
    }

    /// Keeps a connection whose query was replied to, and sees to it that it is closed some time.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        let protocol = connection.protocol();
        let mut idle = self.idle(protocol);
        if self.limits.max_idle.is_some_and(|most| idle.len() >= most) {
            return;
        }
        let since = Instant::now();
        idle.push_back(Idle { connection, since });
        if idle.len() == 1 {
            tokio::spawn(close_later(Arc::downgrade(self), protocol, self.limits.expire));
        }
    }

    fn idle(&self, protocol: Protocol) -> std::sync::MutexGuard<'_, VecDeque<Idle>> {
        self.idle[protocol as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what has been idle for too long, as long as there is anything; then the next that is kept brings this back.
async fn close_later(pool: Weak<Pool>, protocol: Protocol, expire: Duration) {
    loop {
        // Not at every instant that `expire` could be as short as.
        sleep(expire.max(Duration::from_millis(100))).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle(protocol);
        pool.limits.close_old(&mut idle);
        if idle.is_empty() {
            return;
        }
    }
}

impl Limits {
    fn close_old(&self, idle: &mut VecDeque<Idle>) {
        // They stand in the order in which they became idle.
        let expired = idle.iter().take_while(|one| one.since.elapsed() > self.expire).count();
        idle.drain(..expired);
        if let Some(max_age) = self.max_age {
            idle.retain(|one| one.connection.made.elapsed() <= max_age);
        }
    }
}

impl Target {
    async fn connect_udp(&self) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((self.source_address(), 0)).await?;
        socket.connect(self.address).await?;
        Ok(socket)
    }

    async fn connect_stream(&self) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let socket = match self.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = self.source {
            socket.bind((source, 0).into())?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr()?;
        Ok(match &self.tls {
            Some((connector, name)) => (Box::new(connector.connect(name.clone(), stream).await?), local),
            None => (Box::new(stream), local),
        })
    }

    fn source_address(&self) -> IpAddr {
        self.source.unwrap_or(match self.address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        })
    }
}

impl Connection {
    fn protocol(&self) -> Protocol {
        match self.link {
            Link::Datagrams(_) => Protocol::Datagrams,
            Link::Stream(..) => Protocol::Stream,
        }
    }

    /// The address that it comes from.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match &self.link {
            Link::Datagrams(socket) => socket.local_addr().ok(),
            Link::Stream(_, local) => Some(*local),
        }
    }

    /// Sends a query.
    pub(super) async fn send(&mut self, query: &[u8]) -> io::Result<()> {
        match &mut self.link {
            Link::Datagrams(socket) => socket.send(query).await.map(drop),
            Link::Stream(frames, _) => frames.send(Bytes::copy_from_slice(query)).await,
        }
    }

    /// Receives the reply to the query of this ID; what comes under another is none.
    pub(super) async fn receive(&mut self, id: [u8; 2]) -> io::Result<BytesMut> {
        let is_reply = |message: &[u8]| message.len() >= HEADER_LEN && message[..2] == id;
        loop {
            let message = match &mut self.link {
                // That nobody listens there is an error of the socket, and not a datagram.
                Link::Datagrams(socket) => {
                    let interest = Interest::READABLE | Interest::ERROR;
                    socket.async_io(interest, || receive_datagram(socket)).await?
                }
                Link::Stream(frames, _) => frames.next().await.ok_or(io::ErrorKind::UnexpectedEof)??,
            };
            if is_reply(&message) {
                return Ok(message);
            }
        }
    }
}

thread_local! {
    /// Queries that wait have no room for their replies yet: there may be thousands.
    static ROOM: RefCell<[u8; MAX_LEN]> = const { RefCell::new([0; MAX_LEN]) };
}

fn receive_datagram(socket: &UdpSocket) -> io::Result<BytesMut> {
    ROOM.with_borrow_mut(|room| {
        let (len, _) = recv(socket, &mut room[..], RecvFlags::empty())?;
        Ok(BytesMut::from(&room[..len]))
    })
}

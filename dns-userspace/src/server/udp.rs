//! The UDP side of the server: datagrams in batches, and replies from the address that was asked.
//!
//! `quinn-udp` does the system calls. It tells and sets the local address of each datagram, which a server on a
//! wildcard address needs: the kernel would otherwise choose the source by route, and a client ignores a reply from
//! another address than it asked. It also forbids fragments: a reply beyond the link's MTU is truncated, so that the
//! client comes back over TCP (RFC 9715, 3.1).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::message::{HEADER_LEN, rewrite};
use super::query::{Client, Transport};
use super::respond::{Responder, Response};

/// Room for one datagram, or for several of one sender that the kernel has joined (GRO), in bytes.
const BUFFER_LEN: usize = 1 << 16;

/// How long to wait after a failed receive, which no event announces the end of.
const RECEIVE_RETRY: Duration = Duration::from_millis(50);

/// An open UDP socket.
pub(super) struct UdpListener {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Answers queries on this socket until `shutdown`.
pub(super) async fn serve(
    listener: Arc<UdpListener>,
    current: watch::Receiver<Arc<Responder>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let mut batch = Batch::new();
    loop {
        let received = tokio::select! {
            () = shutdown.cancelled() => return,
            received = listener.receive(&mut batch) => received,
        };
        match received {
            Ok(count) => {
                let responder = current.borrow().clone();
                for (path, datagram) in batch.datagrams(count) {
                    answer(&listener, &responder, &tasks, path, datagram).await;
                }
            }
            Err(error) => {
                warn!("cannot receive DNS queries over UDP: {error}");
                sleep(RECEIVE_RETRY).await;
            }
        }
    }
}

/// Answers a query at once where nobody has to be waited for, and beside the next ones else.
async fn answer(
    listener: &Arc<UdpListener>,
    responder: &Arc<Responder>,
    tasks: &TaskTracker,
    path: Path,
    datagram: &[u8],
) {
    let client = Client {
        address: path.peer,
        local: path.local,
        port: responder.port(),
        transport: Transport::Udp,
    };
    match responder.respond_at_once(datagram, client) {
        Response::Silence => {}
        Response::Reply(reply) => listener.send(path, &reply).await,
        Response::Later(serving) => {
            let listener = listener.clone();
            tasks.spawn(async move {
                if let Some(reply) = serving.await {
                    listener.send(path, &reply).await;
                }
            });
        }
    }
}

impl UdpListener {
    /// Takes a bound socket over.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Self {
            socket: UdpSocket::from_std(socket)?,
            state,
        })
    }

    async fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        self.socket
            .async_io(Interest::READABLE, || batch.fill(&self.socket, &self.state))
            .await
    }

    /// Sends a reply, truncated if the link cannot carry it; a failure is the client's to notice.
    async fn send(&self, path: Path, reply: &[u8]) {
        let sent = match self.try_send(path, reply).await {
            Err(error) if is_too_big(&error) => match rewrite(reply, HEADER_LEN) {
                Some(truncated) => self.try_send(path, &truncated).await,
                None => Err(error),
            },
            sent => sent,
        };
        if let Err(error) = sent {
            debug!("cannot reply to {}: {error}", path.peer);
        }
    }

    async fn try_send(&self, path: Path, contents: &[u8]) -> io::Result<()> {
        let transmit = Transmit {
            destination: path.peer,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: path.local,
        };
        self.socket
            .async_io(Interest::WRITABLE, || {
                self.state.try_send((&self.socket).into(), &transmit)
            })
            .await
    }

    /// The address that the socket is bound to.
    #[cfg(test)]
    pub(super) fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }
}

/// Where a datagram came from, and which of our addresses it was sent to.
#[derive(Clone, Copy)]
struct Path {
    peer: SocketAddr,
    local: Option<IpAddr>,
}

/// Buffers for what one system call receives.
struct Batch {
    buffers: Vec<[u8; BUFFER_LEN]>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl Batch {
    fn new() -> Self {
        Self {
            buffers: vec![[0; BUFFER_LEN]; BATCH_SIZE],
            metas: [RecvMeta::default(); BATCH_SIZE],
        }
    }

    fn fill(&mut self, socket: &UdpSocket, state: &UdpSocketState) -> io::Result<usize> {
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().map_or(&mut [], |buffer| buffer)));
        state.recv(socket.into(), &mut slices, &mut self.metas)
    }

    /// The datagrams of the first `count` buffers, those that were joined taken apart.
    fn datagrams(&self, count: usize) -> impl Iterator<Item = (Path, &[u8])> {
        self.metas
            .iter()
            .zip(&self.buffers)
            .take(count)
            .flat_map(|(meta, buffer)| {
                let path = Path {
                    peer: meta.addr,
                    local: meta.dst_ip,
                };
                buffer[..meta.len]
                    .chunks(meta.stride.max(1))
                    .map(move |datagram| (path, datagram))
            })
    }
}

fn is_too_big(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
}

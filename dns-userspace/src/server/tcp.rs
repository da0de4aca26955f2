//! The TCP side of the server: length-prefixed messages (RFC 1035, 4.2.2), answered one at a time and in order.
//!
//! As in CoreDNS a connection may ask any number of queries, and is closed when none comes for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::query::{Client, Transport};
use super::respond::Responder;
use super::slots::Slots;

/// Connections that one listener serves at a time; further ones wait in its backlog.
const MAX_CONNECTIONS: usize = 4096;

/// How long a new connection may take to ask its first query.
const FIRST_QUERY: Duration = Duration::from_secs(3);

/// How long a connection may stay silent between queries.
const IDLE: Duration = Duration::from_secs(10);

/// How long a client may take to make room for a reply.
const WRITE: Duration = Duration::from_secs(5);

/// How long to wait after a failed accept, which no event announces the end of.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How messages stand in a stream: a length of two bytes, then the message.
pub(super) type Frames = LengthDelimitedCodec;

/// Frames a stream into DNS messages.
pub(super) fn frame<S: AsyncRead + AsyncWrite>(stream: S) -> Framed<S, Frames> {
    LengthDelimitedCodec::builder()
        .length_field_type::<u16>()
        .new_framed(stream)
}

/// Accepts connections until `shutdown` and answers their queries.
pub(super) async fn serve(
    listener: Arc<TcpListener>,
    current: watch::Receiver<Arc<Responder>>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let (slots, shares) = (Arc::new(Semaphore::new(MAX_CONNECTIONS)), Slots::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        if let Some((stream, address, slot)) = accepted {
            let local = stream.local_addr().ok();
            let client = Client {
                address,
                local: local.map(|local| local.ip()),
                port: local.map_or(0, |local| local.port()),
                transport: Transport::Tcp,
            };
            // Who has its share already is cut off, so that there is room for others.
            let Some(share) = shares.take(address.ip()) else {
                continue;
            };
            let (current, shutdown) = (current.clone(), shutdown.clone());
            tasks.spawn(async move {
                let _room = (slot, share);
                converse(frame(stream), client, &current, &shutdown).await;
            });
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some((stream, address, slot)),
        Err(error) => {
            warn!("cannot accept DNS queries over TCP: {error}");
            sleep(ACCEPT_RETRY).await;
            None
        }
    }
}

/// Answers one connection's queries until either side has had enough.
async fn converse(
    mut messages: Framed<TcpStream, Frames>,
    client: Client,
    current: &watch::Receiver<Arc<Responder>>,
    shutdown: &CancellationToken,
) {
    let mut patience = FIRST_QUERY;
    loop {
        let query = tokio::select! {
            () = shutdown.cancelled() => return,
            query = timeout(patience, messages.next()) => query,
        };
        let Ok(Some(Ok(query))) = query else {
            return;
        };
        let responder = current.borrow().clone();
        if let Some(reply) = responder.respond(&query, client).await
            && !matches!(timeout(WRITE, messages.send(Bytes::from(reply))).await, Ok(Ok(())))
        {
            return;
        }
        patience = IDLE;
    }
}

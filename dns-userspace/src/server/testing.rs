//! What the server's tests share: queries as bytes, and upstreams that reply by script.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use futures::{SinkExt, StreamExt as _};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, UdpSocket};

use super::query::{Client, Transport};
use super::respond::Responder;
use super::{Context, Journal, Metrics, endpoints, tcp};
use crate::corefile;
use crate::zone::SharedZoneTable;
use crate::zone::testing::table;

/// A client over UDP.
pub(super) const UDP: Client = Client {
    transport: Transport::Udp,
    ..Client::SERVER
};

/// What plugins share, with a table of `cluster.local` that is not synced.
pub(super) fn context() -> Context {
    let zones = SharedZoneTable::new(RwLock::new(table(&["cluster.local"])));
    Context::new(zones, Metrics::register(&mut Registry::default()), Journal::to_nobody())
}

/// A server of one block for all names, with these directives, to be asked without sockets.
pub(super) fn responder(directives: &str) -> Arc<Responder> {
    responder_in(&context(), directives)
}

/// The same, whose plugins share this.
pub(super) fn responder_in(context: &Context, directives: &str) -> Arc<Responder> {
    let config = corefile::parse("Corefile".as_ref(), &format!(".:0 {{\n{directives}\n}}")).unwrap();
    let (address, endpoint) = endpoints(&config, context).unwrap().remove(0);
    Arc::new(Responder::new(address, endpoint, context.metrics.clone()))
}

/// A query of class IN with ID 0x1234 and RD, its name in the letter case given.
pub(super) fn query(name: &str, qtype: u16) -> Vec<u8> {
    let mut bytes = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(qtype.to_be_bytes());
    bytes.extend(1u16.to_be_bytes());
    bytes
}

/// Adds an OPT record: `bits` are extended rcode, version and flags, `options` its data.
pub(super) fn with_opt(mut query: Vec<u8>, size: u16, bits: u32, options: &[u8]) -> Vec<u8> {
    query[11] += 1;
    query.extend(b"\x00\x00\x29");
    query.extend(size.to_be_bytes());
    query.extend(bits.to_be_bytes());
    query.extend((options.len() as u16).to_be_bytes());
    query.extend(options);
    query
}

/// A reply that no library would write: odd flags, TC, an unknown type, bytes after the end.
pub(super) fn strange_reply(query: &[u8]) -> Vec<u8> {
    let root = query[12..].iter().position(|&byte| byte == 0).unwrap();
    let mut reply = query[..12 + root + 5].to_vec();
    reply[2..4].copy_from_slice(&[0x87, 0xf0]);
    reply[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
    reply.extend(b"\xc0\x0c\xfe\xdc\x00\x01\x00\x00\x00\x07\x00\x03abc trailing bytes");
    reply
}

/// A reply of twelve bytes with this last byte of the flags.
pub(super) fn bare_reply(query: &[u8], flags: u8) -> Vec<u8> {
    [&query[..2], &[0x81, flags], &[0; 8]].concat()
}

/// An address on which nobody listens, neither over UDP nor over TCP.
pub(super) fn closed_port() -> SocketAddr {
    // Port 1 is below the ports that the kernel hands out, so that no other test comes by it.
    ([127, 0, 0, 1], 1).into()
}

/// Starts an upstream that sends what the script returns for each query, and notes the queries.
pub(super) async fn script(
    transport: Transport,
    replies: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = seen.clone();
    let replies = move |query: &[u8]| {
        note.lock().unwrap().push(query.to_vec());
        replies(query)
    };
    let address = match transport {
        Transport::Udp => script_udp(replies).await,
        Transport::Tcp => script_tcp(replies).await,
    };
    (address, seen)
}

async fn script_udp(replies: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((len, peer)) = socket.recv_from(&mut buffer).await {
            for reply in replies(&buffer[..len]) {
                socket.send_to(&reply, peer).await.unwrap();
            }
        }
    });
    address
}

async fn script_tcp(replies: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut messages = tcp::frame(stream);
            while let Some(Ok(query)) = messages.next().await {
                for reply in replies(&query) {
                    messages.feed(Bytes::from(reply)).await.unwrap();
                }
                SinkExt::<Bytes>::flush(&mut messages).await.unwrap();
            }
        }
    });
    address
}

//! The whole server, over sockets of the loopback interface.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use futures::{SinkExt, StreamExt as _};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

use super::query::Transport;
use super::testing::*;
use super::*;
use crate::cluster::object::Reach;
use crate::corefile;
use crate::zone::testing::{service, sync};

/// Long enough for any step of these tests on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server on the loopback interface.
struct Server {
    udp: SocketAddr,
    tcp: SocketAddr,
    zones: SharedZoneTable,
    registry: Registry,
    context: Context,
    server: Arc<super::Server>,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    /// Starts a server of `cluster.local`, which is not synced yet, with these directives beside `kubernetes`.
    fn start(address: &str, directives: &str) -> Self {
        Self::start_corefile(&format!(
            "{}\nkubernetes cluster.local\n{directives}\n}}",
            block(".", address)
        ))
    }

    /// Starts a server by a Corefile; what listens first is asked.
    fn start_corefile(corefile: &str) -> Self {
        let config = corefile::parse(Path::new("Corefile"), corefile).unwrap();
        let mut registry = Registry::default();
        let zones = context().zones;
        let context = Context::new(zones.clone(), Metrics::register(&mut registry), Journal::to_nobody());
        let mut sockets = Sockets::default();
        let listeners = sockets.open(endpoints(&config, &context).unwrap()).unwrap();
        let (first, _) = &listeners[0];
        let (udp, tcp) = (first.udp[0].local_addr(), first.tcp.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let server = Arc::new(super::Server::new(listeners, context.metrics.clone()));
        let (running, told) = (server.clone(), shutdown.clone());
        let serving = tokio::spawn(async move { running.serve(std::future::ready(()), told).await });
        Self {
            udp,
            tcp,
            zones,
            registry,
            context,
            server,
            shutdown,
            serving,
        }
    }

    /// Makes `web.default`, and `away.default` for `www.example.com`, the Services there are.
    fn sync(&self) {
        let addresses = Reach::ClusterIps(vec!["10.96.0.80".parse().unwrap()]);
        let away = Reach::ExternalName("www.example.com".into());
        let services = vec![service("web", addresses), service("away", away)];
        sync(&mut self.zones.write().unwrap(), services);
    }

    async fn ask(&self, query: &[u8]) -> Vec<u8> {
        ask_udp(self.udp, query).await
    }
}

async fn ask_udp(server: SocketAddr, query: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind((if server.is_ipv4() { "0.0.0.0" } else { "::" }, 0))
        .await
        .unwrap();
    socket.connect(server).await.unwrap();
    socket.send(query).await.unwrap();
    let mut reply = Vec::with_capacity(65535);
    timeout(PATIENCE, socket.recv_buf(&mut reply))
        .await
        .expect("a reply")
        .unwrap();
    reply
}

/// Asks all of these on one connection, ends the sending side, and reads what comes.
async fn converse(server: SocketAddr, queries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut messages = tcp::frame(TcpStream::connect(server).await.unwrap());
    for query in queries {
        messages.feed(Bytes::copy_from_slice(query)).await.unwrap();
    }
    SinkExt::<Bytes>::flush(&mut messages).await.unwrap();
    messages.get_mut().shutdown().await.unwrap();
    let replies = messages.map(|reply| reply.unwrap().to_vec()).collect();
    timeout(PATIENCE, replies)
        .await
        .expect("replies and the end of the stream")
}

/// The flags, and the counts of answers and authority records.
fn summary(reply: &[u8]) -> ([u8; 2], u8, u8) {
    ([reply[2], reply[3]], reply[7], reply[9])
}

const SERVFAIL: ([u8; 2], u8, u8) = ([0x81, 2], 0, 0);
/// The zone's own: authoritative, with its SOA record.
const ZONE_SERVFAIL: ([u8; 2], u8, u8) = ([0x85, 2], 0, 1);
const REFUSED: ([u8; 2], u8, u8) = ([0x81, 5], 0, 0);

/// The beginning of a block for a zone at an address.
fn block(zone: &str, address: &str) -> String {
    let address: SocketAddr = address.parse().unwrap();
    format!("{zone}:{} {{\nbind {}", address.port(), address.ip())
}

/// `forward` for all names.
fn forward(upstream: SocketAddr) -> String {
    format!("forward . {upstream}")
}

#[tokio::test]
async fn answers_from_the_zone_table() {
    let server = Server::start("127.0.0.1:0", "");
    server.sync();
    let reply = server.ask(&query("web.default.svc.cluster.local", 1)).await;
    assert_eq!(summary(&reply), ([0x85, 0], 1, 0));
    assert!(reply.ends_with(&[10, 96, 0, 80]));
    assert_eq!(
        summary(&server.ask(&query("web.default.svc.cluster.local", 28)).await),
        ([0x85, 0], 0, 1)
    );
    let mut metrics = String::new();
    text::encode(&mut metrics, &server.registry).unwrap();
    let expected = "kxdns_server_responses_total{source=\"kubernetes\",rcode=\"NOERROR\"} 2\n";
    assert!(metrics.contains(expected), "{metrics}");
}

#[tokio::test]
async fn fails_rather_than_ask_others_about_names_of_its_own() {
    let (upstream, seen) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
    let server = Server::start("127.0.0.1:0", &forward(upstream));
    assert_eq!(
        summary(&server.ask(&query("web.default.svc.cluster.local", 1)).await),
        ZONE_SERVFAIL,
        "not synced"
    );
    server.sync();
    assert_eq!(
        summary(&server.ask(&query("wob.default.svc.cluster.local", 1)).await),
        ([0x85, 3], 0, 1),
        "no such name"
    );
    assert_eq!(
        summary(&server.ask(&query("cluster.local", 252)).await),
        REFUSED,
        "AXFR"
    );
    assert_eq!(seen.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn forwards_what_it_does_not_own() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (upstream, _) = script(transport, |query| vec![strange_reply(query)]).await;
        let server = Server::start("127.0.0.1:0", &forward(upstream));
        server.sync();
        let mut chaos = query("version.bind", 16);
        *chaos.last_mut().unwrap() = 3;
        for query in [query("www.example.com", 1), query("example.com", 252), chaos] {
            let reply = match transport {
                Transport::Udp => server.ask(&query).await,
                Transport::Tcp => converse(server.tcp, std::slice::from_ref(&query)).await.remove(0),
            };
            assert_eq!(reply, strange_reply(&query)[..query.len() + 15], "{transport:?}");
        }
    }
}

#[tokio::test]
async fn the_class_makes_no_difference_where_there_are_upstreams_and_is_refused_elsewhere() {
    let mut chaos = query("web.default.svc.cluster.local", 1);
    *chaos.last_mut().unwrap() = 3;
    for (directives, expected) in [(&*forward(closed_port()), ([0x85, 0], 1, 0)), ("", REFUSED)] {
        let server = Server::start("127.0.0.1:0", directives);
        server.sync();
        assert_eq!(summary(&server.ask(&chaos).await), expected);
    }
}

#[tokio::test]
async fn puts_what_stands_at_the_target_behind_an_alias() {
    for (transport, reply, answers) in [
        (Transport::Udp, "records", 2),
        (Transport::Tcp, "records", 2),
        (Transport::Udp, "an error", 1),
    ] {
        let (upstream, seen) = script(transport, move |query| match reply {
            "records" => vec![strange_reply(query)],
            _ => vec![bare_reply(query, 2)],
        })
        .await;
        let server = Server::start("127.0.0.1:0", &forward(upstream));
        server.sync();
        let asked = with_opt(query("Away.default.svc.cluster.local", 0xfedc), 1232, 0x8000, b"");
        // Only addresses are looked for elsewhere.
        assert_eq!(summary(&server.ask(&asked).await), ([0x85, 0], 0, 1), "{reply}");
        let asked = with_opt(query("Away.default.svc.cluster.local", 1), 1232, 0x8000, b"");
        let replied = match transport {
            Transport::Udp => server.ask(&asked).await,
            Transport::Tcp => converse(server.tcp, std::slice::from_ref(&asked)).await.remove(0),
        };
        let truncated = 2 * u8::from(answers == 2);
        assert_eq!(summary(&replied), ([0x85 | truncated, 0], answers, 0), "{reply}");
        assert_eq!(replied[12..48], asked[12..48], "{reply}");
        let sent = seen.lock().unwrap().last().unwrap().clone();
        assert_eq!(
            sent[2..],
            with_opt(query("www.example.com", 1), 1232, 0x8000, b"")[2..],
            "{reply}"
        );
    }
}

#[tokio::test]
async fn an_alias_stands_alone_where_nobody_answers_for_its_target() {
    let server = Server::start("127.0.0.1:0", "");
    server.sync();
    let reply = server.ask(&query("away.default.svc.cluster.local", 28)).await;
    assert_eq!(summary(&reply), ([0x85, 0], 1, 0));
}

#[tokio::test]
async fn the_start_waits_for_the_objects_but_not_for_ever() {
    let (synced, is_synced) = watch::channel(false);
    let waiting = tokio::spawn(await_objects(is_synced.clone(), PATIENCE));
    synced.send(true).unwrap();
    timeout(PATIENCE, waiting).await.expect("they are known").unwrap();
    synced.send(false).unwrap();
    await_objects(is_synced, Duration::from_millis(10)).await;
}

#[tokio::test]
async fn fails_where_no_plugin_answers() {
    for directives in ["", "forward example.org 127.0.0.1:1"] {
        let server = Server::start("127.0.0.1:0", directives);
        assert_eq!(summary(&server.ask(&query("www.example.com", 1)).await), SERVFAIL);
    }
}

#[tokio::test]
async fn fails_when_no_upstream_replies() {
    let server = Server::start("127.0.0.1:0", &forward(closed_port()));
    let query = with_opt(query("www.example.com", 1), 1232, 0, b"");
    let reply = server.ask(&query).await;
    assert_eq!(summary(&reply), SERVFAIL);
    assert_eq!(reply[4..], query[4..]);
}

#[tokio::test]
async fn the_block_of_the_longest_zone_takes_a_name() {
    // Each upstream replies with an rcode of its own.
    let mut blocks = Vec::new();
    for (zone, rcode) in [("corp.example", 3), (".", 0), ("a.corp.example", 4)] {
        let (upstream, _) = script(Transport::Udp, move |query| {
            let mut reply = query.to_vec();
            (reply[2], reply[3]) = (0x81, rcode);
            vec![reply]
        })
        .await;
        blocks.push(format!("{}\n{}\n}}\n", block(zone, "127.0.0.1:0"), forward(upstream)));
    }
    const DS: u16 = 43;
    let server = Server::start_corefile(&blocks.concat());
    for (name, qtype, rcode) in [
        ("www.example.com", 1, 0),
        ("WWW.Corp.example", 1, 3),
        ("corp.example", 1, 3),
        ("acorp.example", 1, 0),
        ("a.corp.example", 1, 4),
        ("b.a.corp.example", 28, 4),
        ("a.corp.example", DS, 3),
        ("corp.example", DS, 3),
        ("www.example.com", DS, 0),
    ] {
        assert_eq!(server.ask(&query(name, qtype)).await[3] & 0xf, rcode, "{name} {qtype}");
    }
    let server = Server::start_corefile(&blocks[0]);
    assert_eq!(summary(&server.ask(&query("www.example.com", 1)).await), REFUSED);
}

#[tokio::test]
async fn an_address_of_its_own_comes_before_all_addresses() {
    // Below the ports that the kernel hands out, so that no other test comes by it.
    const PORT: u16 = 5455;
    let here = SocketAddr::from(([127, 0, 0, 1], PORT));
    let server = Server::start_corefile(&format!(
        ".:{PORT} {{\nkubernetes cluster.local\n}}\n{}\n}}",
        block("example.org", &here.to_string())
    ));
    server.sync();
    let query = query("web.default.svc.cluster.local", 1);
    assert_eq!(summary(&ask_udp(here, &query).await), REFUSED);
    let there = SocketAddr::from(([127, 0, 0, 2], PORT));
    assert_eq!(summary(&ask_udp(there, &query).await), ([0x85, 0], 1, 0));
    for (address, expected) in [(here, REFUSED), (there, ([0x85, 0], 1, 0))] {
        let replies = converse(address, std::slice::from_ref(&query)).await;
        assert_eq!(summary(&replies[0]), expected);
    }
}

#[tokio::test]
async fn all_addresses_of_either_family_may_have_different_blocks() {
    const PORT: u16 = 5456;
    let server = Server::start_corefile(&format!(
        "{}\nkubernetes cluster.local\n}}\n{}\n}}",
        block(".", &format!("0.0.0.0:{PORT}")),
        block("example.org", &format!("[::]:{PORT}"))
    ));
    server.sync();
    let query = query("web.default.svc.cluster.local", 1);
    for (host, expected) in [("127.0.0.1", ([0x85, 0], 1, 0)), ("[::1]", REFUSED)] {
        let address = format!("{host}:{PORT}").parse().unwrap();
        assert_eq!(summary(&ask_udp(address, &query).await), expected, "{host}");
    }
}

#[tokio::test]
async fn only_the_block_of_kubernetes_asks_the_zones() {
    let server = Server::start_corefile(&format!(
        "{}\nkubernetes cluster.local\n}}\n{}\n}}",
        block(".", "127.0.0.1:0"),
        block("ns.svc.cluster.local", "127.0.0.1:0")
    ));
    server.sync();
    let [here, there] = ["web.default.svc.cluster.local", "web.ns.svc.cluster.local"].map(|name| query(name, 1));
    assert_eq!(summary(&server.ask(&here).await), ([0x85, 0], 1, 0));
    assert_eq!(summary(&server.ask(&there).await), REFUSED);
}

#[tokio::test]
async fn gates_headers_before_it_asks_the_zones() {
    let server = Server::start("127.0.0.1:0", "");
    server.sync();
    let query = query("web.default.svc.cluster.local", 1);
    let bad_version = server.ask(&with_opt(query.clone(), 1232, 0x0001_0000, b"")).await;
    assert!(
        bad_version.ends_with(b"\x00\x00\x29\x00\x00\x01\x00\x00\x00\x00\x00"),
        "{bad_version:02x?}"
    );
    assert_eq!(server.ask(&query[..12]).await, bare_reply(&query, 2));
}

#[tokio::test]
async fn reads_512_bytes_of_a_datagram_and_all_of_a_stream() {
    let server = Server::start("127.0.0.1:0", "");
    server.sync();
    let padded = |len: u16| {
        let padding = [&[0, 12], &len.to_be_bytes()[..], &vec![0; len.into()]].concat();
        with_opt(query("web.default.svc.cluster.local", 1), 1232, 0, &padding)
    };
    assert_eq!(padded(450).len(), 512);
    assert_eq!(summary(&server.ask(&padded(450)).await), ([0x85, 0], 1, 0));
    assert_eq!(summary(&server.ask(&padded(451)).await), ([0x81, 1], 0, 0));
    assert_eq!(
        summary(&converse(server.tcp, &[padded(451)]).await[0]),
        ([0x85, 0], 1, 0)
    );
}

#[tokio::test]
async fn is_silent_to_what_is_no_query() {
    let server = Server::start("127.0.0.1:0", "");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.udp).await.unwrap();
    let (response, asked) = (strange_reply(&query("a", 1)), query("b", 1));
    for datagram in [&[][..], &asked[..11], &response, &asked] {
        socket.send(datagram).await.unwrap();
    }
    let mut reply = [0; 512];
    // They are answered in order: the first reply to come is to the last datagram.
    let len = timeout(PATIENCE, socket.recv(&mut reply))
        .await
        .expect("a reply")
        .unwrap();
    assert_eq!(reply[12..len], asked[12..]);
}

#[tokio::test]
async fn answers_many_queries_of_a_connection_in_order_even_after_its_fin() {
    let (upstream, _) = script(Transport::Tcp, |query| vec![strange_reply(query)]).await;
    let server = Server::start("127.0.0.1:0", &forward(upstream));
    server.sync();
    let name = |index| match index % 2 {
        0 => format!("n{index}.example.com"),
        _ => format!("n{index}.default.svc.cluster.local"),
    };
    let queries: Vec<_> = (0..50).map(|index| query(&name(index), 1)).collect();
    let replies = converse(server.tcp, &queries).await;
    assert_eq!(replies.len(), queries.len());
    for (query, reply) in queries.iter().zip(&replies) {
        assert_eq!(reply[12..query.len()], query[12..]);
    }
}

#[tokio::test]
async fn closes_a_connection_that_asks_nothing() {
    let server = Server::start("127.0.0.1:0", "");
    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    let read = timeout(PATIENCE, stream.read(&mut [0; 1]))
        .await
        .expect("the end of the stream");
    assert_eq!(read.unwrap(), 0);
}

#[tokio::test]
async fn replies_from_the_address_that_was_asked() {
    let server = Server::start("[::]:0", "");
    // A connected socket takes replies from the address that it asked alone; the route would choose 127.0.0.1.
    for host in ["127.0.0.1", "127.0.0.2", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), server.udp.port());
        assert_eq!(summary(&ask_udp(address, &query("a", 1)).await), SERVFAIL, "{host}");
    }
}

#[tokio::test]
async fn answers_every_datagram_of_a_burst() {
    let server = Server::start("127.0.0.1:0", "");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server.udp).await.unwrap();
    let asked = query("a", 1);
    for index in 0..100 {
        socket.send(&[&[index], &asked[1..]].concat()).await.unwrap();
    }
    let mut reply = [0; 512];
    for index in 0..100 {
        timeout(PATIENCE, socket.recv(&mut reply))
            .await
            .expect("a reply to each")
            .unwrap();
        assert_eq!(reply[0], index);
    }
}

#[tokio::test]
async fn finishes_what_is_in_progress_at_shutdown() {
    let (upstream, seen) = script(Transport::Udp, |_| vec![]).await;
    let server = Server::start("127.0.0.1:0", &forward(upstream));
    let address = server.udp;
    let asking = tokio::spawn(async move { ask_udp(address, &query("www.example.com", 1)).await });
    while seen.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    server.shutdown.cancel();
    assert_eq!(summary(&asking.await.unwrap()), SERVFAIL);
    timeout(PATIENCE, server.serving)
        .await
        .expect("the server ends")
        .unwrap();
}

#[tokio::test]
async fn who_answers_may_be_replaced_while_queries_are_in_progress() {
    let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
    let (good, _) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
    let server = Server::start("127.0.0.1:0", &forward(silent));
    let address = server.udp;
    let asking = tokio::spawn(async move { ask_udp(address, &query("www.example.com", 1)).await });
    while seen.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let replace = |corefile: &str| {
        let config = corefile::parse(Path::new("Corefile"), corefile).unwrap();
        server.server.replace(endpoints(&config, &server.context).unwrap())
    };
    let begin = block(".", "127.0.0.1:0");
    assert!(
        !replace(&format!("{}\n}}", block(".", "127.0.0.2:0"))),
        "another address"
    );
    assert!(replace(&format!("{begin}\n{}\n}}", forward(good))));
    let asked = query("www.example.com", 1);
    assert_eq!(server.ask(&asked).await, strange_reply(&asked)[..asked.len() + 15]);
    assert_eq!(
        summary(&asking.await.unwrap()),
        SERVFAIL,
        "by what was in force when it came"
    );
}

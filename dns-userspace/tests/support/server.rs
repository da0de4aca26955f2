//! The agent's server on the loopback interface, with objects given, and an upstream that answers from a short list.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use dns_userspace::cli::{Arguments, Command};
use dns_userspace::cluster::Event;
use dns_userspace::metrics::ServerMetrics;
use dns_userspace::settings::Settings;
use dns_userspace::{corefile, server};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::ToName as _;
use domain::base::{Message, MessageBuilder, Name, Serial, Ttl};
use domain::rdata::{A, Aaaa, Soa};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for a reply on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the recorded CoreDNS listened, and what it was told of its own addresses.
const RECORDED_UPSTREAM: &str = "127.0.0.1:5399";
const OWN_ADDRESSES: [&str; 3] = ["192.0.2.2", "fd00::2", "fe80::fc:ff:fe00:1"];

/// A running server.
pub(crate) struct Server {
    /// Where it listens, over UDP and TCP.
    pub(crate) address: SocketAddr,
    _shutdown: DropGuard,
}

impl Server {
    /// Starts a server of this Corefile and these objects; each needs a number of its own.
    pub(crate) async fn start(number: usize, corefile: &str, events: &[Event]) -> Result<Self> {
        let host = IpAddr::V4(Ipv4Addr::new(127, 53, 0, u8::try_from(number)? + 1));
        let upstream = start_upstream(SocketAddr::new(host, 5399)).await?;
        let corefile = corefile.replace(RECORDED_UPSTREAM, &upstream.to_string());
        let settings = settings(&corefile)?;
        let mut zones = settings.zone_table();
        for event in events {
            zones.update(event.clone(), 1_700_000_000);
        }
        let address = SocketAddr::new(host, 5353);
        let listeners = server::bind(&[address])?;
        let metrics = ServerMetrics::register(&mut Registry::default());
        let (zones, shutdown) = (Arc::new(RwLock::new(zones)), CancellationToken::new());
        let serving = server::serve(
            listeners,
            std::future::ready(()),
            zones,
            settings.routes,
            metrics,
            shutdown.clone(),
        );
        tokio::spawn(serving);
        Ok(Self {
            address,
            _shutdown: shutdown.drop_guard(),
        })
    }
}

/// The settings of an agent that knows the recorded CoreDNS's addresses as its own.
fn settings(corefile: &str) -> Result<Settings> {
    let config = corefile::parse(Path::new("Corefile"), corefile)?;
    let Command::Run(options) = Arguments::try_parse_from(["kxdns", "run"])?.command;
    let mut settings = Settings::new(&config, &options)?;
    let own = OWN_ADDRESSES.iter().map(|address| address.parse());
    settings.zone_options.names.local = own.collect::<Result<_, _>>()?;
    // It stood behind no Service, and knew of none by name.
    settings.zone_options.names.dns_service = None;
    Ok(settings)
}

/// Asks over UDP.
pub(crate) async fn ask_udp(server: SocketAddr, query: &[u8]) -> Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut reply = Vec::with_capacity(65535);
    timeout(PATIENCE, socket.recv_buf(&mut reply))
        .await
        .context("no reply over UDP")??;
    Ok(reply)
}

/// Asks over TCP.
pub(crate) async fn ask_tcp(server: SocketAddr, query: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let len = u16::try_from(query.len())?;
    stream.write_all(&[&len.to_be_bytes()[..], query].concat()).await?;
    let read = async {
        let len = stream.read_u16().await?;
        let mut reply = vec![0; len.into()];
        stream.read_exact(&mut reply).await?;
        anyhow::Ok(reply)
    };
    timeout(PATIENCE, read).await.context("no reply over TCP")?
}

async fn start_upstream(address: SocketAddr) -> Result<SocketAddr> {
    let socket = UdpSocket::bind(address).await?;
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        let mut query = [0; 4096];
        while let Ok((len, peer)) = socket.recv_from(&mut query).await {
            let reply = answer(&query[..len])?;
            socket.send_to(&reply, peer).await?;
        }
        anyhow::Ok(())
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let len = stream.read_u16().await?;
            let mut query = vec![0; len.into()];
            stream.read_exact(&mut query).await?;
            let reply = answer(&query)?;
            let len = u16::try_from(reply.len())?;
            stream.write_all(&[&len.to_be_bytes()[..], &reply].concat()).await?;
        }
        anyhow::Ok(())
    });
    Ok(address)
}

/// What the recorded upstream answered: a few names, and NXDOMAIN with the root's SOA for all others.
fn answer(query: &[u8]) -> Result<Vec<u8>> {
    let query = Message::from_slice(query).context("no message")?;
    let question = query.sole_question()?;
    let name: Name<Vec<u8>> = question.qname().to_name();
    let text = name.to_string().to_lowercase();
    let rcode = match text.trim_end_matches('.') {
        "www.example.com" | "short.example.com" => Rcode::NOERROR,
        "sf.example.com" => Rcode::SERVFAIL,
        _ => Rcode::NXDOMAIN,
    };
    let mut builder = MessageBuilder::new_vec().start_answer(query, rcode)?;
    builder.header_mut().set_ra(true);
    match (text.trim_end_matches('.'), question.qtype()) {
        ("www.example.com", Rtype::A) => builder.push((&name, 300, A::from_octets(93, 184, 216, 34)))?,
        ("www.example.com", Rtype::AAAA) => builder.push((&name, 120, Aaaa::new("2606:2800::1".parse()?)))?,
        ("short.example.com", Rtype::A) => builder.push((&name, 1, A::from_octets(1, 1, 1, 1)))?,
        _ => {}
    }
    let mut builder = builder.authority();
    if rcode == Rcode::NXDOMAIN && text.trim_end_matches('.') != "nosoa.example.com" {
        let [mname, rname] = ["a.root-servers.net", "n"].map(|name| name.parse::<Name<Vec<u8>>>());
        let seconds = Ttl::from_secs;
        let soa = Soa::new(
            mname?,
            rname?,
            Serial(1),
            seconds(1800),
            seconds(900),
            seconds(604_800),
            seconds(86_400),
        );
        builder.push((Name::root_slice(), Class::IN, 86_400, soa))?;
    }
    let mut builder = builder.additional();
    if let Some(opt) = query.opt() {
        builder.opt(|reply| {
            reply.set_udp_payload_size(opt.udp_payload_size());
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

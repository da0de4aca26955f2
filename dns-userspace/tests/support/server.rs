//! The agent's server on the loopback interface, with objects given, and the recorded upstream.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use dns_userspace::cli::{Arguments, Command};
use dns_userspace::cluster::Event;
use dns_userspace::corefile::Config;
use dns_userspace::server::{Journal, Metrics, Sockets};
use dns_userspace::settings::Settings;
use dns_userspace::{corefile, server};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::recorded::{OWN_ADDRESSES, UPSTREAM};
use super::upstream::answer;

/// Long enough for a reply on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let corefile = corefile.replace(UPSTREAM, &upstream.to_string());
        let config = corefile::parse(Path::new("Corefile"), &corefile)?;
        let settings = settings(&config)?;
        let mut zones = settings.zone_table();
        for event in events {
            zones.update(event.clone(), 1_700_000_000);
        }
        let address = SocketAddr::new(host, 5353);
        let metrics = Metrics::register(&mut Registry::default());
        let shared = server::Context::new(Arc::new(RwLock::new(zones)), metrics, Journal::to_nobody());
        let endpoints = server::endpoints(&config, &shared)?;
        let (_, endpoint) = endpoints.into_iter().next().context("it listens nowhere")?;
        let listeners = Sockets::default().open(vec![(address, endpoint)])?;
        let shutdown = CancellationToken::new();
        let (server, told) = (server::Server::new(listeners, shared.metrics), shutdown.clone());
        tokio::spawn(async move { server.serve(std::future::ready(()), told).await });
        Ok(Self {
            address,
            _shutdown: shutdown.drop_guard(),
        })
    }
}

/// The settings of an agent that knows the recorded CoreDNS's addresses as its own.
fn settings(config: &Config) -> Result<Settings> {
    let Command::Run(options) = Arguments::try_parse_from(["kxdns", "run"])?.command else {
        bail!("not `run`");
    };
    let mut settings = Settings::new(config, &options)?;
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

//! The DNS servers that kxdns is measured beside: unbound, dnsmasq and Knot DNS, all with the same records, and a CoreDNS
//! that caches on the node. Each is configured for speed as its own documentation advises; the configurations are in
//! `tests/servers`.
//!
//! Nothing here is fed by a control plane: see [`crate::coredns`] for that.

mod dnsmasq;
mod knot;
mod node_local;
mod unbound;

use std::iter::once;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

pub use self::dnsmasq::start_dnsmasq;
pub use self::knot::start_knot;
pub use self::node_local::{NODE_LOCAL, start_node_local};
pub use self::unbound::start_unbound;

use crate::dns::{Question, ask};
use crate::namespace::Namespace;
use crate::peers::{find_server, find_server_libraries};
use crate::process::Process;

/// The TTL of all records.
pub const TTL: u32 = 30;

const READY_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_millis(50);

/// What a server of the zone `cluster.local` answers, and how.
#[derive(Clone, Copy, Debug)]
pub struct Zone<'r> {
    /// Where it is asked, on port 53: an address of the namespace that it runs in.
    pub address: Ipv4Addr,
    /// The names that it knows, all of them below `cluster.local`, with the address of each.
    pub records: &'r [(String, Ipv4Addr)],
    /// How many threads answer, of servers that have more than one.
    pub threads: usize,
}

/// A running server, which has answered already. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// The server's process.
    pub fn pid(&self) -> Result<Pid> {
        self.process.pid()
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts a server and waits until it has an address for `name`.
    fn start(title: &str, namespace: &Namespace, command: Command, address: Ipv4Addr, name: &str) -> Result<Server> {
        let mut process = Process::start(title, command)?;
        let (address, question) = (SocketAddr::from((address, 53)), Question::a(name));
        process.await_that("its first answer", READY_LIMIT, || {
            let reply = ask(namespace, address, &question, ANSWER_LIMIT).ok();
            Ok(reply.filter(|(reply, _)| !reply.addresses.is_empty()))
        })?;
        Ok(Server { process, address })
    }
}

impl Zone<'_> {
    /// Starts a server that has been given the zone.
    fn start(&self, title: &str, namespace: &Namespace, command: Command) -> Result<Server> {
        let (name, _) = self.records.first().context("a server without records")?;
        Server::start(title, namespace, command, self.address, name)
    }

    /// A configuration, with what it says differently each time filled in.
    fn fill(&self, configuration: &str) -> String {
        configuration
            .replace("{address}", &self.address.to_string())
            .replace("{threads}", &self.threads.to_string())
    }

    /// The resource records, one a line, as a zone file has them (RFC 1035, section 5). The SOA is that of CoreDNS.
    fn resource_records(&self) -> impl Iterator<Item = String> {
        let soa = format!("ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 {TTL}");
        let apex = [
            format!("cluster.local. {TTL} IN SOA {soa}"),
            format!("cluster.local. {TTL} IN NS ns.dns.cluster.local."),
        ];
        let line = |(name, address): (&str, Ipv4Addr)| format!("{name}. {TTL} IN A {address}");
        let known = self.records.iter().map(|(name, address)| (name.as_str(), *address));
        let addresses = once(("ns.dns.cluster.local", self.address)).chain(known);
        apex.into_iter().chain(addresses.map(line))
    }
}

/// A command that runs an unpacked server with the libraries that were unpacked beside it.
fn command(namespace: &Namespace, program: &str) -> Result<Command> {
    let mut command = namespace.command(find_server(program)?);
    command.env("LD_LIBRARY_PATH", find_server_libraries()?);
    Ok(command)
}

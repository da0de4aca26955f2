//! The kernel and the agent behind it against replies of a running CoreDNS 1.14.7: the recorded questions that
//! `dns-userspace/tests/vectors.rs` asks the server alone, from a pod, through every hook, over UDP and TCP, IPv4 and
//! IPv6.
//!
//! The recorded replies are not part of the project; where they are not at hand, nothing is compared, and the test says
//! so.

#[path = "../../dns-userspace/tests/support/meaning.rs"]
mod meaning;
#[path = "../../dns-userspace/tests/support/recorded.rs"]
mod recorded;
#[path = "../../dns-userspace/tests/support/upstream.rs"]
mod upstream;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dns_userspace::cluster::object::Kind;
use dns_userspace::kernel::hook::Hook;
use kxdns_tests::agent::Agent;
use kxdns_tests::client::{Client, Door, LINK, Reply};
use kxdns_tests::dns::{self, Question, framed, read_framed};
use kxdns_tests::figures::tell;
use kxdns_tests::namespace::Namespace;
use kxdns_tests::wait::until;
use meaning::Meaning;
use recorded::{Comparison, OWN_ADDRESSES, Recording, UPSTREAM, VECTORS, Vector};
use serde_json::{Value, json};

/// Those of the addresses that the recorded CoreDNS knew as its own that a pod can ask.
const SERVERS: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2)),
];
const MANIFESTS: &str = "/run/manifests";
const NAMESPACE_THAT_LACKS: &str = "ghost";
const LAST: Ipv4Addr = Ipv4Addr::new(10, 96, 200, 1);
const LIMIT: Duration = Duration::from_secs(5);

#[test]
fn through_every_hook_a_pod_is_told_what_coredns_said() -> Result<()> {
    let Some(recording) = Recording::find()? else {
        return Ok(());
    };
    let stage = Stage::build()?;
    for hook in Hook::ALL {
        stage.compare(&recording, hook).with_context(|| hook.name())?;
    }
    Ok(())
}

/// A node that has the recorded CoreDNS's addresses, and a pod.
struct Stage {
    node: Namespace,
    client: Client,
    door: Door,
}

impl Stage {
    fn build() -> Result<Stage> {
        let node = Namespace::open()?;
        let own = OWN_ADDRESSES.map(|address| format!("address add {address} dev lo\n"));
        node.feed("ip", &["-batch", "-"], &own.concat())?;
        start_upstream(&node)?;
        let client = Client::attach(&node, &SERVERS)?;
        let door = Door::open(client.namespace(), LIMIT)?;
        Ok(Stage { node, client, door })
    }

    fn compare(&self, recording: &Recording, hook: Hook) -> Result<()> {
        let (mut comparison, mut by_kernel) = (Comparison::default(), 0);
        for (config, vectors) in recording.vectors()? {
            by_kernel += self
                .compare_under(recording, &config, &vectors, hook, &mut comparison)
                .with_context(|| format!("under {config}"))?;
        }
        tell(&format!("{hook}: {by_kernel} of {} from the kernel", 2 * VECTORS))?;
        comparison.finish(4 * VECTORS)
    }

    /// Compares the replies under one Corefile, and says how many the kernel has sent.
    fn compare_under(
        &self,
        recording: &Recording,
        config: &str,
        vectors: &[Vector],
        hook: Hook,
        comparison: &mut Comparison,
    ) -> Result<usize> {
        let (later, first): (Vec<Value>, Vec<Value>) = manifests(recording)?.into_iter().partition(comes_later);
        // Nothing of the last Corefile's is left over.
        self.node.run("rm", ["-rf", MANIFESTS])?;
        self.write("first", first)?;
        let mut agent = self.start(&recording.corefile(config)?, hook)?;
        agent.await_attached(hook, 1)?;
        let (asked_first, asked_later): (Vec<&Vector>, Vec<&Vector>) =
            vectors.iter().partition(|it| is_asked_first(it));
        let mut by_kernel = self.ask_all(&asked_first, comparison)?;
        self.write("later", [later, last_service().to_vec()].concat())?;
        self.await_last()?;
        by_kernel += self.ask_all(&asked_later, comparison)?;
        agent.stop()?;
        Ok(by_kernel)
    }

    fn write(&self, name: &str, objects: Vec<Value>) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.node.write(&format!("{MANIFESTS}/{name}.json"), list.to_string())
    }

    fn start(&self, corefile: &str, hook: Hook) -> Result<Agent<'_>> {
        let (_, rest) = corefile.split_once('\n').context("no Corefile")?;
        // Each was recorded once and is asked here four times, so nothing is to come from the cache.
        let rest = ["success", "denial"].iter().fold(rest.to_owned(), |rest, kind| {
            rest.replace(&format!("disable {kind} cluster.local"), &format!("disable {kind}"))
        });
        let corefile = format!(".:53 {{\nprometheus :9153\n{rest}");
        let served = SERVERS.map(|server| server.to_string());
        let served = ["--served", &served[0], &served[1]];
        let arguments = ["--manifests", MANIFESTS, "--attach", hook.name(), "--interface", LINK];
        Agent::start(&self.node, &corefile, &[&arguments[..], &served].concat())
    }

    fn await_last(&self) -> Result<()> {
        let question = Question::a("last.ns1.svc.cluster.local").to_message(1)?;
        until("the last Service", LIMIT, || {
            let reply = dns::Reply::parse(&self.ask(SERVERS[0], &question)?.message)?;
            Ok((reply.addresses == [LAST]).then_some(()))
        })
    }

    fn ask_all(&self, vectors: &[&Vector], comparison: &mut Comparison) -> Result<usize> {
        let mut by_kernel = 0;
        for vector in vectors {
            for server in SERVERS {
                by_kernel += usize::from(self.compare_one(vector, server, comparison)?);
            }
        }
        Ok(by_kernel)
    }

    /// Compares what a server says to one question, and says whether the kernel has answered.
    fn compare_one(&self, vector: &Vector, server: IpAddr, comparison: &mut Comparison) -> Result<bool> {
        let query = vector.query()?;
        let over_tcp = self.client.ask_tcp(server, &query, LIMIT)?;
        comparison.take(vector, &format!("{server} over TCP"), &over_tcp, true)?;
        let reply = self.ask(server, &query)?;
        let said = Meaning::of(&reply.message)?;
        // The kernel compresses better than CoreDNS: it need not cut what CoreDNS had to.
        let is_whole = reply.by_kernel && !said.truncated;
        ensure!(
            !is_whole || said == Meaning::of(&over_tcp)?,
            "{} from the kernel: {said:?}, and over TCP: {:?}",
            vector.qname,
            Meaning::of(&over_tcp)?
        );
        comparison.take(vector, &format!("{server} over UDP"), &reply.message, is_whole)?;
        Ok(reply.by_kernel)
    }

    fn ask(&self, server: IpAddr, query: &[u8]) -> Result<Reply> {
        let reply = self.door.ask(server, query, LIMIT)?;
        reply.with_context(|| format!("no reply of {server} to {query:02x?}"))
    }
}

/// Whether an object is not yet there when the first questions are asked: the Service that kxdns, unlike CoreDNS, would
/// call itself after, and what is in a namespace that there is not, which manifests cannot say.
fn comes_later(object: &Value) -> bool {
    let metadata = &object["metadata"];
    object["kind"] == "Service" && metadata["name"] == "kube-dns" || metadata["namespace"] == NAMESPACE_THAT_LACKS
}

/// Whether a question is about the name server, or about a name in the namespace that there is not.
fn is_asked_first(vector: &Vector) -> bool {
    let name = vector.qname.to_ascii_lowercase();
    let zones = ["cluster.local.", "in-addr.arpa.", "ip6.arpa."];
    zones.contains(&name.trim_start_matches("ns.dns.")) || name.contains(&format!(".{NAMESPACE_THAT_LACKS}."))
}

/// The recorded objects, as a user would write them.
fn manifests(recording: &Recording) -> Result<Vec<Value>> {
    let manifest = |(kind, text): (Kind, String)| {
        let mut object: Value = serde_json::from_str(&text)?;
        let (version, kind) = match kind {
            Kind::Namespace => ("v1", "Namespace"),
            Kind::Service => ("v1", "Service"),
            Kind::Pod => ("v1", "Pod"),
            _ => ("discovery.k8s.io/v1", "EndpointSlice"),
        };
        (object["apiVersion"], object["kind"]) = (json!(version), json!(kind));
        Ok(object)
    };
    recording.objects()?.into_iter().map(manifest).collect()
}

/// A Service with an endpoint. Once it is known, all others are.
fn last_service() -> [Value; 2] {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "ns1", "name": "last"},
        "spec": {"clusterIP": LAST, "clusterIPs": [LAST], "ports": [{"port": 80}]},
    });
    let labels = json!({"kubernetes.io/service-name": "last"});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"namespace": "ns1", "name": "last-1", "labels": labels},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.200.1"]}], "ports": [{"port": 80}],
    });
    [service, slice]
}

/// Starts the recorded CoreDNS's upstream, for as long as the test runs.
fn start_upstream(node: &Namespace) -> Result<()> {
    let address: SocketAddr = UPSTREAM.parse()?;
    let (socket, listener) = (node.udp_at(address)?, node.listen(address)?);
    thread::spawn(move || serve_udp(&socket));
    thread::spawn(move || serve_tcp(&listener));
    Ok(())
}

fn serve_udp(socket: &UdpSocket) -> Result<()> {
    let mut query = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut query)?;
        socket.send_to(&upstream::answer(&query[..length])?, client)?;
    }
}

fn serve_tcp(listener: &TcpListener) {
    for mut stream in listener.incoming().flatten() {
        thread::spawn(move || -> Result<()> {
            loop {
                let query = read_framed(&mut stream)?;
                stream.write_all(&framed(&upstream::answer(&query)?))?;
            }
        });
    }
}

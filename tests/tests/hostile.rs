//! Thousands of hostile messages, to CoreDNS 1.14.7 and to kxdns beside it on the same API server: what one of them
//! answers, passes over in silence or hangs up on, the other does too.
//!
//! The messages are made of a seed, which `KXDNS_SEED` changes. What they disagree on is shrunk and shown as bytes, with
//! both replies.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use kxdns_tests::agent::Agent;
use kxdns_tests::cluster::{Cluster, User, object, service};
use kxdns_tests::coredns::start_coredns_by;
use kxdns_tests::dns::{Question, ask};
use kxdns_tests::hostile::conversation::{Conversation, Ending};
use kxdns_tests::hostile::exchange::{Datagram, Reply, Talk, converse, time_patience};
use kxdns_tests::hostile::meaning::hex;
use kxdns_tests::hostile::message::{make, plain_query};
use kxdns_tests::hostile::shrink::shrink;
use kxdns_tests::hostile::upstream;
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::process::Process;
use kxdns_tests::wait::until;
use serde_json::json;

/// How many messages go over each transport.
const MESSAGES: u16 = 6000;
/// How many connections carry several of them.
const CONVERSATIONS: u16 = 600;
/// A name that both servers answer for at once.
const KNOWN: &str = "web.default.svc.cluster.local";
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const LIMIT: Duration = Duration::from_secs(30);
/// How long a reply over UDP may take that comes after that of the good query behind it.
const PATIENCE: Duration = Duration::from_millis(20);
/// The same for a server that seems to be silent where the other is not.
const LONG_PATIENCE: Duration = Duration::from_millis(600);
/// How many disagreements of one kind are shrunk and shown.
const SHOWN: usize = 2;

#[test]
fn datagrams_are_answered_as_by_coredns() -> Result<()> {
    let stage = Stage::build()?;
    let agent = stage.start_agent()?;
    let mut report = Report::default();
    stage.compare_datagrams(MESSAGES, &mut report)?;
    report.check(&agent.output())?;
    agent.stop()
}

#[test]
fn connections_are_answered_as_by_coredns() -> Result<()> {
    let stage = Stage::build()?;
    let agent = stage.start_agent()?;
    let mut report = Report::default();
    stage.compare_messages(MESSAGES, &mut report)?;
    stage.compare_conversations(CONVERSATIONS, &mut report)?;
    stage.compare_patience(&mut report)?;
    report.check(&agent.output())?;
    agent.stop()
}

/// Without this, a disagreement might be the test's own doing.
#[test]
fn coredns_agrees_with_itself() -> Result<()> {
    let stage = Stage::build()?;
    let _twin = start_coredns_by(&stage.cluster, &stage.kxdns, |kubeconfig| corefile(kubeconfig, ""))?;
    let mut report = Report::default();
    stage.compare_datagrams(500, &mut report)?;
    stage.compare_messages(500, &mut report)?;
    stage.compare_conversations(100, &mut report)?;
    report.check("")
}

/// CoreDNS in one pod, a place for its rival in another, a control plane, an upstream, and a node that asks.
struct Stage {
    node: Node,
    kxdns: Pod,
    servers: [SocketAddr; 2],
    cluster: Cluster,
    _coredns: Process,
    _upstream: Namespace,
}

impl Stage {
    fn build() -> Result<Stage> {
        let node = Node::open()?;
        let cluster = Cluster::start(&node)?;
        create_objects(&cluster)?;
        let neighbour = node.add_neighbour("upstream", UPSTREAM)?;
        upstream::start(&neighbour, SocketAddr::from((UPSTREAM, 53)))?;
        let [coredns, kxdns] =
            [("coredns", 5), ("kxdns", 6)].map(|(name, host)| node.add_pod(&PodSpec::new(name, host)));
        let (coredns, kxdns) = (coredns?, kxdns?);
        let process = start_coredns_by(&cluster, &coredns, |kubeconfig| corefile(kubeconfig, ""))?;
        let servers = [coredns.ipv4(), kxdns.ipv4()].map(|address| SocketAddr::from((address, 53)));
        await_known(coredns.namespace())?;
        Ok(Stage {
            node,
            kxdns,
            servers,
            cluster,
            _coredns: process,
            _upstream: neighbour,
        })
    }

    fn start_agent(&self) -> Result<Agent<'_>> {
        let namespace = self.kxdns.namespace();
        let kubeconfig = self.cluster.write_kubeconfig(namespace, User::Agent)?;
        let corefile = corefile(&kubeconfig, "prometheus :9153");
        let agent = Agent::start(namespace, &corefile, &["--attach", "none"])?;
        await_known(namespace)?;
        Ok(agent)
    }

    fn sockets(&self) -> Result<[UdpSocket; 2]> {
        let [one, other] = self.servers.map(|server| self.node.namespace().udp_to(server));
        Ok([one?, other?])
    }

    fn compare_datagrams(&self, count: u16, report: &mut Report) -> Result<()> {
        let sockets = self.sockets()?;
        for number in 0..count {
            let message = make(seed()?, number);
            let replies = exchange(&sockets, &message, PATIENCE)?;
            if agree(&replies) || agree(&self.exchange_again(&message)?) {
                continue;
            }
            let shown = |bytes: &[u8]| Ok(!agree(&self.exchange_again(bytes)?));
            report.add("UDP", &describe_all(&replies), || {
                let least = shrink(&message, shown)?;
                let replies = self.exchange_again(&least)?;
                Ok(show(number, &least, &describe_all(&replies)))
            })?;
        }
        Ok(())
    }

    /// With sockets that no late reply can come to, and more patience.
    fn exchange_again(&self, message: &[u8]) -> Result<[Option<Reply>; 2]> {
        exchange(&self.sockets()?, message, LONG_PATIENCE)
    }

    fn compare_messages(&self, count: u16, report: &mut Report) -> Result<()> {
        for number in 0..count {
            let message = make(seed()?, number);
            let conversation = |bytes: &[u8]| Conversation::of(bytes.to_vec(), probe_for(bytes));
            let talks = self.converse(&conversation(&message))?;
            if talks[0].agrees(&talks[1]) {
                continue;
            }
            report.add("TCP", &talks.each_ref().map(Talk::to_string), || {
                let least = shrink(&message, |bytes| {
                    let [one, other] = self.converse(&conversation(bytes))?;
                    Ok(!one.agrees(&other))
                })?;
                let talks = self.converse(&conversation(&least))?;
                Ok(show(number, &least, &talks.map(|talk| talk.to_string())))
            })?;
        }
        Ok(())
    }

    fn compare_conversations(&self, count: u16, report: &mut Report) -> Result<()> {
        for number in 0..count {
            let conversation = Conversation::make(seed()?, number, KNOWN);
            let talks = self.converse(&conversation)?;
            if talks[0].agrees(&talks[1]) {
                continue;
            }
            let least = self.shrink_conversation(conversation)?;
            let talks = self.converse(&least)?.map(|talk| talk.to_string());
            report.add("conversation", &talks, || Ok(show(number, &whole(&least), &talks)))?;
        }
        Ok(())
    }

    /// Leaves out messages as long as the servers still disagree.
    fn shrink_conversation(&self, mut conversation: Conversation) -> Result<Conversation> {
        for at in (0..conversation.messages.len()).rev() {
            let mut shorter = conversation.clone();
            shorter.messages.remove(at);
            let [one, other] = self.converse(&shorter)?;
            if !one.agrees(&other) {
                conversation = shorter;
            }
        }
        Ok(conversation)
    }

    fn converse(&self, conversation: &Conversation) -> Result<[Talk; 2]> {
        let talk = |server| {
            let talk = converse(self.node.namespace(), server, conversation);
            talk.with_context(|| format!("{server} after {}", hex(&whole(conversation))))
        };
        let [one, other] = self.servers.map(talk);
        Ok([one?, other?])
    }

    /// Both servers close a connection on which nothing more is said after the same time, give or take a second.
    fn compare_patience(&self, report: &mut Report) -> Result<()> {
        let query = Conversation::of(plain_query(KNOWN, 1), Vec::new()).bytes();
        let openings = [&b""[..], b"\0", b"\0\x20half", &query, &[&query[..], b"\0"].concat()].map(<[u8]>::to_vec);
        let times = std::thread::scope(|scope| {
            let time = |server, said: &Vec<u8>| {
                let said = said.clone();
                scope.spawn(move || time_patience(self.node.namespace(), server, &said, LIMIT))
            };
            let timers = openings
                .each_ref()
                .map(|said| self.servers.map(|server| time(server, said)));
            timers.map(|pair| pair.map(|timer| timer.join()))
        });
        for (said, pair) in openings.iter().zip(times) {
            let [one, other] = pair.map(|time| time.unwrap_or_else(|payload| std::panic::resume_unwind(payload)));
            let (one, other) = (one?, other?);
            if one.abs_diff(other) > Duration::from_secs(1) {
                let times = [one, other].map(|time| format!("closed after {time:?}"));
                report.add("patience", &times, || Ok(show(0, said, &times)))?;
            }
        }
        Ok(())
    }
}

fn whole(conversation: &Conversation) -> Vec<u8> {
    let ending = match &conversation.ending {
        Ending::Finish(tail) => &tail[..],
        Ending::Probe(_) => &[],
    };
    [&conversation.bytes()[..], ending].concat()
}

/// The good query behind a message: its ID is odd, which no message's is unless it has been shrunk.
fn probe_for(message: &[u8]) -> Vec<u8> {
    let id = message.first_chunk().copied().map_or(0, u16::from_be_bytes);
    plain_query(KNOWN, id ^ 1)
}

fn exchange(sockets: &[UdpSocket; 2], message: &[u8], patience: Duration) -> Result<[Option<Reply>; 2]> {
    let probe = probe_for(message);
    let sent = sockets.each_ref().map(|socket| Datagram::send(socket, message, &probe));
    let receive = |sent: Result<Datagram<'_>>| {
        let reply = sent.and_then(|datagram| datagram.receive(patience));
        reply.with_context(|| format!("after {}", hex(message)))
    };
    let [one, other] = sent;
    Ok([receive(one)?, receive(other)?])
}

fn agree(replies: &[Option<Reply>; 2]) -> bool {
    match replies {
        [Some(one), Some(other)] => one.agrees(other),
        [one, other] => one.is_none() && other.is_none(),
    }
}

fn describe_all(replies: &[Option<Reply>; 2]) -> [String; 2] {
    replies.each_ref().map(|reply| match reply {
        Some(reply) => reply.to_string(),
        None => "silence".to_owned(),
    })
}

fn show(number: u16, message: &[u8], [coredns, kxdns]: &[String; 2]) -> String {
    format!("#{number} {}\n  CoreDNS: {coredns}\n  kxdns:   {kxdns}\n", hex(message))
}

/// What the servers disagree on, by kind.
#[derive(Default)]
struct Report {
    kinds: BTreeMap<String, Vec<String>>,
    counts: BTreeMap<String, usize>,
}

impl Report {
    /// Counts a disagreement, and has the first few of its kind told in full.
    fn add(&mut self, transport: &str, replies: &[String; 2], tell: impl FnOnce() -> Result<String>) -> Result<()> {
        // The flags say most about the kind.
        let kind = replies
            .each_ref()
            .map(|reply| reply.split(',').next().unwrap_or_default());
        let kind = format!("{transport}: CoreDNS {}, kxdns {}", kind[0], kind[1]);
        *self.counts.entry(kind.clone()).or_default() += 1;
        let told = self.kinds.entry(kind).or_default();
        if told.len() < SHOWN {
            told.push(tell()?);
        }
        Ok(())
    }

    /// Fails with all of them.
    fn check(self, output: &str) -> Result<()> {
        let mut text = String::new();
        for (kind, told) in &self.kinds {
            writeln!(text, "{} times {kind}\n{}", self.counts[kind], told.concat())?;
        }
        assert!(text.is_empty(), "with seed {}:\n{text}\n{output}", seed()?);
        Ok(())
    }
}

fn seed() -> Result<u64> {
    match env::var("KXDNS_SEED") {
        Ok(seed) => seed.parse().context("KXDNS_SEED is a number"),
        Err(_) => Ok(1),
    }
}

fn corefile(kubeconfig: &str, more: &str) -> String {
    format!(
        ".:53 {{
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    forward . {UPSTREAM}
    {more}
}}
"
    )
}

fn await_known(namespace: &Namespace) -> Result<()> {
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    until("the last object that was created", LIMIT, || {
        let reply = ask(namespace, server, &Question::a(KNOWN), LIMIT).ok();
        Ok(reply.filter(|(reply, _)| !reply.addresses.is_empty()))
    })
    .map(drop)
}

/// One Service of each kind; the one that everybody awaits comes last.
fn create_objects(cluster: &Cluster) -> Result<()> {
    let headless = service("headless", &["None"])?;
    let alias = |name: &str, target: &str| -> Result<Service> {
        object(json!({"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": target}}))
    };
    let services = [
        headless,
        alias("alias", "www.example.com")?,
        alias("inner-alias", KNOWN)?,
        service("web", &["10.96.1.1"])?,
    ];
    let slice: EndpointSlice = object(json!({
        "metadata": {"name": "headless-1", "labels": {"kubernetes.io/service-name": "headless"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.244.9.1"]}, {"addresses": ["10.244.9.2"], "hostname": "second"}],
        "ports": [{"name": "port", "port": 80, "protocol": "TCP"}],
    }))?;
    cluster.run(async |client| {
        let parameters = PostParams::default();
        Api::namespaced(client.clone(), "default")
            .create(&parameters, &slice)
            .await?;
        let api: Api<Service> = Api::namespaced(client, "default");
        for service in &services {
            api.create(&parameters, service).await?;
        }
        Ok(())
    })
}

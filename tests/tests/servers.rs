//! The DNS servers that kxdns is measured beside: what they answer, and that they leave nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::base::Rtype;
use domain::base::iana::OptRcode;
use kxdns_tests::cluster::Cluster;
use kxdns_tests::coredns::start_coredns;
use kxdns_tests::dns::Question;
use kxdns_tests::kube_proxy::{create_dns_service, start_kube_proxy};
use kxdns_tests::meaning::{Meaning, Reply};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;
use kxdns_tests::pod::PodSpec;
use kxdns_tests::servers::{NODE_LOCAL, Server, TTL, Zone, start_dnsmasq, start_knot, start_node_local, start_unbound};
use kxdns_tests::wait::until;

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
const NAME: &str = "svc-0042.default.svc.cluster.local";
const ABSENT: &str = "svc-9999.default.svc.cluster.local";
/// The API server's own Service.
const KUBERNETES: &str = "kubernetes.default.svc.cluster.local";
const KUBE_DNS_UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 11);
/// They answer within a millisecond, but this machine may be busy.
const LIMIT: Duration = Duration::from_millis(500);

#[test]
fn unbound_answers_as_the_zones_authority() -> Result<()> {
    check_zone(start_unbound, &[Rtype::SOA])
}

#[test]
fn knot_dns_answers_as_the_zones_authority() -> Result<()> {
    check_zone(start_knot, &[Rtype::SOA])
}

#[test]
fn dnsmasq_answers_as_the_zones_authority_but_without_its_soa() -> Result<()> {
    check_zone(start_dnsmasq, &[])
}

#[test]
fn the_cache_on_the_node_answers_what_coredns_does() -> Result<()> {
    let node = Node::open()?;
    let cluster = Cluster::start(&node)?;
    let (coredns, test) = (PodSpec::new("coredns", 2), PodSpec::new("test", 5));
    let (coredns, test) = (node.add_pod(&coredns)?, node.add_pod(&test)?);
    create_dns_service(&cluster, "kube-dns-upstream", KUBE_DNS_UPSTREAM, coredns.ipv4())?;
    let _kube_proxy = start_kube_proxy(&cluster, &node, KUBE_DNS_UPSTREAM)?;
    let upstream = start_coredns(&cluster, coredns.namespace())?;
    let cache = start_node_local(&node, KUBE_DNS_UPSTREAM)?;
    let ask = |question: &Question| ask(test.namespace(), cache.address(), question);

    assert_eq!(addresses(&ask(&Question::a(KUBERNETES))?), ["10.96.0.1"]);
    check_negative(&ask(&Question::aaaa(KUBERNETES))?, OptRcode::NOERROR, &[Rtype::SOA]);
    check_negative(&ask(&Question::a(ABSENT))?, OptRcode::NXDOMAIN, &[Rtype::SOA]);
    drop(upstream);
    assert_eq!(addresses(&ask(&Question::a(KUBERNETES))?), ["10.96.0.1"]);
    let tracked = node.namespace().run("conntrack", ["--dump"])?;
    let (upstream, cache) = (KUBE_DNS_UPSTREAM.to_string(), NODE_LOCAL.to_string());
    assert!(tracked.contains(&upstream) && !tracked.contains(&cache), "{tracked}");
    Ok(())
}

/// Starts a server with many names and checks a hit, both kinds of negative answers, with these types in their authority
/// sections, and that nothing is left of the server.
fn check_zone(start: fn(&Namespace, &Zone<'_>) -> Result<Server>, authority: &[Rtype]) -> Result<()> {
    let namespace = Namespace::open()?;
    let records: Vec<_> = (0..100).map(record).collect();
    let zone = Zone {
        address: Ipv4Addr::LOCALHOST,
        records: &records,
        threads: 2,
    };
    let server = start(&namespace, &zone)?;
    assert_eq!(server.address(), SERVER);
    let ask = |question: &Question| ask(&namespace, SERVER, question);

    let hit = ask(&Question::a(NAME))?;
    assert!(hit.flags.contains("AA") && hit.rcode == OptRcode::NOERROR, "{hit}");
    assert_eq!(addresses(&hit), ["10.100.0.42"]);
    assert_eq!(hit.answer()[0].ttl, TTL);
    check_negative(&ask(&Question::aaaa(NAME))?, OptRcode::NOERROR, authority);
    check_negative(&ask(&Question::a(ABSENT))?, OptRcode::NXDOMAIN, authority);

    let process = format!("/proc/{}", server.pid()?.as_raw_pid());
    drop(server);
    until("its port", LIMIT, || Ok(namespace.udp_at(SERVER).ok()))?;
    drop(namespace);
    assert!(!Path::new(&process).exists());
    Ok(())
}

fn record(number: u8) -> (String, Ipv4Addr) {
    let name = format!("svc-{number:04}.default.svc.cluster.local");
    (name, Ipv4Addr::new(10, 100, 0, number))
}

fn ask(from: &Namespace, server: SocketAddr, question: &Question) -> Result<Meaning> {
    let socket = from.udp_to(server)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.send(&question.to_message(1)?)?;
    let mut buffer = [0; 512];
    let length = socket
        .recv(&mut buffer)
        .with_context(|| format!("{server} does not answer {question:?}"))?;
    let reply = Reply::read(&buffer[..length]);
    reply.meaning().cloned().with_context(|| reply.to_string())
}

fn check_negative(reply: &Meaning, rcode: OptRcode, authority: &[Rtype]) {
    let [answer, told, _] = &reply.sections;
    let types: Vec<_> = told.iter().map(|fact| fact.rtype).collect();
    assert!(
        reply.rcode == rcode && answer.is_empty() && types == authority,
        "{reply}"
    );
}

fn addresses(reply: &Meaning) -> Vec<&str> {
    reply.answer().iter().map(|fact| fact.data.as_str()).collect()
}

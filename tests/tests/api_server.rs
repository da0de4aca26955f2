//! From the API server to a pod: a Service that a user creates is answered by the kernel, through every hook.
//!
//! The agent runs kernel-only with a token that may only list and watch Services, and nothing but the kernel stands
//! behind the kube-dns address: any answer is the kernel's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use domain::base::iana::Rcode;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use kxdns_tests::agent::{Agent, PLAIN_COREFILE};
use kxdns_tests::cluster::{Cluster, User, service};
use kxdns_tests::dns::{Question, SILENCE, ask_by};
use kxdns_tests::figures::{percentile, readable, tell};
use kxdns_tests::kube_proxy::create_kube_dns;
use kxdns_tests::node::{NODE_IPV4, Node};
use kxdns_tests::pod::PodSpec;

const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const KUBE_DNS_NAME: &str = "kube-dns.kube-system.svc.cluster.local";
const LIMIT: Duration = Duration::from_secs(10);
const TIMED_SERVICES: usize = 200;

#[test]
fn a_service_is_answered_from_its_creation_to_its_deletion_through_every_hook() -> Result<()> {
    let node = Node::open()?;
    let cluster = Cluster::start(&node)?;
    create_kube_dns(&cluster, KUBE_DNS, NODE_IPV4)?;
    // GRO is what native XDP needs in the pod; the other hooks do not mind.
    let pod = node.add_pod(&PodSpec {
        gro: true,
        ..PodSpec::new("test", 5)
    })?;
    let socket = pod.namespace().udp_to(SocketAddr::from((KUBE_DNS, 53)))?;
    for hook in ["tcx", "clsact", "xdp-generic", "xdp-native"] {
        let agent = start_agent(&node, &cluster, hook)?;
        agent.await_kernel(&socket, &Question::a(KUBE_DNS_NAME)).context(hook)?;
        cluster
            .run(async |client| follow_one(client, &socket).await)
            .context(hook)?;
        agent.stop()?;
    }
    Ok(())
}

#[test]
fn the_kernel_follows_the_api_server_within_milliseconds() -> Result<()> {
    let node = Node::open()?;
    let cluster = Cluster::start(&node)?;
    create_kube_dns(&cluster, KUBE_DNS, NODE_IPV4)?;
    let pod = node.add_pod(&PodSpec::new("test", 5))?;
    let socket = pod.namespace().udp_to(SocketAddr::from((KUBE_DNS, 53)))?;
    let agent = start_agent(&node, &cluster, "auto")?;
    agent.await_kernel(&socket, &Question::a(KUBE_DNS_NAME))?;
    let mut times = cluster.run(async |client| time_creations(client, &socket).await)?;
    agent.stop()?;
    times.sort_unstable();
    let told = |share| percentile(&times, share).map(readable).unwrap_or_default();
    tell(&format!(
        "from the API's reply to the kernel's answer: median {}, p99 {}, highest {} of {}",
        told(0.5),
        told(0.99),
        told(1.0),
        times.len()
    ))?;
    assert!(percentile(&times, 0.5) < Some(Duration::from_millis(100)));
    Ok(())
}

fn start_agent<'a>(node: &'a Node, cluster: &Cluster, hook: &str) -> Result<Agent<'a>> {
    let kubeconfig = cluster.write_kubeconfig(node.namespace(), User::Agent)?;
    let arguments = ["--kernel-only", "--kubeconfig", &kubeconfig, "--attach", hook];
    Agent::start(node.namespace(), PLAIN_COREFILE, &arguments).with_context(|| format!("--attach {hook}"))
}

/// Creates a dual-stack Service, awaits both of its addresses, deletes it, awaits its denial.
async fn follow_one(client: Client, socket: &UdpSocket) -> Result<()> {
    let services: Api<Service> = Api::namespaced(client, "default");
    let name = full_name("followed");
    await_denial(socket, &name).context("before the creation")?;
    let created = services
        .create(&PostParams::default(), &service("followed", &[])?)
        .await?;
    let [ipv4, ipv6] = cluster_ips(&created)?[..] else {
        bail!("the API server gave no two addresses");
    };
    await_address(socket, &Question::a(&name), ipv4)?;
    await_address(socket, &Question::aaaa(&name), ipv6)?;
    services.delete("followed", &DeleteParams::default()).await?;
    await_denial(socket, &name).context("after the deletion")
}

async fn time_creations(client: Client, socket: &UdpSocket) -> Result<Vec<Duration>> {
    let services: Api<Service> = Api::namespaced(client, "default");
    let mut times = Vec::new();
    for number in 0..TIMED_SERVICES {
        let name = format!("timed-{number}");
        let created = services.create(&PostParams::default(), &service(&name, &[])?).await?;
        let start = Instant::now();
        let address = *cluster_ips(&created)?.first().context("no address")?;
        await_address(socket, &Question::a(&full_name(&name)), address)?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn full_name(service: &str) -> String {
    format!("{service}.default.svc.cluster.local")
}

fn cluster_ips(service: &Service) -> Result<Vec<IpAddr>> {
    let spec = service.spec.as_ref().context("no spec")?;
    spec.cluster_ips
        .iter()
        .flatten()
        .map(|address| Ok(address.parse()?))
        .collect()
}

/// Asks until the kernel says exactly this address.
fn await_address(socket: &UdpSocket, question: &Question, address: IpAddr) -> Result<()> {
    let start = Instant::now();
    for id in (1..=u16::MAX).cycle().take_while(|_| start.elapsed() < LIMIT) {
        match ask_by(socket, question, id, SILENCE)? {
            Some(reply) if reply.addresses == [address] => return Ok(()),
            // A denial until the kernel knows, or silence.
            Some(reply) if !reply.addresses.is_empty() => {
                bail!("{question:?}: {reply:?}, not {address}")
            }
            _ => {}
        }
    }
    bail!("no {address} for {question:?} within {LIMIT:?}")
}

/// Asks until the kernel says that there is no such name: silence is not enough, since a reply may be late or lost.
fn await_denial(socket: &UdpSocket, name: &str) -> Result<()> {
    let start = Instant::now();
    for id in (1..=u16::MAX).cycle().take_while(|_| start.elapsed() < LIMIT) {
        let reply = ask_by(socket, &Question::a(name), id, SILENCE)?;
        if reply.is_some_and(|reply| reply.rcode == Rcode::NXDOMAIN) {
            return Ok(());
        }
    }
    bail!("{name} is not denied after {LIMIT:?}")
}

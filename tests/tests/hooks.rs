//! Every hook on real veth pairs: the right reply reaches the pod's socket and no loss counter moves.
//!
//! IPv4 and IPv6, transmit checksums left to the link or not, ordinary and jumbo MTU, a link of its own or a bridge's port,
//! with and without an OPT record, and question lengths that give the frame every residue modulo 64 (the room behind a
//! frame in native XDP depends on it). Where the kernel lacks what a hook needs, the agent says so and attaches to nothing.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use dns_userspace::kernel::hook::Refusal;
use domain::base::Rtype;
use domain::base::iana::Rcode;
use kxdns_tests::agent::{Agent, PLAIN_COREFILE};
use kxdns_tests::attachments::list_attached;
use kxdns_tests::counters::read_losses;
use kxdns_tests::dns::{Question, ask_by};
use kxdns_tests::figures::tell;
use kxdns_tests::node::{GATEWAY_IPV4, GATEWAY_IPV6, Node};
use kxdns_tests::offers::find_lack;
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::wait::until;

const KUBE_DNS_IPV4: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const KUBE_DNS_IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 10);
const MANIFESTS: &str = "/run/manifests";
const LONGEST_LABEL: u8 = 63;
const LIMIT: Duration = Duration::from_secs(2);
const REFUSAL: &str = "peer cannot receive";

#[test]
fn tcx_answers_every_kind_of_frame() -> Result<()> {
    answers_every_kind_of_frame("tcx", false)
}

#[test]
fn clsact_answers_every_kind_of_frame() -> Result<()> {
    answers_every_kind_of_frame("clsact", false)
}

#[test]
fn generic_xdp_answers_every_kind_of_frame() -> Result<()> {
    answers_every_kind_of_frame("xdp-generic", false)
}

#[test]
fn native_xdp_answers_every_kind_of_frame_to_a_receiving_peer() -> Result<()> {
    answers_every_kind_of_frame("xdp-native", true)
}

#[test]
fn native_xdp_waits_until_the_pods_end_can_receive() -> Result<()> {
    if let Some(refusal) = find_lack("xdp-native")? {
        return is_refused("xdp-native", refusal);
    }
    let node = Node::open()?;
    let pod = node.add_pod(&PodSpec::new("deaf", 5))?;
    write_services(&node)?;
    let arguments = ["--kernel-only", "--manifests", MANIFESTS, "--attach", "xdp-native"];
    let mut agent = Agent::start(node.namespace(), PLAIN_COREFILE, &arguments)?;
    agent.await_output(REFUSAL, LIMIT)?;
    assert!(agent.output().contains(pod.node_link()), "{}", agent.output());

    let socket = pod.namespace().udp_to(SocketAddr::from((KUBE_DNS_IPV4, 53)))?;
    let question = Question::a("s.ns.svc.cluster.local");
    assert_eq!(ask_by(&socket, &question, 1, LIMIT)?, None);
    pod.namespace().run("ethtool", ["-K", "eth0", "gro", "on"])?;
    agent.await_kernel(&socket, &question)?;
    pod.namespace().run("ethtool", ["-K", "eth0", "gro", "off"])?;
    until("the second refusal", LIMIT, || {
        Ok((agent.output().matches(REFUSAL).count() > 1).then_some(()))
    })?;
    agent.stop()
}

/// Linux before 6.6 has no tcx; Linux before 6.3 does not say whether a veth's other end can receive what native XDP
/// sends it.
fn is_refused(hook: &str, refusal: Refusal) -> Result<()> {
    tell(&format!("--attach {hook} is refused: {refusal}"))?;
    let node = Node::open()?;
    let pod = node.add_pod(&PodSpec::new("pod", 5))?;
    write_services(&node)?;
    let arguments = ["--kernel-only", "--manifests", MANIFESTS, "--attach", hook];
    let mut agent = Agent::start(node.namespace(), PLAIN_COREFILE, &arguments)?;
    agent.await_output(&format!("{}: not attached: {refusal}", pod.node_link()), LIMIT)?;
    assert_eq!(list_attached(node.namespace(), pod.node_link())?, "");
    agent.stop()
}

fn answers_every_kind_of_frame(hook: &str, gro: bool) -> Result<()> {
    if let Some(refusal) = find_lack(hook)? {
        return is_refused(hook, refusal);
    }
    let node = Node::open()?;
    let mut pods = Vec::new();
    for (host, (offload, mtu)) in [(true, 1500), (false, 1500), (true, 9001), (false, 9001)]
        .into_iter()
        .enumerate()
    {
        let spec = PodSpec {
            offload,
            mtu,
            gro,
            ..PodSpec::new(&format!("pod{host}"), 5 + host as u8)
        };
        pods.push((format!("{hook}, offload {offload}, MTU {mtu}"), node.add_pod(&spec)?));
    }
    let bridged = PodSpec {
        gro,
        ..PodSpec::new("bridged", 9)
    };
    let bridged = node.add_pod(&bridged)?;
    put_on_bridge(&node, &bridged)?;
    pods.push((format!("{hook}, port of a bridge"), bridged));
    write_services(&node)?;
    let arguments = ["--kernel-only", "--manifests", MANIFESTS, "--attach", hook];
    let agent = Agent::start(node.namespace(), PLAIN_COREFILE, &arguments)?;
    for (title, pod) in &pods {
        check_pod(&node, pod, &agent).with_context(|| title.clone())?;
    }
    agent.stop()
}

/// Makes the node's end of the pod's link a port of a bridge, whose address the pod then sends its frames to.
fn put_on_bridge(node: &Node, pod: &Pod) -> Result<()> {
    let link = pod.node_link();
    let batch = format!(
        "link add br0 type bridge\n\
         link set br0 up\n\
         address flush dev {link}\n\
         link set {link} master br0\n\
         address add {GATEWAY_IPV4}/32 dev br0 scope link\n\
         address add {GATEWAY_IPV6}/64 dev br0 nodad\n"
    );
    node.namespace().feed("ip", &["-batch", "-"], &batch).map(drop)
}

/// Asks for every name over both families, and compares the loss counters before and after.
fn check_pod(node: &Node, pod: &Pod, agent: &Agent<'_>) -> Result<()> {
    for server in [IpAddr::V4(KUBE_DNS_IPV4), IpAddr::V6(KUBE_DNS_IPV6)] {
        let socket = pod.namespace().udp_to(SocketAddr::from((server, 53)))?;
        agent.await_kernel(&socket, &Question::a("s.ns.svc.cluster.local"))?;
    }
    let losses = read_losses(node, pod)?;
    let answered = agent.metrics()?.sum("kxdns_kernel_answers_total", &[]);
    let mut asked = 0;
    for server in [IpAddr::V4(KUBE_DNS_IPV4), IpAddr::V6(KUBE_DNS_IPV6)] {
        let socket = pod.namespace().udp_to(SocketAddr::from((server, 53)))?;
        let mut residues = BTreeSet::new();
        for question in questions() {
            asked += 1;
            check_reply(&socket, &question, asked).with_context(|| format!("{question:?} to {server}"))?;
            residues.insert(frame_len(server, &question)? % 64);
        }
        assert_eq!(residues.len(), 64);
    }
    assert_eq!(
        agent.metrics()?.sum("kxdns_kernel_answers_total", &[]),
        answered + f64::from(asked)
    );
    assert_eq!(read_losses(node, pod)?, losses);
    Ok(())
}

fn check_reply(socket: &UdpSocket, question: &Question, id: u16) -> Result<()> {
    let reply = ask_by(socket, question, id, LIMIT)?.context("no reply")?;
    let length = label_len(&question.name);
    let expected: IpAddr = if question.rtype == Rtype::A {
        ipv4_of(length).into()
    } else {
        ipv6_of(length).into()
    };
    ensure!(reply.addresses == [expected], "{reply:?} instead of {expected}");
    ensure!(
        reply.rcode == Rcode::NOERROR && reply.authoritative && reply.ttl == Some(30),
        "{reply:?}"
    );
    ensure!(reply.name == question.name, "the letters' case changed: {reply:?}");
    ensure!(reply.edns == question.edns, "{reply:?}");
    Ok(())
}

/// Names of every length of label, in mixed case; A and AAAA; with and without an OPT record.
fn questions() -> impl Iterator<Item = Question> {
    (1..=LONGEST_LABEL).flat_map(|length| {
        let name = format!("{}.Ns.svc.Cluster.LOCAL", label(length).replacen('s', "S", 2));
        let plain = [Question::a(&name), Question::aaaa(&name)];
        let edns = plain.clone().map(Question::with_edns);
        plain.into_iter().chain(edns)
    })
}

fn frame_len(server: IpAddr, question: &Question) -> Result<usize> {
    let network = if server.is_ipv4() { 20 } else { 40 };
    Ok(14 + network + 8 + question.to_message(0)?.len())
}

fn label(length: u8) -> String {
    "s".repeat(length.into())
}

fn label_len(name: &str) -> u8 {
    name.split('.').next().map_or(0, |label| label.len() as u8)
}

fn ipv4_of(length: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 96, 1, length)
}

fn ipv6_of(length: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 1, length.into())
}

/// kube-dns and one dual-stack Service for every length of label.
fn write_services(node: &Node) -> Result<()> {
    let mut text = manifest("kube-system", "kube-dns", KUBE_DNS_IPV4, KUBE_DNS_IPV6);
    for length in 1..=LONGEST_LABEL {
        text += &manifest("ns", &label(length), ipv4_of(length), ipv6_of(length));
    }
    node.namespace().write(&format!("{MANIFESTS}/services.yaml"), text)
}

fn manifest(namespace: &str, name: &str, ipv4: Ipv4Addr, ipv6: Ipv6Addr) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{namespace: {namespace}, name: {name}}}, spec: {{clusterIP: \
         {ipv4}, clusterIPs: [{ipv4}, \"{ipv6}\"], ipFamilies: [IPv4, IPv6], ports: [{{port: 53, protocol: UDP}}]}}}}\n"
    )
}

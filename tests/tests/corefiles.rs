//! The Corefiles that distributions and clouds ship, run unchanged: the server answers for the cluster, for what their other
//! plugins say and, by the upstreams, for the rest.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::base::iana::Rcode;
use kxdns_tests::agent::Agent;
use kxdns_tests::dns::{Question, Reply, await_reply};
use kxdns_tests::http;
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::Node;
use kxdns_tests::wait::until;

const UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const LIMIT: Duration = Duration::from_secs(20);

/// A folder of the node's own in place of `/etc`, with what CoreDNS's pod has there.
const ETC: &str = "mkdir -p /run/etc /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
rm -f /etc/resolv.conf
echo 'nameserver 10.0.2.2' >/etc/resolv.conf
mkdir -p /etc/coredns/custom
echo '10.0.0.7 node-1' >/etc/coredns/NodeHosts
printf 'custom.example:53 {\\n    errors\\n    cache 30\\n    forward . 10.0.2.2:5353\\n}\\n' >/etc/coredns/custom/my.server
echo log >/etc/coredns/custom/my.override";

/// A name, and its address if it has one.
type Said = (&'static str, Option<[u8; 4]>);

/// What each says beside what all say.
const CASES: [(&str, &[Said]); 7] = [
    ("kubeadm", &[]),
    ("kubeadm-with-log", &[]),
    ("kind", &[]),
    ("eks", &[]),
    ("stub-domains", &[("www.corp.example", Some(OTHER))]),
    (
        "aks",
        &[
            ("www.custom.example", Some(OTHER)),
            ("a.b.c.d.internal.cloudapp.net", None),
            ("a.b.internal.cloudapp.net", Some(FIRST)),
            ("www.reddog.microsoft.com", None),
        ],
    ),
    (
        "k3s",
        &[("www.custom.example", Some(OTHER)), ("node-1", Some([10, 0, 0, 7]))],
    ),
];

/// The address that each upstream has for every name.
const FIRST: [u8; 4] = [198, 51, 100, 1];
const OTHER: [u8; 4] = [198, 51, 100, 2];

#[test]
fn customary_corefiles_run_unchanged() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/corefiles");
    assert_eq!(fs::read_dir(&folder)?.count(), CASES.len(), "each has its case");
    let node = Node::open()?;
    let upstream = node.add_neighbour("upstream", UPSTREAM)?;
    for (port, address) in [(53, FIRST), (5353, OTHER)] {
        let socket = upstream.udp_at((UPSTREAM, port).into())?;
        thread::spawn(move || answer(&socket, address));
    }
    let node = node.namespace();
    node.run("sh", ["-ec", ETC])?;
    node.write(
        "/run/manifests/web.yaml",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.0.0.3}\n",
    )?;
    for (name, own) in CASES {
        fs::write(node.path("/etc/coredns/Corefile"), fs::read(folder.join(name))?)?;
        run(node, own).with_context(|| format!("the Corefile of {name}"))?;
    }
    Ok(())
}

fn run(node: &Namespace, own: &[Said]) -> Result<()> {
    let arguments = ["--attach", "none", "--manifests", "/run/manifests"];
    let mut agent = Agent::launch(node, Agent::command(node, &arguments)?)?;
    agent.await_synced()?;
    let page = |port: u16, path| http::get(node, (Ipv4Addr::LOCALHOST, port).into(), path);
    until("readiness", LIMIT, || {
        Ok(page(8181, "/ready").ok().filter(|text| text == "OK"))
    })?;
    assert_eq!(page(8080, "/health")?, "OK");
    let socket = node.udp_to(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)))?;
    let ask = |name: &str| -> Result<Reply> { await_reply(&socket, &Question::a(name), LIMIT) };
    let all = [
        ("web.default.svc.cluster.local", Some([10, 0, 0, 3])),
        ("www.example.com", Some(FIRST)),
    ];
    for (name, address) in all.iter().chain(own) {
        let reply = ask(name)?;
        let expected = match address {
            Some(address) => (Rcode::NOERROR, vec![IpAddr::from(*address)]),
            None => (Rcode::NXDOMAIN, vec![]),
        };
        assert_eq!((reply.rcode, reply.addresses), expected, "{name}");
    }
    assert_eq!(ask("wob.default.svc.cluster.local")?.rcode, Rcode::NXDOMAIN);
    let metrics = agent.metrics()?;
    let answered = |plugin| metrics.sum("coredns_dns_responses_total", &[("plugin", plugin)]);
    assert!(answered("kubernetes") >= 2.0 && answered("forward") >= 1.0);
    assert!(!agent.output().contains("not supported"), "{}", agent.output());
    agent.stop()
}

/// Answers every question with this address.
fn answer(socket: &UdpSocket, address: [u8; 4]) {
    let mut buffer = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        // The question alone, whatever stood behind it.
        let name = buffer[12..length].iter().position(|byte| *byte == 0).unwrap_or(0);
        let mut reply = buffer[..12 + name + 5].to_vec();
        (reply[2], reply[3]) = (0x81, 0x80);
        reply[6..12].copy_from_slice(&[0, 1, 0, 0, 0, 0]);
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address);
        // Whoever is gone asks no more.
        let _ = socket.send_to(&reply, client);
    }
}

//! The kernel beside the classic path, CoreDNS behind a real kube-proxy, asked the same by the same pod.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use kxdns_tests::agent::{Agent, PLAIN_COREFILE};
use kxdns_tests::cluster::{Cluster, User};
use kxdns_tests::coredns::start_coredns;
use kxdns_tests::dns::{Question, ask};
use kxdns_tests::figures::{readable, tell};
use kxdns_tests::kube_proxy::{create_kube_dns, start_kube_proxy};
use kxdns_tests::load::{Case, LoadReport, keep_asking};
use kxdns_tests::metrics::KERNEL_ANSWERS;
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};

const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
const NAME: &str = "kube-dns.kube-system.svc.cluster.local";
const LIMIT: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(2);

#[test]
fn the_kernel_answers_faster_than_coredns_behind_kube_proxy() -> Result<()> {
    let node = Node::open()?;
    let cluster = Cluster::start(&node)?;
    let server = node.add_pod(&PodSpec::new("coredns", 2))?;
    let test = node.add_pod(&PodSpec::new("test", 5))?;
    create_kube_dns(&cluster, KUBE_DNS, server.ipv4())?;
    let _coredns = start_coredns(&cluster, server.namespace())?;
    let _kube_proxy = start_kube_proxy(&cluster, &node, KUBE_DNS)?;

    let classic = measure(&test, "CoreDNS behind kube-proxy")?;
    let kubeconfig = cluster.write_kubeconfig(node.namespace(), User::Agent)?;
    let agent = Agent::start(
        node.namespace(),
        PLAIN_COREFILE,
        &["--kernel-only", "--kubeconfig", &kubeconfig],
    )?;
    let answers = || anyhow::Ok(agent.metrics()?.sum(KERNEL_ANSWERS, &[]));
    agent.await_first_answer(test.namespace(), SocketAddr::from((KUBE_DNS, 53)), &Question::a(NAME))?;
    let before = answers()?;
    let kernel = measure(&test, "the kernel")?;
    assert!(answers()? >= before + kernel.answered as f64);
    agent.stop()?;
    assert!(kernel.rate() > classic.rate());
    assert_eq!((kernel.lost, classic.lost), (0, 0));
    Ok(())
}

/// Loads the kube-dns address with many queries at once, tells the figures, and returns them.
fn measure(test: &Pod, title: &str) -> Result<LoadReport> {
    let address = SocketAddr::from((KUBE_DNS, 53));
    let (reply, _) = ask(test.namespace(), address, &Question::a(NAME), LIMIT)?;
    assert_eq!(reply.addresses, [KUBE_DNS]);
    let case = Case::addresses(&Question::a(NAME), &[KUBE_DNS.into()])?;
    let run = |outstanding| keep_asking(test.namespace(), address, case.clone(), outstanding, ROUND);
    let (many, single) = (run(32)?, run(1)?);
    let (p50, p99) = (readable(single.percentile(0.5)), readable(single.percentile(0.99)));
    tell(&format!(
        "{title}: {:.0} queries/s with 32 in flight; p50 {p50}, p99 {p99} one at a time",
        many.rate()
    ))?;
    Ok(many)
}

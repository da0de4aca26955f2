//! The small cluster: one node, three pods and an upstream server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kxdns_tests::agent::Agent;
use kxdns_tests::dns::Question;
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::{NODE_IPV4, Node};
use kxdns_tests::pod::{Pod, PodSpec};

use crate::backends::{serve_upstream, serve_web};
use crate::page::Page;

/// The ClusterIP of kube-dns.
pub(crate) const KUBE_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// An address where only the kernel answers: nothing leads from it to the agent's server.
pub(crate) const KERNEL_ONLY: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 11);
/// The ClusterIP of web-service.
pub(crate) const WEB_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 107, 37, 188);

/// The full name of web-service.
pub(crate) const WEB_SERVICE_NAME: &str = "web-service.default.svc.cluster.local";

const UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const MANIFESTS: &str = "/run/kxdns/manifests";
const COREFILE: &str = include_str!("../../../cases/demo/Corefile");
const SERVICES: &str = include_str!("../../../cases/demo/services.yaml");
const KUBE_PROXY: &str = include_str!("../../../cases/demo/kube-proxy.nft");
const LATE_SERVICE: &str = include_str!("../../../cases/demo/late-service.yaml");

/// Everything but the agent.
pub(crate) struct Stage {
    node: Node,
    /// Asks, in the Kubernetes namespace `default`.
    pub(crate) test: Pod,
    web: Pod,
    /// Asks from another Kubernetes namespace, `staging`.
    pub(crate) visitor: Pod,
    upstream: Namespace,
}

impl Stage {
    pub(crate) fn build(page: &Page) -> Result<Stage> {
        let node = Node::open()?;
        let stage = Stage {
            test: node.add_pod(&PodSpec::new("test", 5))?,
            web: node.add_pod(&PodSpec::new("web", 6))?,
            visitor: node.add_pod(&PodSpec::new("visitor", 7))?,
            upstream: node.add_neighbour("upstream", UPSTREAM)?,
            node,
        };
        stage.test.use_cluster_dns(KUBE_DNS, "default")?;
        stage.web.use_cluster_dns(KUBE_DNS, "default")?;
        stage.visitor.use_cluster_dns(KUBE_DNS, "staging")?;
        serve_web(stage.web.namespace().listen(SocketAddr::from(([0, 0, 0, 0], 80)))?);
        serve_upstream(stage.upstream.udp_at(SocketAddr::from((UPSTREAM, 53)))?);
        stage.prepare_node()?;
        stage.describe(page)?;
        Ok(stage)
    }

    /// Starts the agent on the node with the Corefile and the manifests, and waits until the kernel answers.
    pub(crate) fn start_agent(&self, program: &Path, attach: &str) -> Result<Agent<'_>> {
        let served = KERNEL_ONLY.to_string();
        let arguments = ["--manifests", MANIFESTS, "--served", &served, "--attach", attach];
        let agent = Agent::start_program(program, self.node.namespace(), COREFILE, &arguments)?;
        if attach != "none" {
            for pod in [&self.test, &self.web, &self.visitor] {
                let socket = pod.namespace().udp_to(SocketAddr::from((KERNEL_ONLY, 53)))?;
                agent.await_kernel(&socket, &Question::a(WEB_SERVICE_NAME))?;
            }
        }
        Ok(agent)
    }

    /// Writes late-service's manifest in one step, as an atomic update of a file.
    pub(crate) fn write_late_service(&self, address: Ipv4Addr) -> Result<()> {
        let draft = "/run/kxdns/draft";
        let node = self.node.namespace();
        node.write(draft, LATE_SERVICE.replace("ADDRESS", &address.to_string()))?;
        fs::rename(node.path(draft), self.late_service()).context("cannot write a manifest")
    }

    pub(crate) fn delete_late_service(&self) -> Result<()> {
        fs::remove_file(self.late_service()).context("cannot delete a manifest")
    }

    /// Says how to look around in what is still running.
    pub(crate) fn print_entrances(&self, page: &Page) -> Result<()> {
        page.heading("Everything is still running. Enter it with")?;
        for (name, namespace) in [
            ("node", self.node.namespace()),
            ("test", self.test.namespace()),
            ("web", self.web.namespace()),
            ("visitor", self.visitor.namespace()),
        ] {
            page.line(&format!("  {name:<9} nsenter -t {} -n -m -p bash", namespace.pid()))?;
        }
        let manifests = self.node.namespace().path(MANIFESTS);
        page.line(&format!("  manifests {}", manifests.display()))?;
        page.note("Ctrl-C ends it and leaves nothing behind.")
    }

    fn prepare_node(&self) -> Result<()> {
        let node = self.node.namespace();
        node.set_resolv_conf(&format!("nameserver {UPSTREAM}\n"))?;
        node.write(&format!("{MANIFESTS}/services.yaml"), SERVICES)?;
        node.feed("nft", &["-f", "-"], KUBE_PROXY)?;
        Ok(())
    }

    fn describe(&self, page: &Page) -> Result<()> {
        page.heading("A small cluster in network namespaces")?;
        page.line(&format!(
            "  node      {NODE_IPV4:<13}  the kxdns agent; its upstream server is {UPSTREAM}"
        ))?;
        page.line("  test      10.244.1.5     a pod in the namespace default")?;
        page.line(&format!(
            "  web       10.244.1.6     the pod behind Service web-service, {WEB_SERVICE}"
        ))?;
        page.line("  visitor   10.244.1.7     a pod in the namespace staging")?;
        page.note(&format!(
            "  kube-dns is {KUBE_DNS}. Some nftables rules stand for kube-proxy: what the kernel does not"
        ))?;
        page.note("  answer at that address goes to the agent's server, web-service's address goes to the pod web.")
    }

    fn late_service(&self) -> PathBuf {
        self.node.namespace().path(format!("{MANIFESTS}/late-service.yaml"))
    }
}

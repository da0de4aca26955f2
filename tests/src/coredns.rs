//! CoreDNS in a namespace, fed by the control plane: the rival, and the server behind the classic path.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::{Cluster, User};
use crate::dns::{Question, ask};
use crate::namespace::Namespace;
use crate::peers::find_peer;
use crate::process::Process;

const READY_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// Starts CoreDNS with its `kubernetes` plugin in `namespace` and waits until it answers for the API server's own Service.
pub fn start_coredns(cluster: &Cluster, namespace: &Namespace) -> Result<Process> {
    start_coredns_by(cluster, namespace, corefile)
}

/// Starts CoreDNS by the Corefile that `corefile` makes of a kubeconfig's path; else as [`start_coredns`].
pub fn start_coredns_by(
    cluster: &Cluster,
    namespace: &Namespace,
    corefile: impl FnOnce(&str) -> String,
) -> Result<Process> {
    let kubeconfig = cluster.write_kubeconfig(namespace, User::Admin)?;
    namespace.write("/run/coredns/Corefile", corefile(&kubeconfig))?;
    let mut command = namespace.command(find_peer("coredns")?);
    command.args(["-conf", "/run/coredns/Corefile"]);
    let mut process = Process::start("coredns", command)?;
    let server = SocketAddr::from(([127, 0, 0, 1], 53));
    let question = Question::a("kubernetes.default.svc.cluster.local");
    process.await_that("its first answer", READY_LIMIT, || {
        let reply = ask(namespace, server, &question, ANSWER_LIMIT).ok();
        Ok(reply.filter(|(reply, _)| !reply.addresses.is_empty()))
    })?;
    Ok(process)
}

fn corefile(kubeconfig: &str) -> String {
    format!(
        ".:53 {{\n    errors\n    kubernetes cluster.local in-addr.arpa ip6.arpa {{\n        kubeconfig {kubeconfig}\n        \
         pods insecure\n        fallthrough in-addr.arpa ip6.arpa\n        ttl 30\n    }}\n    cache 30\n    loadbalance\n}}\n"
    )
}

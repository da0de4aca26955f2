//! Where it happens: a node with a real API server, and a pod for each of the two that are compared.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::{Context, Result};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::Api;
use kxdns_tests::cluster::Cluster;
use kxdns_tests::node::Node;
use kxdns_tests::pod::{Pod, PodSpec};

use crate::names::{dns_name, namespace_name, slice_name};
use crate::probe::Expectation;

/// The stage. Dropping it ends all that runs on it.
pub(crate) struct Stage {
    pub(crate) kxdns: PathBuf,
    pub(crate) cluster: Cluster,
    pub(crate) pod: Rc<Pod>,
    _node: Node,
}

impl Stage {
    /// Starts the control plane and makes the pod in which the servers take turns.
    pub(crate) fn build(kxdns: PathBuf) -> Result<Stage> {
        let kxdns = kxdns
            .canonicalize()
            .with_context(|| format!("{}: run `cargo xtask build`", kxdns.display()))?;
        let node = Node::open()?;
        let cluster = Cluster::start(&node)?;
        let pod = Rc::new(node.add_pod(&PodSpec::new("server", 5))?);
        Ok(Stage {
            kxdns,
            cluster,
            pod,
            _node: node,
        })
    }

    /// What a headless Service must answer, as the API server has it now.
    pub(crate) fn expectation(&self, service: usize) -> Result<Expectation> {
        let slice = self.cluster.run(async |client| {
            let slices: Api<EndpointSlice> = Api::namespaced(client, &namespace_name(service));
            Ok(slices.get(&slice_name(service)).await?)
        })?;
        expectation(service, &slice)
    }
}

/// What a headless Service with this slice must answer.
pub(crate) fn expectation(service: usize, slice: &EndpointSlice) -> Result<Expectation> {
    let ready = slice.endpoints.iter().flatten().filter(|endpoint| is_ready(endpoint));
    let addresses = ready.flat_map(|endpoint| &endpoint.addresses);
    let addresses: Result<BTreeSet<IpAddr>> = addresses.map(|address| Ok(address.parse()?)).collect();
    Ok(Expectation {
        name: dns_name(service),
        addresses: addresses?,
    })
}

/// Whether an endpoint takes traffic; unknown is yes.
pub(crate) fn is_ready(endpoint: &Endpoint) -> bool {
    let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready);
    ready.unwrap_or(true)
}

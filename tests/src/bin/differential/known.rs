//! What the objects say that a difference on purpose depends on.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::generate::slices::{IMPORT_NAME, SERVICE_NAME, SOURCE_CLUSTER};
use crate::questions::{Snapshot, import_name, pod_addresses, reverse};

/// What is known of the cluster at the time of a question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The Namespaces.
    pub(crate) namespaces: BTreeSet<String>,
    /// The names of Pods that are deleted and not gone.
    pub(crate) terminating: BTreeSet<String>,
    /// The reverse names of addresses in slices that say to belong to no Service.
    pub(crate) nameless: BTreeSet<String>,
    /// The names of ServiceImports with slices that do not say which cluster they are from.
    pub(crate) clusterless: BTreeSet<String>,
}

impl Known {
    /// Reads it off the objects.
    pub(crate) fn of(snapshot: &Snapshot) -> Known {
        let names = snapshot
            .namespaces
            .iter()
            .filter_map(|it| it["metadata"]["name"].as_str());
        let is_ending = |pod: &&Value| !pod["metadata"]["deletionTimestamp"].is_null();
        let pods = snapshot.pods.iter().filter(is_ending).flat_map(pod_addresses);
        let lacks = |slice: &Value, label| slice["metadata"]["labels"][label].as_str().is_none_or(str::is_empty);
        let is_of_none = |slice: &&Value| lacks(slice, SERVICE_NAME);
        let slices = snapshot.slices.iter().filter(is_of_none);
        let addresses = slices.flat_map(addresses).filter_map(|address| reverse(&address));
        let is_clusterless = |slice: &&Value| !lacks(slice, IMPORT_NAME) && lacks(slice, SOURCE_CLUSTER);
        let clusterless = snapshot.slices.iter().filter(is_clusterless).map(import_name);
        Known {
            clusterless: clusterless.map(|name| name + ".").collect(),
            namespaces: names.map(str::to_owned).collect(),
            terminating: pods.map(|name| name + ".").collect(),
            nameless: addresses.map(|name| name + ".").collect(),
        }
    }
}

/// The addresses of a slice's endpoints that are ready.
fn addresses(slice: &Value) -> Vec<String> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
    let addresses = ready.flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten());
    addresses.filter_map(Value::as_str).map(str::to_owned).collect()
}

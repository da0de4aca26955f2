//! The objects of a large cluster, made from numbers: the same each time, and as users and controllers would write them.
//!
//! Every second Service is headless, every twentieth a StatefulSet's, whose pods have hostnames; of fifty endpoints one is
//! not ready. The endpoints of a Service stand in one EndpointSlice, and their addresses fit into one datagram.

use std::ops::Range;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kxdns_tests::cluster::object;
use serde_json::{Value, json};

use super::names::{is_headless, namespace_name, pod_address, service_name, slice_name};
use crate::page::grouped;

const ENDPOINTS_OF_A_SERVICE: usize = 15;
const NODES: usize = 300;
const ZONES: usize = 3;
const NOT_READY_ONE_OF: usize = 50;
const STATEFUL_ONE_OF: usize = 20;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    pub(crate) services: usize,
    pub(crate) endpoints: usize,
}

impl Population {
    /// So many Services and what endpoints go with them: those of a Service are the same however many there are.
    pub(crate) fn new(services: usize) -> Self {
        Self {
            services,
            endpoints: services * ENDPOINTS_OF_A_SERVICE,
        }
    }

    /// What it is called in a table.
    pub(crate) fn name(self) -> String {
        let [services, endpoints] = [self.services, self.endpoints].map(|number| grouped(number as f64));
        format!("{services} Services, {endpoints} endpoints")
    }

    /// The Namespace of this number.
    pub(crate) fn namespace(number: usize) -> Result<Namespace> {
        object(json!({"metadata": {"name": namespace_name(number), "labels": {"team": format!("{number}")}}}))
    }

    /// The Service of this number.
    pub(crate) fn service(number: usize) -> Result<Service> {
        let name = service_name(number);
        let labels = labels(&name);
        let mut spec = json!({
            "selector": {"app.kubernetes.io/name": name},
            "ports": [
                {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080},
                {"name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": "metrics"},
            ],
        });
        if is_headless(number) {
            spec["clusterIP"] = json!("None");
        }
        let metadata = json!({"name": name, "namespace": namespace_name(number), "labels": labels});
        object(json!({"metadata": metadata, "spec": spec}))
    }

    /// The EndpointSlice of the Service of this number, which is `owner`.
    pub(crate) fn slice(self, number: usize, owner: &Service) -> Result<EndpointSlice> {
        slice(number, self.endpoints_of(number), owner)
    }

    /// The endpoints of a Service, which are numbered through all Services.
    fn endpoints_of(self, service: usize) -> Range<usize> {
        self.first_endpoint_of(service)..self.first_endpoint_of(service + 1)
    }

    /// How many endpoints the Services before this one have.
    fn first_endpoint_of(self, service: usize) -> usize {
        service * self.endpoints / self.services
    }

    /// The last headless Service.
    pub(crate) fn last_headless(self) -> usize {
        self.services - self.services % 2 - 1
    }

    /// A headless Service that is not there at first, for any number.
    pub(crate) fn headless_beyond(self, number: usize) -> usize {
        self.last_headless() + 2 * (number + 1)
    }
}

fn is_stateful(service: usize) -> bool {
    service % STATEFUL_ONE_OF == 1
}

fn is_ready(endpoint: usize) -> bool {
    endpoint % NOT_READY_ONE_OF != NOT_READY_ONE_OF - 1
}

fn labels(name: &str) -> Value {
    json!({
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": format!("{name}-production"),
        "app.kubernetes.io/managed-by": "Helm",
        "helm.sh/chart": "service-1.42.0",
    })
}

fn slice(number: usize, endpoints: Range<usize>, owner: &Service) -> Result<EndpointSlice> {
    let service = service_name(number);
    let mut labels = labels(&service);
    labels["kubernetes.io/service-name"] = json!(service);
    labels["endpointslice.kubernetes.io/managed-by"] = json!("endpointslice-controller.k8s.io");
    if is_headless(number) {
        labels["service.kubernetes.io/headless"] = json!("");
    }
    let endpoints: Vec<Value> = endpoints
        .enumerate()
        .map(|(at, one)| endpoint(number, at, one))
        .collect();
    object(json!({
        "metadata": {
            "name": slice_name(number),
            "generateName": format!("{service}-"),
            "namespace": namespace_name(number),
            "labels": labels,
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Service", "name": service, "uid": owner.metadata.uid,
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [
            {"name": "http", "port": 8080, "protocol": "TCP"},
            {"name": "metrics", "port": 9090, "protocol": "TCP"},
        ],
    }))
}

fn endpoint(service: usize, at: usize, number: usize) -> Value {
    let ready = is_ready(number);
    let name = service_name(service);
    let pod = if is_stateful(service) {
        format!("{name}-{at}")
    } else {
        format!("{name}-{:08x}-{number:05x}", service * 2_654_435)
    };
    let mut endpoint = json!({
        "addresses": [pod_address(number)],
        "conditions": {"ready": ready, "serving": ready, "terminating": false},
        "nodeName": format!("ip-10-0-{}-{}.eu-central-1.compute.internal", number % NODES / 100, number % NODES),
        "targetRef": {
            "kind": "Pod", "name": pod, "namespace": namespace_name(service),
            "uid": format!("0a1b2c3d-4e5f-4000-8000-{number:012x}"),
        },
        "zone": format!("eu-central-1{}", ["a", "b", "c"][number % ZONES]),
    });
    if is_stateful(service) {
        endpoint["hostname"] = json!(pod);
    }
    endpoint
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::discovery::v1::Endpoint;

    use super::*;

    const SMALL: Population = Population {
        services: 200,
        endpoints: 3_000,
    };

    fn endpoints_of(population: Population) -> Result<Vec<Endpoint>> {
        let slice = |number| population.slice(number, &Population::service(number)?);
        let slices: Result<Vec<EndpointSlice>> = (0..population.services).map(slice).collect();
        Ok(slices?
            .into_iter()
            .flat_map(|slice| slice.endpoints.unwrap_or_default())
            .collect())
    }

    #[test]
    fn every_endpoint_is_there_once_under_an_address_of_its_own() -> Result<()> {
        for population in [
            SMALL,
            Population {
                services: 7,
                endpoints: 103,
            },
        ] {
            let endpoints = endpoints_of(population)?;
            let addresses: BTreeSet<String> = endpoints.into_iter().flat_map(|endpoint| endpoint.addresses).collect();
            assert_eq!(addresses.len(), population.endpoints);
        }
        Ok(())
    }

    #[test]
    fn names_are_distinct_and_half_of_the_services_headless() -> Result<()> {
        let mut names = BTreeSet::new();
        let mut headless = 0;
        for number in 0..SMALL.services {
            let service = Population::service(number)?;
            names.insert((service.metadata.namespace, service.metadata.name));
            let cluster_ip = service.spec.and_then(|spec| spec.cluster_ip);
            headless += usize::from(cluster_ip.as_deref() == Some("None"));
        }
        assert_eq!((names.len(), headless), (SMALL.services, SMALL.services / 2));
        Ok(())
    }

    #[test]
    fn a_few_endpoints_have_hostnames_and_a_few_are_not_ready() -> Result<()> {
        let endpoints = endpoints_of(SMALL)?;
        let hostnames = endpoints.iter().filter(|endpoint| endpoint.hostname.is_some()).count();
        let is_unready = |endpoint: &&Endpoint| endpoint.conditions.as_ref().and_then(|it| it.ready) == Some(false);
        let unready = endpoints.iter().filter(is_unready).count();
        assert_eq!(
            (hostnames, unready),
            (3_000 / STATEFUL_ONE_OF, 3_000 / NOT_READY_ONE_OF)
        );
        Ok(())
    }

    #[test]
    fn a_cluster_that_has_grown_has_what_it_had() -> Result<()> {
        let (small, large) = (Population::new(10), Population::new(1_000));
        for number in 0..small.services {
            let service = Population::service(number)?;
            assert_eq!(small.slice(number, &service)?, large.slice(number, &service)?);
        }
        assert_eq!(large.name(), "1,000 Services, 15,000 endpoints");
        Ok(())
    }

    #[test]
    fn beyond_the_last_headless_service_come_others() {
        for services in 2..9 {
            let population = Population { services, endpoints: 9 };
            assert!(population.last_headless() < services && is_headless(population.last_headless()));
            for number in 0..20 {
                let beyond = population.headless_beyond(number);
                assert!(is_headless(beyond) && beyond >= services);
            }
        }
    }
}

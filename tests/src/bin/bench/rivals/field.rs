//! Who is there: each server with a pod that asks it and nobody else.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use dns_userspace::kernel::hook::Hook;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::PostParams;
use kxdns_tests::agent::Agent;
use kxdns_tests::cluster::{Cluster, object};
use kxdns_tests::coredns::start_coredns;
use kxdns_tests::kube_proxy::{create_dns_service, create_kube_dns, start_kube_proxy};
use kxdns_tests::load::{Case, Client, LoadReport};
use kxdns_tests::namespace::Namespace;
use kxdns_tests::node::NODE_IPV4;
use kxdns_tests::pod::{Pod, PodSpec};
use kxdns_tests::process::Process;
use kxdns_tests::servers::{Server, Zone, start_dnsmasq, start_knot, start_node_local, start_unbound};
use rustix::process::Pid;
use serde_json::json;

use crate::latency::Times;
use crate::path::{Answerer, Path, Place, start_agent};
use crate::records::{KUBE_DNS, Record, cases, records};

/// How many sockets the client has.
const SOCKETS: usize = 4;
/// Where the cache on the node asks.
const KUBE_DNS_UPSTREAM: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 11);
/// CoreDNS by the address of the DNS Service.
pub(super) const BEHIND_KUBE_PROXY: &str = "CoreDNS behind kube-proxy";
/// CoreDNS by the address of its pod.
pub(super) const DIRECT: &str = "CoreDNS, asked directly";

/// Starts a server of the zone in a namespace of its own.
type Start = fn(&Namespace, &Zone<'_>) -> Result<Server>;

const SERVERS: [(&str, Start); 3] = [
    ("unbound", start_unbound),
    ("dnsmasq", start_dnsmasq),
    ("Knot DNS", start_knot),
];

/// Everything but what attaches to it.
pub(super) struct Field {
    records: Vec<Record>,
    classic: Classic,
    others: Vec<Other>,
    /// For the agent's own server.
    own: Place,
    /// For every hook, with kxdns and with a reflector.
    paths: Vec<(Place, Hook, Answerer)>,
}

/// CoreDNS in its three places, fed by a real API server.
struct Classic {
    place: Place,
    coredns: (Process, Pod),
    node_local: Server,
    _kube_proxy: Process,
    _cluster: Cluster,
}

/// A server that has the records in its configuration.
struct Other {
    name: &'static str,
    place: Place,
    server: Server,
    _pod: Pod,
}

/// One that is asked.
pub(super) struct Subject<'f> {
    pub(super) name: String,
    pub(super) clients: Vec<Client>,
    pub(super) cases: Vec<Case>,
    pub(super) work: Work<'f>,
    /// Of all rounds.
    pub(super) times: Times,
}

/// What answers.
pub(super) enum Work<'f> {
    /// Processes.
    Servers(Vec<Pid>),
    /// The agent's own server.
    Agent(Agent<'f>),
    /// A program in the kernel.
    Program(Path<'f>),
}

impl Field {
    /// Starts all servers.
    pub(super) fn build() -> Result<Self> {
        let records = records();
        let path = |(hook, answerer)| Ok((Place::build()?, hook, answerer));
        Ok(Self {
            classic: Classic::start(&records)?,
            others: start_others(&records)?,
            own: Place::build()?,
            paths: Answerer::by_every_hook().map(path).collect::<Result<_>>()?,
            records,
        })
    }

    /// Starts the agents and attaches, and returns all that are asked.
    pub(super) fn subjects(&self) -> Result<Vec<Subject<'_>>> {
        let cases = cases(&self.records)?;
        let mut subjects = self.classic.subjects(&cases)?;
        for Other {
            name, place, server, ..
        } in &self.others
        {
            let work = Work::Servers(vec![server.pid()?]);
            subjects.push(Subject::new(name, place, server.address(), work, cases.clone())?);
        }
        let own = Work::Agent(start_agent(&self.own, "none", &[], &self.records)?);
        let server = SocketAddr::from((NODE_IPV4, 53));
        subjects.push(Subject::new(
            "kxdns, its own server",
            &self.own,
            server,
            own,
            cases.clone(),
        )?);
        for (place, hook, answerer) in &self.paths {
            let path = Path::open(place, *hook, *answerer, &self.records)?;
            let (name, cases) = (path.name(), path.cases(&cases));
            let server = SocketAddr::from((KUBE_DNS, 53));
            subjects.push(Subject::new(&name, place, server, Work::Program(path), cases)?);
        }
        Ok(subjects)
    }
}

impl<'f> Subject<'f> {
    fn new(name: &str, place: &Place, server: SocketAddr, work: Work<'f>, cases: Vec<Case>) -> Result<Self> {
        let client = Client::open(place.pod.namespace(), server, SOCKETS, Some(0))?;
        Ok(Self {
            name: name.to_owned(),
            clients: vec![client],
            cases,
            work,
            times: LoadReport::no_times()?,
        })
    }
}

impl Classic {
    fn start(records: &[Record]) -> Result<Self> {
        let place = Place::build()?;
        let cluster = Cluster::start(&place.node)?;
        create_services(&cluster, records)?;
        let pod = place.node.add_pod(&PodSpec::new("coredns", 2))?;
        create_kube_dns(&cluster, KUBE_DNS, pod.ipv4())?;
        create_dns_service(&cluster, "kube-dns-upstream", KUBE_DNS_UPSTREAM, pod.ipv4())?;
        let coredns = start_coredns(&cluster, pod.namespace())?;
        let kube_proxy = start_kube_proxy(&cluster, &place.node, KUBE_DNS_UPSTREAM)?;
        let node_local = start_node_local(&place.node, KUBE_DNS_UPSTREAM)?;
        Ok(Self {
            place,
            coredns: (coredns, pod),
            node_local,
            _kube_proxy: kube_proxy,
            _cluster: cluster,
        })
    }

    fn subjects(&self, cases: &[Case]) -> Result<Vec<Subject<'static>>> {
        let (coredns, pod) = &self.coredns;
        let (coredns, node_local) = (coredns.pid()?, self.node_local.pid()?);
        let serve = |name, server, pids| Subject::new(name, &self.place, server, Work::Servers(pids), cases.to_vec());
        Ok(vec![
            serve(BEHIND_KUBE_PROXY, (KUBE_DNS, 53).into(), vec![coredns])?,
            serve(DIRECT, (pod.ipv4(), 53).into(), vec![coredns])?,
            serve(
                "CoreDNS, node-local cache",
                self.node_local.address(),
                vec![node_local, coredns],
            )?,
        ])
    }
}

fn start_others(records: &[Record]) -> Result<Vec<Other>> {
    let records: Vec<(String, Ipv4Addr)> = records.iter().map(|record| (record.name(), record.address)).collect();
    let start = |(name, start): (&'static str, Start)| -> Result<Other> {
        let place = Place::build()?;
        let pod = place.node.add_pod(&PodSpec::new("server", 2))?;
        let zone = Zone {
            address: pod.ipv4(),
            records: &records,
            threads: std::thread::available_parallelism()?.get(),
        };
        let server = start(pod.namespace(), &zone).context(name)?;
        Ok(Other {
            name,
            place,
            server,
            _pod: pod,
        })
    };
    SERVERS.into_iter().map(start).collect()
}

fn create_services(cluster: &Cluster, records: &[Record]) -> Result<()> {
    cluster.run(async |client| {
        let services: Api<Service> = Api::namespaced(client, "default");
        for record in records {
            let service = object(json!({
                "metadata": {"name": record.service},
                "spec": {"clusterIP": record.address, "ports": [{"name": "http", "port": 80}]},
            }))?;
            services.create(&PostParams::default(), &service).await?;
        }
        Ok(())
    })
}

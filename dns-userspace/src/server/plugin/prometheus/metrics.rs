//! The counters and histograms of queries and replies.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use domain::base::iana::{OptRcode, Rtype};
use hashbrown::HashMap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::{ResponseCode, duration_histogram};
use crate::server::message::Message;
use crate::server::query::{Query, Transport};

/// The zone of queries that no server block takes.
pub(in crate::server) const DROPPED: &str = "dropped";

/// The types that are counted by name.
const TYPES: [Rtype; 19] = [
    Rtype::AAAA,
    Rtype::A,
    Rtype::CNAME,
    Rtype::DNSKEY,
    Rtype::DS,
    Rtype::MX,
    Rtype::NSEC3,
    Rtype::NSEC,
    Rtype::NS,
    Rtype::PTR,
    Rtype::RRSIG,
    Rtype::SOA,
    Rtype::SRV,
    Rtype::TXT,
    Rtype::HTTPS,
    Rtype::SVCB,
    Rtype::IXFR,
    Rtype::AXFR,
    Rtype::ANY,
];

/// The upper bounds of the buckets of sizes, in bytes.
const SIZES: [f64; 14] = [
    0.0, 100.0, 200.0, 300.0, 400.0, 511.0, 1023.0, 2047.0, 4095.0, 8291.0, 16e3, 32e3, 48e3, 64e3,
];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// What is counted of all queries.
#[derive(Clone)]
pub(in crate::server) struct DnsMetrics {
    requests: Family<RequestLabels, Counter>,
    responses: Family<ResponseLabels, Counter>,
    do_requests: Family<ZoneLabels, Counter>,
    durations: Histograms<ZoneLabels>,
    request_sizes: Histograms<SizeLabels>,
    response_sizes: Histograms<SizeLabels>,
}

/// What is counted of the queries of one zone. Each series begins with its first query, and is found again without a search.
pub(in crate::server) struct Recorder {
    all: DnsMetrics,
    labels: ZoneLabels,
    requests: [[[OnceLock<Counter>; TYPES.len() + 1]; 2]; 2],
    responses: RwLock<HashMap<(OptRcode, &'static str), Counter>>,
    do_requests: OnceLock<Counter>,
    durations: OnceLock<Histogram>,
    sizes: [OnceLock<[Histogram; 2]>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ZoneLabels {
    server: Arc<str>,
    zone: Arc<str>,
    view: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    server: Arc<str>,
    zone: Arc<str>,
    view: &'static str,
    proto: &'static str,
    family: &'static str,
    r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    server: Arc<str>,
    zone: Arc<str>,
    view: &'static str,
    rcode: ResponseCode,
    plugin: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SizeLabels {
    server: Arc<str>,
    zone: Arc<str>,
    view: &'static str,
    proto: &'static str,
}

fn size_histogram() -> Histogram {
    Histogram::new(SIZES)
}

impl DnsMetrics {
    /// Makes all of it and registers it.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            responses: Family::default(),
            do_requests: Family::default(),
            durations: Family::new_with_constructor(duration_histogram),
            request_sizes: Family::new_with_constructor(size_histogram),
            response_sizes: Family::new_with_constructor(size_histogram),
        };
        registry.register("coredns_dns_requests", "Queries", metrics.requests.clone());
        registry.register("coredns_dns_responses", "Replies", metrics.responses.clone());
        registry.register(
            "coredns_dns_do_requests",
            "Queries whose clients want signatures",
            metrics.do_requests.clone(),
        );
        for (name, help, unit, family) in [
            (
                "coredns_dns_request_size",
                "The lengths of queries",
                Unit::Bytes,
                &metrics.request_sizes,
            ),
            (
                "coredns_dns_response_size",
                "The lengths of replies, with no name compressed",
                Unit::Bytes,
                &metrics.response_sizes,
            ),
        ] {
            registry.register_with_unit(name, help, unit, family.clone());
        }
        registry.register_with_unit(
            "coredns_dns_request_duration",
            "How long the plugins took",
            Unit::Seconds,
            metrics.durations.clone(),
        );
        metrics
    }

    /// What is counted of a zone at a server.
    pub(in crate::server) fn recorder(&self, server: &Arc<str>, zone: &str) -> Recorder {
        Recorder {
            all: self.clone(),
            labels: ZoneLabels {
                server: server.clone(),
                zone: zone.into(),
                view: "",
            },
            requests: Default::default(),
            responses: RwLock::default(),
            do_requests: OnceLock::new(),
            durations: OnceLock::new(),
            sizes: Default::default(),
        }
    }
}

impl Recorder {
    /// Counts a query and its reply by this plugin, which is none where the server itself replied. As in CoreDNS, silence
    /// counts as an empty reply.
    pub(in crate::server) fn record(
        &self,
        query: &Query,
        reply: Option<&Message>,
        plugin: &'static str,
        begun: Instant,
    ) {
        let transport = query.client.transport;
        if query.edns().is_some_and(|edns| edns.wants_signatures()) {
            let made = || self.all.do_requests.get_or_create_owned(&self.labels);
            self.do_requests.get_or_init(made).inc();
        }
        self.request(query).inc();
        let made = || self.all.durations.get_or_create_owned(&self.labels);
        self.durations.get_or_init(made).observe(begun.elapsed().as_secs_f64());
        let [requests, responses] = self.sizes[transport as usize].get_or_init(|| self.size_histograms(transport));
        requests.observe(query.message.len() as f64);
        responses.observe(reply.map_or(0, Message::len) as f64);
        self.response(reply.map_or(OptRcode::NOERROR, |reply| reply.rcode), plugin)
            .inc();
    }

    fn request(&self, query: &Query) -> &Counter {
        let transport = query.client.transport;
        let qtype = query.message.question.qtype;
        let index = TYPES.iter().position(|known| *known == qtype);
        let is_ipv6 = query.client.address.ip().to_canonical().is_ipv6();
        let made = || {
            let ZoneLabels { server, zone, view } = self.labels.clone();
            self.all.requests.get_or_create_owned(&RequestLabels {
                server,
                zone,
                view,
                proto: transport.name(),
                family: if is_ipv6 { "2" } else { "1" },
                r#type: index.map_or_else(|| "other".to_owned(), |_| qtype.to_string()),
            })
        };
        self.requests[transport as usize][usize::from(is_ipv6)][index.unwrap_or(TYPES.len())].get_or_init(made)
    }

    fn response(&self, rcode: OptRcode, plugin: &'static str) -> Counter {
        let known = self.responses.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = known.get(&(rcode, plugin)) {
            return counter.clone();
        }
        drop(known);
        let ZoneLabels { server, zone, view } = self.labels.clone();
        let counter = self.all.responses.get_or_create_owned(&ResponseLabels {
            server,
            zone,
            view,
            rcode: ResponseCode(rcode),
            plugin,
        });
        let mut known = self.responses.write().unwrap_or_else(PoisonError::into_inner);
        known.entry((rcode, plugin)).or_insert(counter).clone()
    }

    fn size_histograms(&self, transport: Transport) -> [Histogram; 2] {
        let ZoneLabels { server, zone, view } = self.labels.clone();
        let labels = SizeLabels {
            server,
            zone,
            view,
            proto: transport.name(),
        };
        [&self.all.request_sizes, &self.all.response_sizes].map(|family| family.get_or_create_owned(&labels))
    }
}

//! `autopath`: follows a client's search path in its stead, and answers with the first name on it that exists.
//!
//! The path begins with the domain of the name that is asked for; for a Pod that is the one of its namespace. Unlike
//! CoreDNS, which fails there, a question for a search domain itself is left alone, as the kernel answers it too.

use std::sync::{Arc, PoisonError};

use anyhow::Result;
use domain::base::iana::{OptRcode, Rtype};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Failure, Next, Outcome, Plugin, Serving, Site};
use crate::corefile::{Autopath, PathSource};
use crate::name::{MAX_NAME_LEN, Name};
use crate::server::Context;
use crate::server::message::{Message, Question, Record};
use crate::server::query::Query;
use crate::server::rdata::Data;
use crate::server::reader::WireName;
use crate::zone::SharedZoneTable;

/// The `autopath` of a server block.
pub(super) struct Completing {
    zones: Vec<Name>,
    /// Where a Pod's own search domains come from; `None` where all clients have the same.
    pods: Option<SharedZoneTable>,
    /// The search domains that are the same for all clients, the root behind them: the name is at last asked for alone.
    domains: Vec<Name>,
    succeeded: Counter,
}

/// A name on a search path.
struct Place {
    /// The length of what stands left of the search domain, in bytes.
    base_len: usize,
    /// The cluster's zone, if the path is a Pod's.
    zone: Option<Name>,
}

/// What the `autopath`s of all blocks count.
#[derive(Clone)]
pub(in crate::server) struct AutopathMetrics {
    succeeded: Family<Labels, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    server: Arc<str>,
}

impl Completing {
    /// Sets it up.
    ///
    /// # Errors
    ///
    /// A file of search domains that cannot be read.
    pub(super) fn new(config: &Autopath, site: &Site, context: &Context) -> Result<Self> {
        let mut domains = config.source.find_domains()?;
        domains.push(Name::root());
        let server = site.server.clone();
        Ok(Self {
            zones: config.zones.clone(),
            pods: (config.source == PathSource::Pods).then(|| context.zones.clone()),
            domains,
            succeeded: context
                .metrics
                .autopath
                .succeeded
                .get_or_create_owned(&Labels { server }),
        })
    }

    /// How the name of a query stands on its client's search path, if it is the first on it.
    fn place(&self, query: &Query) -> Option<Place> {
        if !self.zones.iter().any(|zone| query.name().is_within(zone)) {
            return None;
        }
        let (labels, zone) = match &self.pods {
            Some(table) => self.follow_pod(query, table)?,
            None => (query.name().labels_below(self.domains.first()?)?.len(), None),
        };
        let base_len = len_of(query.qname(), labels).filter(|len| *len > 0)?;
        Some(Place { base_len, zone })
    }

    /// How many labels of the name stand left of the domain of the namespace of the Pod that asks, and the cluster's zone.
    /// Where several Pods have the client's address, as those of the host's network do, any will do.
    fn follow_pod(&self, query: &Query, table: &SharedZoneTable) -> Option<(usize, Option<Name>)> {
        let table = table.read().unwrap_or_else(PoisonError::into_inner);
        let (zone, labels) = table.locate(query.name())?;
        let [base @ .., namespace, b"svc"] = &labels[..] else {
            return None;
        };
        let address = query.client.address.ip().to_canonical().to_string();
        let namespace = std::str::from_utf8(namespace).ok()?;
        (table.cluster().pods_at(namespace, &address) > 0).then(|| (base.len(), Some(zone.name.clone())))
    }

    /// The names that come behind that of the query.
    fn rest(&self, query: &Query, place: Place) -> Vec<WireName> {
        let base = &query.qname()[..place.base_len];
        let domains = match place.zone {
            Some(zone) => {
                let services = Name::of_labels("svc", &zone);
                let own = services.into_iter().chain([zone]);
                own.chain(self.domains.iter().cloned()).collect()
            }
            None => self.domains[1..].to_vec(),
        };
        let names = domains.iter().map(|domain| [base, domain.as_wire()].concat());
        names.filter(|name| name.len() <= MAX_NAME_LEN).collect()
    }

    async fn complete(&self, query: &Query, place: Place, next: Next<'_>) -> Outcome {
        let first = next.serve(query).await;
        if !is_absent(&first) {
            return self.succeed(query, first);
        }
        for name in self.rest(query, place) {
            let asked = query.with_question(Question {
                name,
                ..query.message.question.clone()
            });
            let outcome = next.serve(&asked).await;
            if !is_absent(&outcome) {
                return self.succeed(query, outcome);
            }
        }
        first
    }

    /// Makes a reply to some name one to the name that was asked for; whatever is no reply stays as it is.
    fn succeed(&self, query: &Query, outcome: Outcome) -> Outcome {
        if let Outcome::Reply(_) = outcome {
            self.succeeded.inc();
        }
        outcome.map(|message| rename(query, message))
    }
}

impl Plugin for Completing {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        match self.place(query) {
            Some(place) => Box::pin(self.complete(query, place, next)),
            None => next.serve(query),
        }
    }
}

/// Says whether the next name is to be tried: this one does not exist, or somebody refuses to tell.
fn is_absent(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Reply(reply) => reply.message.rcode == OptRcode::NXDOMAIN,
        Outcome::Failure(Failure { error, .. }) => error.is_none(),
        Outcome::Silence => false,
    }
}

/// Makes the name that was asked for an alias of the first other name in the answer.
fn rename(query: &Query, mut message: Message) -> Message {
    let is_other = |record: &&Record| !record.owner.eq_ignore_ascii_case(query.qname());
    let other = message.answer.iter().find(is_other);
    if let Some(Record { owner, ttl, .. }) = other {
        let alias = Record {
            owner: query.qname().clone(),
            ttl: *ttl,
            data: Data::of_name(Rtype::CNAME, owner),
        };
        message.answer.insert(0, alias);
    }
    message.question.name = query.qname().clone();
    message
}

/// The length in bytes of so many labels that a name in wire form begins with.
fn len_of(name: &[u8], labels: usize) -> Option<usize> {
    (0..labels).try_fold(0, |len, _| Some(len + usize::from(*name.get(len)?) + 1))
}

impl AutopathMetrics {
    /// Makes the counter and registers it.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let succeeded = Family::default();
        registry.register(
            "coredns_autopath_success",
            "Queries for which a name was found on the search path",
            succeeded.clone(),
        );
        Self { succeeded }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::cluster::Event;
    use crate::cluster::object::{Object, ObjectKey, Pod, Reach};
    use crate::server::plugin::testing::{assert_counts, counted};
    use crate::server::query::{Client, Transport};
    use crate::server::testing::*;
    use crate::zone::testing::{service, sync};

    /// An upstream that knows `www.example` with an address, `alias.example` that leads to it, `empty.example`, and fails for
    /// `refused.example`; and the names that it was asked for.
    fn upstream(query: &[u8]) -> Vec<Vec<u8>> {
        let mut message = Message::read(query).unwrap();
        let name = message.question.name.clone();
        message.header.set_qr(true);
        let www = b"\x03www\x07example\0".to_vec();
        let record = |owner: &WireName, ttl, data| Record {
            owner: owner.clone(),
            ttl,
            data,
        };
        let address = |owner| record(owner, 60, Data::of_address([10, 1, 0, 1].into()));
        match Name::from_wire(&name).to_string().as_str() {
            "www.example." | "deep.www.example." => message.answer = vec![address(&name)],
            "alias.example." => {
                message.answer = vec![record(&name, 70, Data::of_name(Rtype::CNAME, &www)), address(&www)];
            }
            "empty.example." => {}
            "refused.example." => message.rcode = OptRcode::REFUSED,
            _ => message.rcode = OptRcode::NXDOMAIN,
        }
        vec![message.write(512)]
    }

    /// The rcode, and the answer, each record as its owner, TTL and type.
    fn summary(asked: &[u8], reply: Option<Vec<u8>>) -> String {
        let Some(reply) = reply else {
            return "silence".to_owned();
        };
        let message = Message::read(&reply).unwrap();
        assert_eq!(message.question, Message::read(asked).unwrap().question);
        let records = message.answer.iter().map(|record| {
            let owner = Name::from_wire(&record.owner);
            match record.data.rtype {
                Rtype::CNAME => format!(" {owner} {} {}", record.ttl, Name::from_wire(record.data.as_bytes())),
                rtype => format!(" {owner} {} {rtype}", record.ttl),
            }
        });
        format!("{}{}", message.rcode, records.collect::<String>())
    }

    /// What comes of a question, and the names that an upstream was asked for meanwhile, with `autopath` over these search
    /// domains and with these directives.
    async fn ask(search: &str, directives: &str, name: &str) -> (String, Vec<String>) {
        let (address, seen) = script(Transport::Udp, upstream).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, search).unwrap();
        let directives = format!("autopath {}\n{directives}\nforward . {address}", path.display());
        let asked = query(name, 1);
        let reply = responder(&directives).respond(&asked, UDP).await;
        let seen = seen.lock().unwrap();
        let names = seen
            .iter()
            .map(|query| Name::from_wire(&Message::read(query).unwrap().question.name).to_string());
        (summary(&asked, reply), names.collect())
    }

    #[tokio::test]
    async fn the_search_path_is_followed_to_the_first_name_that_exists() {
        let search = "# search no\nsearch A.test example\nnameserver 10.0.0.1\n";
        for (name, expected, asked) in [
            // By the second domain, by none, by the first.
            ("Www.a.Test", "NOERROR www.a.test. 60 www.example. www.example. 60 A", 2),
            (
                "www.example.a.test",
                "NOERROR www.example.a.test. 60 www.example. www.example. 60 A",
                3,
            ),
            (
                "alias.a.test",
                "NOERROR alias.a.test. 70 alias.example. alias.example. 70 www.example. www.example. 60 A",
                2,
            ),
            ("empty.a.test", "NOERROR", 2),
            ("refused.a.test", "REFUSED", 2),
            ("none.a.test", "NXDOMAIN", 3),
            // Not on the search path: it begins with the first domain.
            ("none.example", "NXDOMAIN", 1),
            ("a.test", "NXDOMAIN", 1),
            ("www.example", "NOERROR www.example. 60 A", 1),
        ] {
            let (summary, names) = ask(search, "", name).await;
            assert_eq!((summary.as_str(), names.len()), (expected, asked), "{name}: {names:?}");
        }
        let (_, names) = ask(search, "", "none.A.test").await;
        assert_eq!(names, ["none.a.test.", "none.example.", "none."]);
    }

    #[tokio::test]
    async fn the_first_domain_alone_needs_no_other_name() {
        let (summary, names) = ask("search example test", "", "deep.www.example").await;
        assert_eq!((summary.as_str(), names.len()), ("NOERROR deep.www.example. 60 A", 1));
        let (summary, names) = ask("nameserver 10.0.0.1", "", "none.test").await;
        assert_eq!((summary.as_str(), names.len()), ("NXDOMAIN", 1));
        let (_, names) = ask("search b.test\ndomain a.test example", "", "none.a.test").await;
        assert_eq!(names, ["none.a.test.", "none."]);
    }

    #[tokio::test]
    async fn names_that_grow_too_long_are_left_out() {
        let name = format!("{}a", "1234567.".repeat(30));
        let search = format!("search a {} b", ["12345678"; 20].join("."));
        let (_, names) = ask(&search, "", &name).await;
        let labels: Vec<_> = names.iter().map(|name| name.matches('.').count()).collect();
        assert_eq!(labels, [31, 31, 30]);
    }

    #[tokio::test]
    async fn who_is_told_nothing_or_of_an_error_is_told_no_more() {
        let drop = "acl example {\ndrop\n}";
        assert_eq!(ask("search a.test example", drop, "www.a.test").await.0, "silence");
        let block = "acl example {\nblock\n}";
        assert_eq!(ask("search a.test example", block, "www.a.test").await.0, "REFUSED");
        let elsewhere = responder(&format!(
            "autopath @kubernetes\nkubernetes cluster.local {{\npods verified\n}}\nforward . {}",
            closed_port()
        ));
        let reply = elsewhere.respond(&query("www.test", 1), UDP).await.unwrap();
        assert_eq!(reply[3] & 0xf, 2);
    }

    /// Asks a server that knows a Pod, and another of the host's network.
    async fn ask_as(client: &str, directives: &str, name: &str) -> String {
        let (address, _) = script(Transport::Udp, upstream).await;
        let context = context();
        let key = |namespace: &str| ObjectKey {
            namespace: namespace.into(),
            name: "pod".into(),
        };
        {
            let mut table = context.zones.write().unwrap();
            sync(
                &mut table,
                vec![service("web", Reach::ClusterIps(vec![[10, 96, 0, 1].into()]))],
            );
            for (namespace, ip) in [("default", "10.0.0.1"), ("default", "fd00::1"), ("other", "10.0.0.1")] {
                let mut key = key(namespace);
                key.name += ip;
                table.update(Event::Apply(Object::Pod(key, Pod { ip: ip.into() })), 1);
            }
        }
        let directives = format!("{directives}\nforward . {address}");
        let asked = query(name, 1);
        let address: IpAddr = client.parse().unwrap();
        let client = Client {
            address: (address, 1).into(),
            ..UDP
        };
        summary(
            &asked,
            responder_in(&context, &directives).respond(&asked, client).await,
        )
    }

    #[tokio::test]
    async fn a_pods_search_path_begins_with_its_namespace() {
        let verified = "autopath @kubernetes\nkubernetes cluster.local {\npods verified\n}";
        let in_zone = "autopath other.svc.cluster.local @kubernetes\nkubernetes cluster.local {\npods verified\n}";
        let found = "NOERROR www.example.default.svc.cluster.local. 60 www.example. www.example. 60 A";
        let service = "web.default.svc.cluster.local";
        let www = "www.example.default.svc.cluster.local";
        for (directives, client, name, expected) in [
            (verified, "10.0.0.1", www, found),
            (verified, "::ffff:10.0.0.1", www, found),
            (verified, "fd00::1", www, found),
            (verified, "10.0.0.2", www, "NXDOMAIN"),
            (in_zone, "10.0.0.1", www, "NXDOMAIN"),
            (&verified.replace("verified", "insecure"), "10.0.0.1", www, "NXDOMAIN"),
            (verified, "fd00::1", "www.example.other.svc.cluster.local", "NXDOMAIN"),
            (verified, "10.0.0.1", "www.example.third.svc.cluster.local", "NXDOMAIN"),
            (verified, "10.0.0.1", "www.example.svc.cluster.local", "NXDOMAIN"),
            // A Service of its own, and what else the path leads to.
            (
                verified,
                "10.0.0.1",
                service,
                "NOERROR web.default.svc.cluster.local. 30 A",
            ),
            (
                verified,
                "10.0.0.1",
                "web.default.other.svc.cluster.local",
                "NOERROR web.default.other.svc.cluster.local. 30 web.default.svc.cluster.local. \
                 web.default.svc.cluster.local. 30 A",
            ),
            (
                verified,
                "10.0.0.1",
                "web.default.svc.other.svc.cluster.local",
                "NOERROR web.default.svc.other.svc.cluster.local. 30 web.default.svc.cluster.local. \
                 web.default.svc.cluster.local. 30 A",
            ),
            (verified, "10.0.0.1", "none.default.svc.cluster.local", "NXDOMAIN"),
            // The domain itself is a name like others.
            (verified, "10.0.0.1", "default.svc.cluster.local", "NOERROR"),
        ] {
            assert_eq!(ask_as(client, directives, name).await, expected, "{client} {name}");
        }
    }

    #[tokio::test]
    async fn successes_are_counted() {
        let (address, _) = script(Transport::Udp, upstream).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, "search a.test example").unwrap();
        let (context, registry) = counted();
        let responder = responder_in(&context, &format!("autopath {}\nforward . {address}", path.display()));
        for name in ["www.a.test", "none.a.test", "www.example", "empty.a.test"] {
            responder.respond(&query(name, 1), UDP).await;
        }
        assert_counts(&registry, &["coredns_autopath_success_total{server=\"dns://:0\"} 2"]);
    }
}

//! From the objects of one kind as the API sends them to events.

use std::collections::HashMap;

use tracing::warn;

use crate::cluster::Event;
use crate::cluster::object::{self, Invalid, Kind, ObjectKey};
use crate::sources::SourceMetrics;

/// Reads objects, and tells of each that makes no sense, once.
pub(super) struct Reader {
    kind: Kind,
    metrics: SourceMetrics,
    /// What was last told of the objects that make no sense.
    told: HashMap<ObjectKey, Vec<Invalid>>,
}

/// An object that exists, and what follows.
pub(super) struct Reading {
    pub(super) key: ObjectKey,
    pub(super) version: String,
    /// Nothing follows from an object that makes no sense: what was known of it stays in force.
    pub(super) event: Option<Event>,
}

impl Reader {
    pub(super) fn new(kind: Kind, metrics: SourceMetrics) -> Self {
        Self {
            kind,
            metrics,
            told: HashMap::new(),
        }
    }

    /// Reads an object; `None` where not even its name can be read.
    pub(super) fn read(&mut self, json: &str) -> Option<Reading> {
        match object::read(self.kind, json) {
            Ok(read) => {
                self.tell(&read.key, read.flaws, "that part is left out");
                let gone = || Event::Delete(self.kind, read.key.clone());
                let event = read.object.map_or_else(gone, Event::Apply);
                Some(Reading {
                    key: read.key,
                    version: read.version,
                    event: Some(event),
                })
            }
            Err(invalid) => {
                let identity = object::identify(json);
                let key = identity.as_ref().map(|(key, _)| key.clone());
                self.tell(&key.unwrap_or_else(nameless), vec![invalid], "it is left out");
                let (key, version) = identity?;
                Some(Reading {
                    key,
                    version,
                    event: None,
                })
            }
        }
    }

    /// Reads an object that is gone: its key, and the version of its end.
    pub(super) fn forget(&mut self, json: &str) -> Option<(ObjectKey, String)> {
        let (key, version) = object::identify(json)?;
        self.told.remove(&key);
        Some((key, version))
    }

    fn tell(&mut self, key: &ObjectKey, flaws: Vec<Invalid>, consequence: &str) {
        if flaws.is_empty() {
            if !self.told.is_empty() {
                self.told.remove(key);
            }
            return;
        }
        if self.told.get(key) == Some(&flaws) {
            return;
        }
        self.metrics.skip(self.kind);
        for flaw in &flaws {
            warn!("one of the {}, {key}: {flaw}; {consequence}", self.kind);
        }
        self.told.insert(key.clone(), flaws);
    }
}

fn nameless() -> ObjectKey {
    ObjectKey {
        namespace: String::new(),
        name: "without a name".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_what_makes_no_sense_once_until_it_changes() {
        let metrics = SourceMetrics::default();
        let mut reader = Reader::new(Kind::Service, metrics.clone());
        let mut skipped = |clusterip: &str| {
            let service = json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {"clusterIP": clusterip}});
            assert!(reader.read(&service.to_string()).unwrap().event.is_some());
            metrics.skipped(Kind::Service)
        };
        assert_eq!(skipped("10.0.0.1"), 0);
        assert_eq!([skipped("bad"), skipped("bad"), skipped("worse")], [1, 1, 2]);
        assert_eq!([skipped("10.0.0.1"), skipped("bad")], [2, 3]);
    }

    #[test]
    fn what_makes_no_sense_at_all_exists_and_changes_nothing() {
        let mut reader = Reader::new(Kind::Service, SourceMetrics::default());
        let service = json!({"metadata": {"name": "web", "namespace": "n", "resourceVersion": "7"}, "spec": 5});
        let reading = reader.read(&service.to_string()).unwrap();
        assert_eq!(
            (reading.key.to_string().as_str(), reading.version.as_str()),
            ("n/web", "7")
        );
        assert_eq!(reading.event, None);
        assert!(reader.read("{\"metadata\": 5}").is_none());
    }

    #[test]
    fn a_pod_that_nobody_can_ask_for_is_gone() {
        let mut reader = Reader::new(Kind::Pod, SourceMetrics::default());
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}, "status": {"phase": "Pending"}});
        let reading = reader.read(&pod.to_string()).unwrap();
        assert_eq!(reading.event, Some(Event::Delete(Kind::Pod, reading.key)));
    }
}

//! What `template` counts, under the names that CoreDNS gives it.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::gotemplate::Template;

/// What the `template`s of all blocks count.
#[derive(Clone)]
pub(in crate::server) struct TemplateMetrics {
    matches: Family<Labels, Counter>,
    template_failures: Family<FailureLabels, Counter>,
    record_failures: Family<FailureLabels, Counter>,
}

/// What is counted of one match.
pub(super) struct Counters<'m> {
    all: &'m TemplateMetrics,
    labels: Labels,
}

/// What can go wrong with a record.
#[derive(Clone, Copy)]
pub(super) enum Problem {
    /// Its template cannot be rendered.
    Template,
    /// What comes of that is no record.
    Record,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    server: Arc<str>,
    zone: String,
    view: &'static str,
    class: &'static str,
    r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    server: Arc<str>,
    zone: String,
    view: &'static str,
    class: &'static str,
    r#type: String,
    section: &'static str,
    template: String,
}

impl TemplateMetrics {
    /// Makes the counters and registers them.
    pub(in crate::server) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            matches: Family::default(),
            template_failures: Family::default(),
            record_failures: Family::default(),
        };
        registry.register(
            "coredns_template_matches",
            "Queries that matched a template",
            metrics.matches.clone(),
        );
        registry.register(
            "coredns_template_template_failures",
            "Templates that could not be rendered",
            metrics.template_failures.clone(),
        );
        registry.register(
            "coredns_template_rr_failures",
            "Templates of which no record came",
            metrics.record_failures.clone(),
        );
        metrics
    }

    /// The counters of a match.
    pub(super) fn of_match(&self, server: &Arc<str>, zone: &str, class: &'static str, qtype: &str) -> Counters<'_> {
        Counters {
            all: self,
            labels: Labels {
                server: server.clone(),
                zone: zone.to_owned(),
                view: "",
                class,
                r#type: qtype.to_owned(),
            },
        }
    }
}

impl Counters<'_> {
    pub(super) fn count_match(&self) {
        self.all.matches.get_or_create(&self.labels).inc();
    }

    pub(super) fn count_failure(&self, problem: Problem, section: &'static str, template: &Template) {
        let Labels {
            server,
            zone,
            view,
            class,
            r#type,
        } = self.labels.clone();
        let labels = FailureLabels {
            server,
            zone,
            view,
            class,
            r#type,
            section,
            template: template.to_string(),
        };
        let family = match problem {
            Problem::Template => &self.all.template_failures,
            Problem::Record => &self.all.record_failures,
        };
        family.get_or_create(&labels).inc();
    }
}

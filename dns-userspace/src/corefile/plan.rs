//! What the kernel may answer under a configuration: all it holds of a zone, or nothing.
//!
//! Coarse on purpose: any directive that is not known to leave the cluster's answers alone makes the kernel pass.

use super::cache::limit_ttl;
use super::config::{Config, Directive, Key, ServerBlock};
use super::directives::Effect;
use super::error::Span;
use super::kubernetes::{Kubernetes, soa_ttl};
use crate::name::Name;

/// What the kernel may answer of a zone that `kubernetes` serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZonePlan {
    /// The zone.
    pub zone: Name,
    /// The TTL of its answers, in seconds.
    pub ttl: u32,
    /// Whether the kernel may answer, or why not.
    pub verdict: Result<(), Reason>,
}

/// Why the kernel may not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A directive of the server block stands in the way.
    #[error("`{}` at {} {}", .0.name, .0.span, describe(.0.effect))]
    Directive(Directive),
    /// `cache` gives answers another TTL than `kubernetes` does.
    #[error("`cache` gives its answers a TTL of {0} s instead of `kubernetes`' own")]
    Ttl(u32),
    /// Another server block has a say in the zone.
    #[error("the server block at {span} takes questions for `{zone}`")]
    OtherBlock {
        /// The zone of that block.
        zone: Name,
        /// Where it stands.
        span: Span,
    },
    /// The server block does not get the zone's questions.
    #[error("no question for `{zone}` reaches `kubernetes` at {span}: no zone of its server block holds it")]
    Unreachable {
        /// The zone.
        zone: Name,
        /// Where `kubernetes` stands.
        span: Span,
    },
}

/// Whether a server block, taken by itself, leaves the cluster's answers to `kubernetes` as the kernel knows them.
///
/// # Errors
///
/// The first thing in the block that stands in the way.
pub fn kernel_may_answer(server: &ServerBlock) -> Result<(), Reason> {
    let disturbing = server
        .directives
        .iter()
        .find(|directive| directive.effect != Effect::LeavesAlone);
    if let Some(directive) = disturbing {
        return Err(Reason::Directive(directive.clone()));
    }
    let (Some(cache), Some(kubernetes)) = (&server.cache, &server.kubernetes) else {
        return Ok(());
    };
    let soa = soa_ttl(kubernetes.ttl);
    let ttls = [
        (limit_ttl(&cache.success, kubernetes.ttl), kubernetes.ttl),
        (limit_ttl(&cache.denial, soa), soa),
    ];
    let other = ttls.into_iter().find(|(limited, own)| limited != own);
    other.map_or(Ok(()), |(limited, _)| Err(Reason::Ttl(limited)))
}

impl Config {
    /// Says what the kernel may answer, zone by zone, for all the zones that `kubernetes` serves.
    pub fn plan(&self) -> Vec<ZonePlan> {
        let mut plans = Vec::new();
        for (index, server) in self.servers.iter().enumerate() {
            let Some(kubernetes) = &server.kubernetes else {
                continue;
            };
            for zone in &kubernetes.zones {
                let verdict = kernel_may_answer(server).and_then(|()| self.check_route(index, kubernetes, zone));
                plans.push(ZonePlan {
                    zone: zone.clone(),
                    ttl: kubernetes.ttl,
                    verdict,
                });
            }
        }
        plans
    }

    /// Checks that all questions for the zone reach this server block, at whatever port: which of the ports stands behind
    /// the cluster's DNS addresses is not known here.
    fn check_route(&self, index: usize, kubernetes: &Kubernetes, zone: &Name) -> Result<(), Reason> {
        let own = self.servers.get(index).into_iter().flat_map(|server| &server.keys);
        let Some(closest) = own
            .filter(|key| zone.is_within(&key.zone))
            .max_by_key(|key| key.zone.as_wire().len())
        else {
            return Err(Reason::Unreachable {
                zone: zone.clone(),
                span: kubernetes.span.clone(),
            });
        };
        let others = self.servers.iter().enumerate().filter(|(other, _)| *other != index);
        let takes =
            |key: &&Key| key.zone.is_within(zone) || (zone.is_within(&key.zone) && key.zone.is_within(&closest.zone));
        match others.flat_map(|(_, server)| &server.keys).find(takes) {
            Some(key) => Err(Reason::OtherBlock {
                zone: key.zone.clone(),
                span: key.span.clone(),
            }),
            None => Ok(()),
        }
    }
}

fn describe(effect: Effect) -> &'static str {
    match effect {
        Effect::LeavesAlone => "leaves the cluster's answers alone",
        Effect::Answers => "may answer names of the cluster by itself",
        Effect::Rewrites => "may change questions or answers",
        Effect::Filters => "may refuse or divert questions",
        Effect::Signs => "signs answers",
        Effect::Observes => "has to see every question",
        Effect::Orders => "puts the addresses of an answer in order",
    }
}

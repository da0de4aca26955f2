//! `kubernetes`: answers from the zone table.

use std::sync::PoisonError;

use domain::base::iana::OptRcode;

use super::{Failure, Next, Outcome, Plugin, Serving, at_once, reply};
use crate::server::message::Message;
use crate::server::query::Query;
use crate::server::reply::{ROOT, Setting, below};
use crate::zone::{Content, Said, SharedZoneTable, ZoneTable};

const NAME: &str = "kubernetes";

/// Answers for the cluster's zones.
pub(super) struct Kubernetes {
    zones: SharedZoneTable,
}

/// What the zones say to a query.
enum Claim {
    /// This.
    Reply(Message),
    /// This, and what stands at this name.
    Alias(Message, String),
    /// Nobody is told.
    Refused,
    /// It is not theirs.
    None,
}

impl Kubernetes {
    pub(super) fn new(zones: SharedZoneTable) -> Self {
        Self { zones }
    }
}

impl Plugin for Kubernetes {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let claim = consult(&self.zones.read().unwrap_or_else(PoisonError::into_inner), query);
        match claim {
            Claim::Reply(message) => reply(NAME, message),
            Claim::Alias(message, target) => Box::pin(follow(query, message, target, next)),
            Claim::Refused => at_once(Outcome::Failure(Failure {
                rcode: OptRcode::REFUSED,
                error: None,
            })),
            Claim::None => next.serve(query),
        }
    }
}

/// Asks the zones.
fn consult(zones: &ZoneTable, query: &Query) -> Claim {
    match zones.ask(query.name(), query.message.question.qtype.to_int()) {
        Said::Outside | Said::FallThrough => Claim::None,
        Said::Refused => Claim::Refused,
        Said::Here { zone, content } => {
            let reply = Setting::new(query, zone, zones.primary()).reply(&content);
            match content {
                Content::Elsewhere { target, .. } => Claim::Alias(reply, target),
                _ => Claim::Reply(reply),
            }
        }
    }
}

/// Puts what the server answers for the target behind the alias, which stands alone where there is nothing.
async fn follow(query: &Query, mut message: Message, target: String, next: Next<'_>) -> Outcome {
    let rest = match below(&target, ROOT) {
        Some(target) => next.resolve(query, target).await,
        None => None,
    };
    if let Some(rest) = rest.filter(|rest| matches!(rest.rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN)) {
        message.answer.extend(rest.answer);
        message.header.set_tc(rest.header.tc());
    }
    Outcome::Reply(super::Reply { message, source: NAME })
}

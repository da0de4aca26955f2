//! `rewrite`: asks what is next something else than was asked, and changes its replies, so that they fit what was.
//!
//! Names are changed as texts, in which they are written as in zone files (RFC 1035, 5.1). A reply always gets the client's own
//! question back; CoreDNS leaves the changed one where no rule was to be the last and none changes replies, and clients
//! take that for no reply of theirs. Of OPT records neither name nor TTL is changed, which are none. A name that comes out as
//! none makes a failure also in a reply; CoreDNS sends nothing then.
//!
//! As CoreDNS does it, a query to whose options something is done has an OPT record from then on, and so has the reply; but what
//! fails has the client's, and no reply is longer than the client itself said it may be.

mod options;
mod request;
mod response;

use domain::base::iana::{OptRcode, OptionCode};

use self::options::Options;
use self::request::Request;
use self::response::{Change, Revision, Upstream};
use super::{Failure, Next, Outcome, Plugin, Reply, Serving, fail};
use crate::corefile::Rewrite;
use crate::corefile::rewrite::{EdnsOption, EdnsRule, Rule};
use crate::server::Context;
use crate::server::edns::Edns;
use crate::server::journal::Journal;
use crate::server::message::Message;
use crate::server::query::Query;
use crate::server::reply;

/// Rewrites queries and replies.
pub(super) struct Rewriting {
    rules: Vec<Rewrite>,
    /// The options that replies have from queries since a rule concerns them.
    echoed: Vec<OptionCode>,
    journal: Journal,
}

/// A text that is no name, though a rule made it.
struct NoName(String);

impl Rewriting {
    pub(super) fn new(rules: &[Rewrite], context: &Context) -> Self {
        Self {
            rules: rules.to_vec(),
            echoed: rules.iter().filter_map(|rewrite| local_code(&rewrite.rule)).collect(),
            journal: context.journal.clone(),
        }
    }

    /// Applies the rules to a query, up to one that is the last, and returns what they have to do with the reply.
    fn apply<'a>(&'a self, request: &mut Request<'_>) -> Result<Vec<Change<'a>>, NoName> {
        let mut changes = Vec::new();
        for rewrite in &self.rules {
            let is_applied = request.apply(&rewrite.rule, &mut changes)?;
            if is_applied && !rewrite.continues {
                break;
            }
        }
        Ok(changes)
    }

    /// Has what is next serve a query, and changes what comes of that.
    async fn revise(&self, client: &Query, asked: &Query, changes: &[Change<'_>], next: Next<'_>) -> Outcome {
        let (mut message, made) = match next.serve(asked).await {
            Outcome::Reply(Reply { message, source }) => (message, Ok(source)),
            Outcome::Failure(Failure { rcode, error }) => (self.fail(asked, rcode), Err(error)),
            Outcome::Silence => return Outcome::Silence,
        };
        message.question = client.message.question.clone();
        let upstream = Upstream {
            query: asked,
            next,
            journal: &self.journal,
        };
        let mut message = match Revision::of(message).make(changes, &upstream).await {
            Ok(message) => message,
            Err(NoName(text)) => {
                let error = format!("invalid name in a reply after rewrite: {text}");
                return Outcome::failure(OptRcode::SERVFAIL, error);
            }
        };
        match made {
            Ok(source) => {
                // Else the server itself does the same.
                if asked.message.opt() != client.message.opt() || !self.echoed.is_empty() {
                    self.add_options(asked, changes, &mut message);
                }
                Outcome::Reply(Reply { message, source })
            }
            Err(error) => Outcome::Failure(Failure {
                rcode: message.rcode,
                error,
            }),
        }
    }

    /// What the server would reply to a query that failed.
    fn fail(&self, asked: &Query, rcode: OptRcode) -> Message {
        let mut message = reply::status(asked, rcode);
        let opt = asked.edns().map(|edns| edns.echo_also(&self.echoed));
        message.additional.extend(opt);
        message
    }

    /// Gives a reply the OPT record that is due to the query as it was asked, but for what is to be undone.
    fn add_options(&self, asked: &Query, changes: &[Change<'_>], message: &mut Message) {
        let Some(opt) = asked.message.opt() else { return };
        let mut options = Options::of(opt);
        for _ in &asked.message.additional {
            let edns = changes.iter().rev().filter_map(Change::options);
            edns.for_each(|change| options.undo(change));
        }
        let opt = options.write();
        let edns = Edns::of(&opt);
        match message.opt_mut() {
            Some(opt) => edns.adapt(opt),
            None => message.additional.push(edns.echo_also(&self.echoed)),
        }
    }
}

impl Plugin for Rewriting {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let mut request = Request::of(query);
        let changes = match self.apply(&mut request) {
            Ok(changes) => changes,
            Err(NoName(text)) => return fail(OptRcode::SERVFAIL, &format!("invalid name after rewrite: {text}")),
        };
        let echoes = !self.echoed.is_empty() && query.edns().is_some();
        let rewritten = request.finish();
        if rewritten.is_none() && changes.is_empty() && !echoes {
            return next.serve(query);
        }
        Box::pin(async move {
            let asked = rewritten.as_ref().unwrap_or(query);
            self.revise(query, asked, &changes, next).await
        })
    }
}

/// The code of the option that a rule concerns, where that is not one that the server knows.
fn local_code(rule: &Rule) -> Option<OptionCode> {
    match rule {
        Rule::Edns(EdnsRule {
            option: EdnsOption::Local { code, .. },
            ..
        }) => Some(OptionCode::from_int(*code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

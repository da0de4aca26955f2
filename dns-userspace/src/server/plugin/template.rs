//! `template`: replies made of what a query's name matches.

mod metrics;

use std::net::IpAddr;
use std::sync::Arc;

use domain::base::iana::{Class, OptRcode, Rtype};
use regex::Regex;

pub(in crate::server) use self::metrics::TemplateMetrics;
use self::metrics::{Counters, Problem};
use super::{Failure, Next, Outcome, Plugin, Reply, Serving, Site, at_once, reply};
use crate::corefile::{ExtendedError, Template, class_name};
use crate::gotemplate::{self, Question, Values};
use crate::name::{Name, Text};
use crate::server::Context;
use crate::server::edns;
use crate::server::message::{Message, Record};
use crate::server::query::Query;
use crate::server::rdata::Data;
use crate::server::reader::{Reader, WireName};
use crate::server::reply::status;
use crate::zonefile::read_record;

const NAME: &str = "template";

/// The payload size that CoreDNS's own OPT record gives, in bytes, and its flags, DO alone.
const OPT: (u16, u16) = (4096, 0x8000);

/// The code of the option that tells an extended error (RFC 8914, 2).
const EXTENDED_ERROR: u16 = 15;

/// All `template`s of a server block, in the order of the Corefile.
pub(super) struct Templating {
    templates: Vec<Template>,
    server: Arc<str>,
    metrics: TemplateMetrics,
}

/// What a template has to do with a query.
enum Claim<'t> {
    /// Nothing.
    None,
    /// The name matches nothing, and does not fall through.
    Refused,
    /// It makes the reply.
    Matched(Matched<'t>),
}

/// A template whose zone and pattern suit a name.
struct Matched<'t> {
    template: &'t Template,
    zone: &'t Name,
    pattern: &'t Regex,
}

impl Templating {
    pub(super) fn new(templates: &[Template], site: &Site, context: &Context) -> Self {
        Self {
            templates: templates.to_vec(),
            server: site.server.clone(),
            metrics: context.metrics.template.clone(),
        }
    }

    /// The reply of a template, without what others know of its aliases.
    fn make(&self, query: &Query, matched: &Matched<'_>) -> Result<Message, Failure> {
        let Matched {
            template,
            zone,
            pattern,
        } = matched;
        let question = &query.message.question;
        let (name, zone) = (query.name().to_string(), zone.to_string());
        let class = class_name(asked_class(template, question.class));
        let qtype = type_name(asked_type(template, question.qtype));
        let counters = self.metrics.of_match(&self.server, &zone, class, &qtype);
        counters.count_match();
        let failed = |error| Failure {
            rcode: OptRcode::SERVFAIL,
            error,
        };
        if template.rcode == OptRcode::SERVFAIL {
            return Err(failed(None));
        }
        let Some(captures) = pattern.captures(&name) else {
            return Err(failed(None));
        };
        let values = Values {
            zone: &zone,
            name: &name,
            class,
            qtype: &qtype,
            remote: &remote(query.client.address.ip()),
            question: Question {
                name: &Text(query.qname()).to_string(),
                qtype: question.qtype.to_int(),
                class: question.class.to_int(),
            },
            id: query.message.header.id(),
            pattern,
            captures: &captures,
        };
        let records = |section, templates: &[gotemplate::Template]| {
            let records = templates
                .iter()
                .map(|record| make_record(section, record, &values, &counters));
            records
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| failed(Some(error)))
        };
        let mut message = status(query, template.rcode);
        message.header.set_aa(true);
        message.answer = records("answer", &template.answer)?;
        message.additional = records("additional", &template.additional)?;
        message.authority = records("authority", &template.authority)?;
        message.additional.extend(template.error.as_ref().map(tell_error));
        Ok(message)
    }
}

impl Plugin for Templating {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let mut claims = self.templates.iter().map(|template| claim(template, query));
        let matched = match claims.find(|claim| !matches!(claim, Claim::None)) {
            None | Some(Claim::None) => return next.serve(query),
            Some(Claim::Refused) => {
                return at_once(Outcome::Failure(Failure {
                    rcode: OptRcode::SERVFAIL,
                    error: None,
                }));
            }
            Some(Claim::Matched(matched)) => matched,
        };
        match self.make(query, &matched) {
            Err(failure) => at_once(Outcome::Failure(failure)),
            Ok(message) if follows(query) && message.answer.iter().any(is_alias) => {
                Box::pin(follow(query, message, next))
            }
            Ok(message) => reply(NAME, message),
        }
    }
}

/// What a template has to do with a query. A question for any class or type suits every template.
fn claim<'t>(template: &'t Template, query: &Query) -> Claim<'t> {
    let question = &query.message.question;
    let Some(zone) = template.zone_of(query.name()) else {
        return Claim::None;
    };
    let suits_class = [template.class, Class::ANY].contains(&question.class) || template.class == Class::ANY;
    let suits_type = [template.qtype, Rtype::ANY].contains(&question.qtype) || template.qtype == Rtype::ANY;
    if !suits_class || !suits_type {
        return Claim::None;
    }
    let name = query.name().to_string();
    match template.patterns.iter().find(|pattern| pattern.is_match(&name)) {
        Some(pattern) => Claim::Matched(Matched {
            template,
            zone,
            pattern,
        }),
        None if template.fallthrough.takes(query.name()) => Claim::None,
        None => Claim::Refused,
    }
}

/// The class that templates are told: that of the question, or the template's own where any is asked for.
fn asked_class(template: &Template, class: Class) -> Class {
    if class == Class::ANY { template.class } else { class }
}

/// The same for the type.
fn asked_type(template: &Template, qtype: Rtype) -> Rtype {
    if qtype == Rtype::ANY { template.qtype } else { qtype }
}

/// The type's name; nothing if it has none, as in CoreDNS.
fn type_name(qtype: Rtype) -> String {
    qtype.to_mnemonic_str().unwrap_or_default().to_owned()
}

/// A client's address. A socket of both families tells IPv4 addresses as IPv6 ones.
fn remote(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// Makes a record, or says why not.
fn make_record(
    section: &'static str,
    template: &gotemplate::Template,
    values: &Values<'_>,
    counters: &Counters,
) -> Result<Record, String> {
    let text = template.render(values).map_err(|error| {
        counters.count_failure(Problem::Template, section, template);
        error.to_string()
    })?;
    let record = parse_record(&text);
    record.map_err(|reason| {
        counters.count_failure(Problem::Record, section, template);
        format!("dns: {reason}: {text:?}")
    })
}

fn parse_record(text: &str) -> Result<Record, String> {
    let read = read_record(text).map_err(|error| error.to_string())?;
    let data = Data::read(read.rtype, read.class, &mut Reader::new(&read.data));
    Ok(Record {
        owner: read.owner,
        ttl: read.ttl,
        data: data.ok_or("bad data")?,
    })
}

/// The OPT record that tells an extended error.
fn tell_error(error: &ExtendedError) -> Record {
    let ExtendedError { code, reason } = error;
    let len = (reason.len() + 2) as u16;
    let option = [EXTENDED_ERROR, len, *code].map(u16::to_be_bytes).concat();
    let (size, flags) = OPT;
    edns::opt(size, flags, &[&option, reason.as_bytes()].concat())
}

/// Whether it is asked what a client will do with an alias.
fn follows(query: &Query) -> bool {
    matches!(query.message.question.qtype, Rtype::A | Rtype::AAAA)
}

fn is_alias(record: &Record) -> bool {
    record.data.rtype == Rtype::CNAME
}

/// Puts what the server answers for the target of each alias behind it.
async fn follow(query: &Query, mut message: Message, next: Next<'_>) -> Outcome {
    let mut answer = Vec::new();
    for record in std::mem::take(&mut message.answer) {
        let target: Option<WireName> = is_alias(&record).then(|| record.data.as_bytes().to_vec());
        answer.push(record);
        let Some(target) = target else { continue };
        if let Some(rest) = next.resolve(query, target).await {
            message.header.set_tc(rest.header.tc());
            answer.extend(rest.answer);
        }
    }
    message.answer = answer;
    Outcome::Reply(Reply { message, source: NAME })
}

#[cfg(test)]
mod tests;

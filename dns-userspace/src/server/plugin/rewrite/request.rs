//! A query on its way through the rules.

use std::net::IpAddr;

use domain::base::iana::OptionCode;

use super::NoName;
use super::options::{Meant, Options};
use super::response::{Change, Part, Renaming};
use crate::corefile::rewrite::{EdnsOption, EdnsRule, NameRule, Names, OptionData, Rule, Variable};
use crate::name::{Name, Text, parse_text};
use crate::server::message::Question;
use crate::server::query::Query;

/// A query, and what the rules have made of it so far.
pub(super) struct Request<'q> {
    query: &'q Query,
    /// What is asked now, where that is something else.
    question: Option<Question>,
    /// The name asked for now, as a text in lower case, once somebody wanted it.
    name: Option<String>,
    /// The options, once something may be done to them.
    options: Option<Options>,
}

impl<'q> Request<'q> {
    pub(super) fn of(query: &'q Query) -> Self {
        Self {
            query,
            question: None,
            name: None,
            options: None,
        }
    }

    /// Applies a rule, and adds what it has to do with the reply. Returns whether it applies.
    pub(super) fn apply<'r>(&mut self, rule: &'r Rule, changes: &mut Vec<Change<'r>>) -> Result<bool, NoName> {
        Ok(match rule {
            Rule::Name(rule) => self.rename(rule, changes)?,
            Rule::Type { from, to } => {
                let applies = self.question().qtype == *from;
                if applies {
                    self.question_mut().qtype = *to;
                }
                applies
            }
            Rule::Class { from, to } => {
                let applies = self.question().class == *from;
                if applies {
                    self.question_mut().class = *to;
                }
                applies
            }
            Rule::Edns(rule) => self.change_option(rule, changes),
            Rule::Ttl { names, range } => self.add_if(names, || Change::Ttl(range), changes),
            Rule::Rcode { names, from, to } => self.add_if(names, || Change::Rcode(*from, *to), changes),
            Rule::Cname { names, to } => {
                changes.push(Change::Alias(names, to));
                true
            }
        })
    }

    /// The query that the rules have made; `None` if it is as it was.
    pub(super) fn finish(self) -> Option<Query> {
        if self.question.is_none() && self.options.is_none() {
            return None;
        }
        let mut message = self.query.message.clone();
        if let Some(question) = self.question {
            message.question = question;
        }
        if let Some(options) = self.options {
            let opt = options.write();
            match message.opt_mut() {
                Some(old) => *old = opt,
                None => message.additional.push(opt),
            }
        }
        Some(self.query.with_message(message))
    }

    fn question(&self) -> &Question {
        self.question.as_ref().unwrap_or(&self.query.message.question)
    }

    fn question_mut(&mut self) -> &mut Question {
        self.question.get_or_insert_with(|| self.query.message.question.clone())
    }

    fn name(&mut self) -> &str {
        self.name.get_or_insert_with(|| self.query.name().to_string())
    }

    fn rename<'r>(&mut self, rule: &'r NameRule, changes: &mut Vec<Change<'r>>) -> Result<bool, NoName> {
        let Some(text) = rule.names.rewrite(self.name(), &rule.to) else {
            return Ok(false);
        };
        let name = parse_text(&text).ok_or(NoName(text))?;
        let now = Name::from_wire(&name).to_string();
        let before = self.name.replace(now.clone()).unwrap_or_default();
        self.question_mut().name = name;
        if rule.auto {
            // The names of a suffix are changed back whatever stands before it.
            let renaming = match &rule.names {
                Names::Suffix(suffix) => Renaming::Suffix(&rule.to, suffix),
                _ => Renaming::Name(now, before),
            };
            changes.push(Change::Rename(Part::All, renaming));
        }
        changes.extend(rule.answers.iter().map(|rule| {
            let part = if rule.is_value { Part::Value } else { Part::Owner };
            Change::Rename(part, Renaming::Pattern(&rule.pattern, &rule.to))
        }));
        Ok(true)
    }

    fn add_if<'r>(
        &mut self,
        names: &Names,
        change: impl FnOnce() -> Change<'r>,
        changes: &mut Vec<Change<'r>>,
    ) -> bool {
        let applies = names.contains(self.name());
        changes.extend(applies.then(change));
        applies
    }

    fn change_option<'r>(&mut self, rule: &EdnsRule, changes: &mut Vec<Change<'r>>) -> bool {
        let Some((meant, data)) = self.meant(&rule.option) else {
            return false;
        };
        let query = self.query;
        // The query has an OPT record from now on, whether or not the rule applies.
        let options = self
            .options
            .get_or_insert_with(|| query.message.opt().map_or_else(Options::new, Options::of));
        let Some(undo) = options.change(meant, rule.action, data) else {
            return false;
        };
        changes.extend(undo.filter(|_| rule.revert).map(Change::Options));
        true
    }

    /// Which option is meant, and what it would get; `None` where that is not known.
    fn meant(&mut self, option: &EdnsOption) -> Option<(Meant, Vec<u8>)> {
        let meant = |code, is_local, repeats| Meant {
            code,
            is_local,
            repeats,
        };
        let (nsid, subnet) = (OptionCode::NSID.to_int(), OptionCode::CLIENT_SUBNET.to_int());
        Some(match option {
            // As in CoreDNS, `append` adds another option but for variables and subnets.
            EdnsOption::Local {
                code,
                data: OptionData::Bytes(bytes),
            } => (meant(*code, true, true), bytes.clone()),
            EdnsOption::Local {
                code,
                data: OptionData::Variable(variable),
            } => (meant(*code, true, false), self.value(*variable)?),
            EdnsOption::Nsid => (meant(nsid, false, true), Vec::new()),
            EdnsOption::Subnet { ipv4, ipv6 } => (meant(subnet, false, false), self.subnet(*ipv4, *ipv6)),
        })
    }

    fn value(&self, variable: Variable) -> Option<Vec<u8>> {
        let client = &self.query.client;
        let ip = client.address.ip().to_canonical();
        Some(match variable {
            Variable::Name => Text(&self.question().name).to_string().into(),
            Variable::Type => self.question().qtype.to_int().to_be_bytes().into(),
            Variable::ClientIp => octets(ip),
            Variable::ClientPort => client.address.port().to_be_bytes().into(),
            Variable::Protocol => client.transport.name().into(),
            Variable::ServerIp => octets(client.local?.to_canonical()),
            Variable::ServerPort => client.port.to_be_bytes().into(),
        })
    }

    /// The client's subnet of so many bits (RFC 7871, 6).
    fn subnet(&self, ipv4: u8, ipv6: u8) -> Vec<u8> {
        let ip = self.query.client.address.ip().to_canonical();
        let (family, bits) = if ip.is_ipv4() { (1, ipv4) } else { (2, ipv6) };
        let mut address = octets(ip);
        address.truncate(bits.div_ceil(8).into());
        if let Some(last) = address.last_mut().filter(|_| bits % 8 != 0) {
            *last &= 0xff << (8 - bits % 8);
        }
        [&[0, family, bits, 0], &address[..]].concat()
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    }
}

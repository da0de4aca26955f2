//! `log`: a line for each query, as CoreDNS writes it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Instant;

use domain::base::Header;
use domain::base::iana::OptRcode;

use super::{Next, Outcome, Plugin, Serving};
use crate::corefile::{Class, Log};
use crate::server::journal::{Journal, Level};
use crate::server::kind::Kind;
use crate::server::message::Message;
use crate::server::query::{Query, Transport};
use crate::server::reply;

/// Logs queries.
pub(super) struct Logging {
    rules: Vec<Rule>,
    journal: Journal,
}

/// The form of a line, for names of one zone and some classes of replies.
struct Rule {
    config: Log,
    format: Vec<Part>,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Value),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Type,
    Name,
    Class,
    Protocol,
    Size,
    Remote,
    Port,
    Local,
    Id,
    Opcode,
    WantsSignatures,
    BufferSize,
    Rcode,
    ReplySize,
    Duration,
    ReplyFlags,
    /// What nobody knows.
    Nothing,
}

/// The placeholders. Those that begin with `{/` ask for what the `metadata` plugin knows.
const VALUES: [(&str, Value); 16] = [
    ("{type}", Value::Type),
    ("{name}", Value::Name),
    ("{class}", Value::Class),
    ("{proto}", Value::Protocol),
    ("{size}", Value::Size),
    ("{remote}", Value::Remote),
    ("{port}", Value::Port),
    ("{local}", Value::Local),
    ("{>id}", Value::Id),
    ("{>opcode}", Value::Opcode),
    ("{>do}", Value::WantsSignatures),
    ("{>bufsize}", Value::BufferSize),
    ("{rcode}", Value::Rcode),
    ("{rsize}", Value::ReplySize),
    ("{duration}", Value::Duration),
    ("{>rflags}", Value::ReplyFlags),
];

impl Logging {
    pub(super) fn new(rules: &[Log], journal: &Journal) -> Self {
        let rules = rules.iter().map(|config| Rule {
            format: parse(&config.format),
            config: config.clone(),
        });
        Self {
            rules: rules.collect(),
            journal: journal.clone(),
        }
    }
}

impl Plugin for Logging {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let Some(rule) = self.rules.iter().find(|rule| query.name().is_within(&rule.config.zone)) else {
            return next.serve(query);
        };
        Box::pin(async move {
            let begun = Instant::now();
            let outcome = next.serve(query).await;
            let made;
            let reply = match &outcome {
                Outcome::Reply(reply) => Some(&reply.message),
                Outcome::Failure(failure) => {
                    made = reply::status(query, failure.rcode);
                    Some(&made)
                }
                Outcome::Silence => None,
            };
            if rule.takes(reply) {
                self.journal.write(Level::Info, &rule.write(query, reply, begun));
            }
            outcome
        })
    }
}

impl Rule {
    fn takes(&self, reply: Option<&Message>) -> bool {
        let class = match reply.map(Kind::of) {
            Some(Kind::Success | Kind::Delegation) => Class::Success,
            Some(Kind::NoData | Kind::NameError) => Class::Denial,
            Some(Kind::ServerFailure | Kind::OtherFailure | Kind::Meta) | None => Class::Error,
        };
        let mut classes = self.config.classes.iter();
        classes.any(|taken| [Class::All, class].contains(taken))
    }

    fn write(&self, query: &Query, reply: Option<&Message>, begun: Instant) -> String {
        let mut line = String::with_capacity(160);
        for part in &self.format {
            // A string takes whatever is written to it.
            let _ = match part {
                Part::Text(text) => line.write_str(text),
                Part::Value(value) => write_value(&mut line, *value, query, reply, begun),
            };
        }
        line
    }
}

fn write_value(
    line: &mut String,
    value: Value,
    query: &Query,
    reply: Option<&Message>,
    begun: Instant,
) -> std::fmt::Result {
    let question = &query.message.question;
    let edns = query.edns();
    match (value, reply) {
        (Value::Type, _) => write!(line, "{}", question.qtype),
        (Value::Name, _) => write!(line, "{}", query.name()),
        (Value::Class, _) => write!(line, "{}", question.class),
        (Value::Protocol, _) => line.write_str(query.client.transport.name()),
        (Value::Size, _) => write!(line, "{}", query.message.len()),
        (Value::Remote, _) => write_address(line, Some(query.client.address.ip())),
        (Value::Port, _) => write!(line, "{}", query.client.address.port()),
        (Value::Local, _) => write_address(line, query.client.local),
        (Value::Id, _) => write!(line, "{}", query.message.header.id()),
        (Value::Opcode, _) => write!(line, "{}", query.message.header.opcode().to_int()),
        (Value::WantsSignatures, _) => write!(line, "{}", edns.is_some_and(|edns| edns.wants_signatures())),
        (Value::BufferSize, _) => write!(line, "{}", query.size_limit()),
        (Value::Duration, _) => write!(line, "{}s", begun.elapsed().as_secs_f64()),
        (Value::Rcode, Some(reply)) => write_rcode(line, reply.rcode),
        (Value::ReplySize, Some(reply)) => write!(line, "{}", reply.len()),
        (Value::ReplyFlags, Some(reply)) => line.write_str(&flags(reply.header)),
        (Value::ReplySize, None) => line.write_str("0"),
        (Value::Rcode | Value::ReplyFlags | Value::Nothing, _) => line.write_str("-"),
    }
}

fn write_address(line: &mut String, address: Option<IpAddr>) -> std::fmt::Result {
    match address {
        // A socket of both families tells IPv4 addresses as IPv6 ones.
        Some(address) => match address.to_canonical() {
            IpAddr::V4(address) => write!(line, "{address}"),
            IpAddr::V6(address) => write!(line, "[{address}]"),
        },
        None => line.write_str("-"),
    }
}

fn write_rcode(line: &mut String, rcode: OptRcode) -> std::fmt::Result {
    write!(line, "{rcode}")
}

/// The flags that are set, separated by commas.
fn flags(header: Header) -> String {
    let flags = [
        (header.qr(), "qr"),
        (header.aa(), "aa"),
        (header.tc(), "tc"),
        (header.rd(), "rd"),
        (header.ra(), "ra"),
        (header.z(), "z"),
        (header.ad(), "ad"),
        (header.cd(), "cd"),
    ];
    let set: Vec<_> = flags
        .iter()
        .filter(|(is_set, _)| *is_set)
        .map(|(_, name)| *name)
        .collect();
    set.join(",")
}

/// Takes a form apart. Braces that are no placeholder are text.
fn parse(mut format: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    while let Some(end) = format.find('}') {
        let (head, tail) = format.split_at(end + 1);
        format = tail;
        let start = head.rfind('{').unwrap_or(0);
        let (before, placeholder) = head.split_at(start);
        let known = VALUES
            .iter()
            .find(|(name, _)| *name == placeholder)
            .map(|(_, value)| *value);
        let value = known.or_else(|| placeholder.starts_with("{/").then_some(Value::Nothing));
        match value {
            Some(value) => {
                text.push_str(before);
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Value(value));
            }
            None => text.push_str(head),
        }
    }
    text.push_str(format);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}

impl Transport {
    /// Its name in logs and metrics.
    pub(in crate::server) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Lines;
    use super::*;
    use crate::server::testing::*;

    #[test]
    fn takes_a_form_apart() {
        let text = |text: &str| Part::Text(text.to_owned());
        for (format, expected) in [
            ("plain", vec![text("plain")]),
            ("{name}{type}", vec![Part::Value(Value::Name), Part::Value(Value::Type)]),
            ("a {name} b", vec![text("a "), Part::Value(Value::Name), text(" b")]),
            ("{ {name} }", vec![text("{ "), Part::Value(Value::Name), text(" }")]),
            ("{unknown} {name}", vec![text("{unknown} "), Part::Value(Value::Name)]),
            ("a } {name}", vec![text("a } "), Part::Value(Value::Name)]),
            ("{/forward/upstream}", vec![Part::Value(Value::Nothing)]),
            ("", vec![]),
        ] {
            assert_eq!(parse(format), expected, "{format}");
        }
    }

    #[tokio::test]
    async fn a_line_is_written_as_coredns_writes_it() {
        let lines = Lines::of("log\nkubernetes cluster.local");
        lines
            .ask(&with_opt(query("Web.Default.svc.cluster.local", 1), 1232, 0x8000, b""))
            .await;
        let line = lines.next();
        let (line, duration) = line.rsplit_once(' ').unwrap();
        assert_eq!(
            line,
            "[INFO] 127.0.0.1:0 - 4660 \"A IN web.default.svc.cluster.local. udp 58 true 1232\" SERVFAIL qr,aa,rd 140"
        );
        assert!(
            duration.strip_suffix('s').unwrap().parse::<f64>().unwrap() < 1.0,
            "{duration}"
        );
    }

    #[tokio::test]
    async fn the_first_rule_of_a_name_says_what_is_logged() {
        for (directives, name, expected) in [
            ("log", "a.example", true),
            ("log b.example", "a.example", false),
            ("log a.example b.example", "b.example", true),
            ("log {\nclass success denial\n}", "a.example", false),
            ("log {\nclass denial\nclass error\n}", "a.example", true),
            ("log a.example {\nclass denial\n}\nlog", "a.example", false),
            ("log b.example {\nclass denial\n}\nlog", "a.example", true),
        ] {
            let lines = Lines::of(&format!("{directives}\nforward none.example 127.0.0.1:1"));
            lines.ask(&query(name, 1)).await;
            assert_eq!(lines.rest().contains("SERVFAIL qr,rd"), expected, "{directives} {name}");
        }
    }

    #[tokio::test]
    async fn a_form_may_be_given() {
        for (format, expected) in [
            (". \"{name} {>opcode} {/x}\"", "[INFO] a. 0 -\n"),
            (". \"{common}\"", "SERVFAIL qr,rd 19 "),
            (". \"{combined} {local}\"", "s \"0\" -\n"),
        ] {
            let lines = Lines::of(&format!("log {format}\nforward b 127.0.0.1:1"));
            lines.ask(&query("a", 1)).await;
            let found = lines.rest();
            assert!(found.contains(expected), "{found}");
        }
    }
}

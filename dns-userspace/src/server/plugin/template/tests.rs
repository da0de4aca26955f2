use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use super::*;
use crate::server::Metrics;
use crate::server::plugin::testing::Lines;
use crate::server::respond::Responder;
use crate::server::testing::{UDP, context, query, responder, responder_in, with_opt};

const A: u16 = 1;
const MX: u16 = 15;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const ANY: u16 = 255;

async fn ask(responder: &Arc<Responder>, query: &[u8]) -> Message {
    let reply = responder.respond(query, UDP).await.unwrap();
    Message::read(&reply).unwrap()
}

/// The records of a section, their data as text where it is an address, a name or a character string.
fn list(records: &[Record]) -> Vec<String> {
    let show = |record: &Record| {
        let bytes = record.data.as_bytes();
        let data = match record.data.rtype {
            Rtype::A => bytes.iter().map(u8::to_string).collect::<Vec<_>>().join("."),
            Rtype::CNAME => Text(bytes).to_string(),
            _ => bytes.escape_ascii().to_string(),
        };
        format!(
            "{} {} {} {} {data}",
            Text(&record.owner),
            record.ttl,
            record.data.class,
            record.data.rtype
        )
    };
    records.iter().map(show).collect()
}

/// The question in another class.
fn in_class(mut query: Vec<u8>, class: u8) -> Vec<u8> {
    *query.last_mut().unwrap() = class;
    query
}

#[tokio::test]
async fn makes_all_sections_of_a_reply() {
    let responder = responder(
        r#"template IN A t.example {
            match "^(?P<a>[a-z]+)[.]t[.]example[.]$"
            answer "{{ .Name }} 1h IN A 10.0.0.1" "{{ .Question.Name }} 60 IN A 10.0.0.2"
            additional "x.{{ .Zone }} IN TXT {{ .Group.a }} {{ .Remote }} {{ .Message.Id }}"
            authority "{{ .Zone }}  60 {{ .Class }} SOA ns h (1 1h 1d 2w 60)"
            authority "{{ .Zone }} 5 IN TXT {{ index .Match 1 }}{{ .Type }}"
            rcode NXDOMAIN
        }"#,
    );
    let reply = ask(&responder, &query("Ab.t.example", A)).await;
    assert_eq!(
        (reply.header.aa(), reply.header.rd(), reply.rcode),
        (true, true, OptRcode::NXDOMAIN)
    );
    assert_eq!(reply.question.name, b"\x02Ab\x01t\x07example\0");
    let answer = ["ab.t.example. 3600 IN A 10.0.0.1", "Ab.t.example. 60 IN A 10.0.0.2"];
    assert_eq!(list(&reply.answer), answer);
    assert_eq!(
        list(&reply.additional),
        [r"x.t.example. 3600 IN TXT \x02ab\t127.0.0.1\x044660"]
    );
    let numbers = [1, 3600, 86_400, 1_209_600, 60];
    let soa = Data::of_authority(&b"\x02ns\0".to_vec(), &b"\x01h\0".to_vec(), numbers);
    assert_eq!(reply.authority[0].data, soa);
    assert_eq!(list(&reply.authority[1..]), [r"t.example. 5 IN TXT \x03abA"]);
}

/// Who takes a question: the templates of a block in their order, then whatever is next.
#[tokio::test]
async fn takes_questions_by_zone_class_type_and_pattern() {
    let responder = responder(
        "template IN A t.example {
            match ^a[.] ^b[.]
            answer \"{{ .Name }} 1 IN TXT one {{ .Regex }}\"
            fallthrough b.t.example
        }
        template IN MX t.example sub.t.example {
            match ^b[.]
            answer \"{{ .Name }} 1 IN TXT two {{ .Zone }}\"
        }
        template CH TXT ch.example {
            answer \"{{ .Name }} 1 {{ .Class }} TXT {{ .Type }}\"
        }
        template ANY ANY any.example {
            answer \"{{ .Name }} 1 IN TXT {{ .Type }} {{ .Class }}\"
        }
        template ANY ANY next.example {
            match ^a[.]
            fallthrough
        }
        forward . 127.0.0.1:1",
    );
    let one = r"\x03one\x05^a[.]";
    for (name, qtype, class, expected) in [
        ("a.t.example", A, 1, Some(one)),
        ("A.T.example", A, 1, Some(one)),
        ("b.t.example", A, 1, Some(r"\x03one\x05^b[.]")),
        ("a.t.example", ANY, 1, Some(one)),
        ("a.t.example", A, 255, Some(one)),
        ("x.t.example", A, 1, None),
        ("b.b.t.example", A, 1, Some(r"\x03one\x05^b[.]")),
        ("b.sub.t.example", MX, 1, Some(r"\x03two\x0esub.t.example.")),
        ("b.x.t.example", MX, 1, Some(r"\x03two\nt.example.")),
        ("x.b.t.example", A, 1, None),
        ("ch.example", TXT, 3, Some(r"\x03TXT")),
        ("ch.example", TXT, 255, Some(r"\x03TXT")),
        ("any.example", 28, 3, Some(r"\x04AAAA\x02CH")),
        ("any.example", ANY, 255, Some(r"\x03ANY\x03ANY")),
    ] {
        let reply = ask(&responder, &in_class(query(name, qtype), class)).await;
        let found = reply
            .answer
            .first()
            .map(|record| record.data.as_bytes().escape_ascii().to_string());
        assert_eq!(found.as_deref(), expected, "{name} {qtype} {class}");
        let rcode = if expected.is_some() {
            OptRcode::NOERROR
        } else {
            OptRcode::SERVFAIL
        };
        assert_eq!(reply.rcode, rcode, "{name} {qtype} {class}");
    }
}

#[tokio::test]
async fn what_matches_nothing_fails_or_falls_through() {
    let next = "no next plugin found";
    for (options, name, qtype, expected) in [
        ("", "b.t.example", A, None),
        ("", "b.t.example", MX, Some(next)),
        ("", "b.example", A, Some(next)),
        ("fallthrough", "b.t.example", A, Some(next)),
        ("fallthrough t.example", "b.t.example", A, Some(next)),
        ("fallthrough c.t.example", "b.t.example", A, None),
    ] {
        let lines = Lines::of(&format!(
            "errors\ntemplate IN A t.example {{\nmatch ^a\nanswer \"a A 10.0.0.1\"\n{options}\n}}"
        ));
        lines.ask(&query(name, qtype)).await;
        let qtype = Rtype::from_int(qtype);
        let expected = expected.map(|error| format!("[ERROR] plugin/errors: 2 {name}. {qtype}: {error}\n"));
        assert_eq!(lines.rest(), expected.unwrap_or_default(), "{options} {name} {qtype}");
    }
}

#[tokio::test]
async fn falls_through_to_the_next_template_first() {
    let responder = responder(
        "template IN A {\nmatch ^a[.]\nanswer \"{{ .Name }} A 10.0.0.1\"\nfallthrough\n}
         template IN A {\nmatch ^b[.]\nanswer \"{{ .Name }} A 10.0.0.2\"\n}",
    );
    for (name, answer) in [
        ("a.x", &["a.x. 3600 IN A 10.0.0.1"][..]),
        ("b.x", &["b.x. 3600 IN A 10.0.0.2"]),
        ("c.x", &[]),
    ] {
        let reply = ask(&responder, &query(name, A)).await;
        assert_eq!(list(&reply.answer), answer, "{name}");
    }
}

#[tokio::test]
async fn replies_with_any_code() {
    for (rcode, code, authoritative) in [
        ("NOERROR", 0, true),
        ("NXDOMAIN", 3, true),
        ("REFUSED", 5, true),
        ("BADCOOKIE", 23, true),
        // The server itself says this.
        ("SERVFAIL", 2, false),
    ] {
        let responder = responder(&format!(
            "template ANY ANY {{\nrcode {rcode}\nanswer \"a A 10.0.0.1\"\n}}"
        ));
        let reply = ask(&responder, &with_opt(query("a", A), 1232, 0, b"")).await;
        assert_eq!(
            (reply.rcode.to_int(), reply.header.aa()),
            (code, authoritative),
            "{rcode}"
        );
        assert_eq!(reply.answer.len(), usize::from(authoritative), "{rcode}");
    }
}

#[tokio::test]
async fn tells_an_extended_error() {
    let option = b"\x00\x0f\x00\x09\x00\x15Blocked";
    let responder = responder("template ANY ANY {\nrcode NXDOMAIN\nederror 21 Blocked\n}");
    for (query, size) in [(query("a", A), 4096), (with_opt(query("a", A), 1232, 0, b""), 1232)] {
        let reply = ask(&responder, &query).await;
        let opt = reply.opt().unwrap();
        assert_eq!(opt.data.as_bytes(), option);
        // DO too, as in CoreDNS.
        assert_eq!((opt.data.class.to_int(), opt.ttl), (size, 0x8000));
    }
}

#[tokio::test]
async fn an_extended_error_needs_no_reason() {
    let responder = responder("template ANY ANY {\nederror 4\n}");
    let reply = ask(&responder, &query("a", A)).await;
    assert_eq!(reply.opt().unwrap().data.as_bytes(), b"\x00\x0f\x00\x02\x00\x04");
}

#[tokio::test]
async fn puts_what_an_alias_leads_to_behind_it() {
    let responder = responder(
        r#"template IN A t.example {
            answer "{{ .Name }} 1 IN A 10.0.0.1" "{{ .Name }} 1 IN A 10.0.0.2"
        }
        template IN ANY al.example {
            answer "{{ .Name }} 60 IN CNAME b.t.example" "x 60 IN CNAME t.example."
            answer "{{ .Name }} 7 IN A 10.0.0.9" "{{ .Name }} 60 IN CNAME nowhere.example"
        }
        template IN A loop.example {
            answer "{{ .Name }} 60 IN CNAME x.loop.example"
        }"#,
    );
    let own = [
        "a.al.example. 60 IN CNAME b.t.example.",
        "x. 60 IN CNAME t.example.",
        "a.al.example. 7 IN A 10.0.0.9",
        "a.al.example. 60 IN CNAME nowhere.example.",
    ];
    let reply = ask(&responder, &query("a.al.example", A)).await;
    let expected = [
        own[0],
        "b.t.example. 1 IN A 10.0.0.1",
        "b.t.example. 1 IN A 10.0.0.2",
        own[1],
        "t.example. 1 IN A 10.0.0.1",
        "t.example. 1 IN A 10.0.0.2",
        own[2],
        own[3],
    ];
    assert_eq!(list(&reply.answer), expected);
    assert!(reply.header.aa());
    for qtype in [AAAA, TXT, ANY] {
        let reply = ask(&responder, &query("a.al.example", qtype)).await;
        assert_eq!(list(&reply.answer), own, "{qtype}");
    }
    // An alias of itself is followed for a while only.
    let reply = ask(&responder, &query("loop.example", A)).await;
    assert_eq!((reply.rcode, reply.answer.len()), (OptRcode::NOERROR, 9));
}

#[tokio::test]
async fn a_record_that_cannot_be_made_fails_the_query() {
    let told = async |options: &str, name: &str| {
        let lines = Lines::of(&format!(
            "errors\ntemplate IN A {{\nmatch (?P<a>[^.]*)[.](b)?\n{options}\n}}"
        ));
        lines.ask(&query(name, A)).await;
        lines.rest()
    };
    for (options, name, expected) in [
        (
            r#"answer "{{ .Name }} A 10.0.0.{{ parseInt .Group.a 16 8 }}""#,
            "100.a",
            "template: answer:1:24: executing \"answer\" at <parseInt .Group.a 16 8>: error calling parseInt: \
             strconv.ParseUint: parsing \"100\": value out of range",
        ),
        (
            r#"authority "{{ .Name }} A 10.0.0.{{ index .Match 1 }}""#,
            "x.a",
            "dns: expected IPv4 address: \"x.a. A 10.0.0.x\"",
        ),
        (
            r#"additional "{{ .Name }} CNAME {{ index .Match 1 }}..a""#,
            "x.a",
            "dns: bad data: \"x.a. CNAME x..a\"",
        ),
        (
            r#"answer "{{ if index .Match 2 }}a A 10.0.0.1{{ end }}""#,
            "x.a",
            "dns: no record: \"\"",
        ),
    ] {
        let expected = format!("[ERROR] plugin/errors: 2 {name}. A: {expected}\n");
        assert_eq!(told(options, name).await, expected, "{options}");
    }
}

#[tokio::test]
async fn counts_as_coredns_does() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let context = Context { metrics, ..context() };
    let responder = responder_in(
        &context,
        r#"template IN ANY t.example {
            match "^([^.]*)[.]"
            answer "{{ .Name }}  60 IN A 10.0.0.{{ parseInt (index .Match 1) 10 0 }}"
        }"#,
    );
    for (name, qtype) in [
        ("1.t.example", A),
        ("x.t.example", A),
        ("999.t.example", TXT),
        ("1.t.example", 65_000),
        ("a", A),
    ] {
        ask(&responder, &query(name, qtype)).await;
    }
    let mut text = String::new();
    text::encode(&mut text, &registry).unwrap();
    let mut found: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("coredns_template_"))
        .collect();
    found.sort_unstable();
    let failure = |qtype: &str| {
        format!(
            "{{server=\"dns://:0\",zone=\"t.example.\",view=\"\",class=\"IN\",type=\"{qtype}\",section=\"answer\",\
             template=\"{{{{.Name}}}}  60 IN A 10.0.0.{{{{parseInt (index .Match 1) 10 0}}}}\"}} 1"
        )
    };
    let matches = |qtype: &str, count| {
        format!(
            "coredns_template_matches_total{{server=\"dns://:0\",zone=\"t.example.\",view=\"\",class=\"IN\",type=\"{qtype}\"}} \
             {count}"
        )
    };
    let expected = [
        // A type without name.
        matches("", 1),
        matches("A", 2),
        matches("TXT", 1),
        format!("coredns_template_rr_failures_total{}", failure("TXT")),
        format!("coredns_template_template_failures_total{}", failure("A")),
    ];
    assert_eq!(found, expected);
}

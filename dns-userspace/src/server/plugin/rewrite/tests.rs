use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use domain::base::iana::{Class, OptRcode, Rtype};

use super::super::testing::Lines;
use crate::name::{Text, parse_text};
use crate::server::edns::{self, read_options};
use crate::server::message::{Message, Record};
use crate::server::query::{Client, Transport};
use crate::server::rdata::Data;
use crate::server::reader::{Reader, WireName};
use crate::server::respond::Responder;
use crate::server::testing::*;

/// A server with an upstream whose replies a test makes of queries, which are noted.
struct Server {
    responder: Arc<Responder>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    async fn of(directives: &str, reply: impl Fn(&mut Message) + Send + 'static) -> Self {
        let (upstream, seen) = upstream(reply).await;
        let responder = responder(&format!("{directives}\nforward . {upstream} {{\nprefer_udp\n}}"));
        Self { responder, seen }
    }

    async fn ask(&self, query: &[u8]) -> Message {
        self.ask_as(query, UDP).await
    }

    async fn ask_as(&self, query: &[u8], client: Client) -> Message {
        Message::read(&self.responder.respond(query, client).await.unwrap()).unwrap()
    }

    /// What the upstream was asked last.
    fn seen(&self) -> Message {
        let seen = self.seen.lock().unwrap();
        Message::read(seen.last().expect("the upstream was asked")).unwrap()
    }
}

async fn upstream(reply: impl Fn(&mut Message) + Send + 'static) -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let reply = move |query: &[u8]| {
        let mut message = Message::read(query).unwrap();
        message.header.set_qr(true);
        message.additional.clear();
        reply(&mut message);
        vec![message.write(4096)]
    };
    script(Transport::Udp, reply).await
}

fn name(text: &str) -> WireName {
    parse_text(text).unwrap()
}

fn record(owner: &str, data: Data) -> Record {
    let (owner, ttl) = (name(owner), 60);
    Record { owner, ttl, data }
}

fn address(owner: &str) -> Record {
    record(owner, Data::of_address([10, 0, 0, 1].into()))
}

fn alias(owner: &str, target: &str) -> Record {
    record(owner, Data::of_name(Rtype::CNAME, &name(target)))
}

/// An address at the name asked for.
fn answer(message: &mut Message) {
    let asked = asked(message);
    message.answer.push(address(&asked));
}

/// The name asked for.
fn asked(message: &Message) -> String {
    Text(&message.question.name).to_string()
}

/// The records of a reply but OPT, as owner, type and the first name in the data.
fn list(message: &Message) -> Vec<String> {
    let records = [&message.answer, &message.authority, &message.additional];
    let records = records.into_iter().flatten().filter(|record| !record.is_opt());
    let text = |record: &Record| {
        let value = record.data.first_name().map(|name| format!(" {}", Text(name)));
        format!(
            "{} {}{}",
            Text(&record.owner),
            record.data.rtype,
            value.unwrap_or_default()
        )
    };
    records.map(text).collect()
}

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

/// The options of a message, or `None` where it has no OPT record.
fn options(message: &Message) -> Option<Vec<(u16, Vec<u8>)>> {
    let opt = message.opt()?;
    let options = read_options(opt.data.as_bytes());
    Some(options.map(|(code, data)| (code.to_int(), data.to_vec())).collect())
}

#[tokio::test]
async fn what_is_next_is_asked_for_another_name_and_the_client_sees_its_own() {
    // Asked of us, asked of the upstream, and the records of its reply: at the name, above it, and with it in data.
    for (rules, ours, theirs, expected) in [
        (
            "name a.example b.test",
            "A.example",
            "b.test.",
            ["a.example. A", "x.a.example. CNAME a.example.", "yb.test. CNAME b."],
        ),
        (
            "name prefix a b",
            "a.example",
            "b.example.",
            ["b.example. A", "x.b.example. CNAME b.example.", "yb.example. CNAME b."],
        ),
        (
            "name prefix a b answer auto",
            "A.Example",
            "b.example.",
            ["a.example. A", "x.a.example. CNAME a.example.", "yb.example. CNAME b."],
        ),
        (
            "name suffix a b",
            "q.a",
            "q.b.",
            ["q.b. A", "x.q.b. CNAME q.b.", "yq.b. CNAME b."],
        ),
        (
            "name suffix a b answer auto",
            "q.a",
            "q.b.",
            ["q.a. A", "x.q.a. CNAME q.a.", "yq.a. CNAME a."],
        ),
        (
            "name substring a. bb. answer auto",
            "a.xa.c",
            "bb.xbb.c.",
            ["a.xa.c. A", "x.a.xa.c. CNAME a.xa.c.", "ybb.xbb.c. CNAME b."],
        ),
        (
            r"name regex ^(.*)-(.*)\.a\.$ {2}.{1}.b answer name ^(.*)\.(.*)\.b\.$ {2}-{1}.a",
            "one-two.a",
            "two.one.b.",
            ["one-two.a. A", "one-x.two.a. CNAME two.one.b.", "one-ytwo.a. CNAME b."],
        ),
        (
            r"name regex ^(.*)\.a\.$ {1}.b answer value ^(.*)\.b\.$ {1}.c answer name q w",
            "q.a",
            "q.b.",
            ["w. A", "w. CNAME q.c.", "w. CNAME b."],
        ),
        (
            "name exact a b answer value b c",
            "a",
            "b.",
            ["a. A", "x.a. CNAME c.", "yb. CNAME c."],
        ),
        // Rules follow each other on the way in, and in the opposite order on the way back.
        (
            "continue name a.b c.d\nrewrite name suffix .d .e answer auto",
            "a.b",
            "c.e.",
            ["a.b. A", "x.a.b. CNAME a.b.", "yc.d. CNAME b."],
        ),
        (
            "name a.b c.d\nrewrite name suffix .d .e answer auto",
            "a.b",
            "c.d.",
            ["a.b. A", "x.a.b. CNAME a.b.", "yc.d. CNAME b."],
        ),
        // What one makes may be a name only after the other.
        (
            r"name exact a d answer name ^x\.\.y\.$ ok answer name ^d\.$ x..y",
            "a",
            "d.",
            ["ok. A", "x.a. CNAME a.", "yd. CNAME b."],
        ),
        (
            "name a.example b",
            "c.example",
            "c.example.",
            ["c.example. A", "x.c.example. CNAME c.example.", "yc.example. CNAME b."],
        ),
    ] {
        let server = Server::of(&format!("rewrite {rules}"), |message| {
            let asked = asked(message);
            message.answer = vec![
                address(&asked),
                alias(&format!("x.{asked}"), &asked),
                alias(&format!("y{asked}"), "b."),
            ];
        })
        .await;
        let reply = server.ask(&query(ours, 1)).await;
        assert_eq!(asked(&server.seen()), theirs, "{rules}");
        assert_eq!(asked(&reply), format!("{ours}."), "{rules}");
        assert_eq!(list(&reply), expected, "{rules}");
    }
}

#[tokio::test]
async fn names_in_all_sections_and_in_the_data_of_some_types_change() {
    let text = |rtype, bytes: &[u8]| Data::read(rtype, Class::IN, &mut Reader::new(bytes)).unwrap();
    let server = Server::of(
        "rewrite name suffix a b answer value ^(.*)b\\.$ {1}long.name",
        move |message| {
            let rest = [Rtype::NS, Rtype::CNAME, Rtype::PTR, Rtype::DNAME, Rtype::MB];
            message.answer = rest
                .map(|rtype| record("o.b.", Data::of_name(rtype, &name("t.b."))))
                .into();
            message.answer.extend([
                record("o.b.", Data::of_service(1, 2, &name("t.b."))),
                record("o.b.", text(Rtype::MX, b"\0\x01\x01t\x01b\0")),
                record("o.b.", text(Rtype::NAPTR, b"\0\x01\0\x02\x01f\0\0\x01t\x01b\0")),
                record("o.b.", text(Rtype::RP, b"\x01t\x01b\0\0")),
            ]);
            message.authority = vec![record("b.", Data::of_authority(&name("t.b."), &name("u.b."), [7; 5]))];
            message.additional = vec![record("o.b.", Data::of_name(Rtype::PTR, &name("t.b.")))];
        },
    )
    .await;
    let reply = server.ask(&query("q.a", 1)).await;
    let changed = |rtype| format!("o.b. {rtype} t.long.name.");
    let expected = [
        changed("NS"),
        changed("CNAME"),
        changed("PTR"),
        changed("DNAME"),
        "o.b. MB t.b.".to_owned(),
        changed("SRV"),
        changed("MX"),
        changed("NAPTR"),
        "o.b. RP t.b.".to_owned(),
        "b. SOA t.long.name.".to_owned(),
        changed("PTR"),
    ];
    assert_eq!(list(&reply), expected);
    // What stands around the name stays.
    let soa = [&b"\x01t\x04long\x04name\0\x01u\x01b\0"[..], &[0, 0, 0, 7].repeat(5)].concat();
    assert_eq!(reply.authority[0].data.as_bytes(), soa);
    let naptr = b"\0\x01\0\x02\x01f\0\0\x01t\x04long\x04name\0";
    assert_eq!(reply.answer[7].data.as_bytes(), naptr);
}

#[tokio::test]
async fn types_and_classes_change_and_the_question_comes_back() {
    let chaos = |mut query: Vec<u8>| {
        *query.last_mut().unwrap() = 3;
        query
    };
    for (rules, query, seen) in [
        ("type ANY HINFO", query("Web.a", 255), (13, 1)),
        ("continue type ANY HINFO", query("Web.a", 255), (13, 1)),
        ("type ANY HINFO", query("Web.a", 1), (1, 1)),
        (
            "continue type A AAAA\nrewrite type AAAA TXT",
            query("Web.a", 1),
            (16, 1),
        ),
        ("type A AAAA\nrewrite type AAAA TXT", query("Web.a", 1), (28, 1)),
        ("class CH IN", chaos(query("Web.a", 1)), (1, 1)),
        ("class CH IN", query("Web.a", 1), (1, 1)),
        ("class IN CH", query("Web.a", 1), (1, 3)),
        // A rule that is not applied does not stop the others.
        ("stop name x y\nrewrite class IN CH", query("Web.a", 1), (1, 3)),
        (
            "continue name regex ^(.*)\\.$ {1}\nrewrite type A MX",
            query("Web.a", 1),
            (15, 1),
        ),
    ] {
        let server = Server::of(&format!("rewrite {rules}"), answer).await;
        let reply = server.ask(&query).await;
        let question = server.seen().question;
        assert_eq!((question.qtype.to_int(), question.class.to_int()), seen, "{rules}");
        assert_eq!(reply.question, Message::read(&query).unwrap().question, "{rules}");
        assert_eq!(reply.answer.len(), 1, "{rules}");
    }
}

#[tokio::test]
async fn ttls_come_into_a_range() {
    for (rules, name, expected) in [
        ("ttl a.example 15", "A.example", 15),
        ("ttl exact a.example 30-300", "a.example", 60),
        ("ttl suffix .example 61-300", "a.example", 61),
        ("ttl prefix a 30-59", "a.example", 59),
        ("ttl substring .e 120-", "a.e.x", 120),
        ("ttl regex ^a -30", "a.example", 30),
        ("ttl a.example 15", "b.example", 60),
        ("continue ttl a -30\nrewrite ttl a 20-", "a", 30),
        // The last rule comes first.
        ("continue ttl a 40\nrewrite ttl a 20", "a", 40),
    ] {
        let server = Server::of(&format!("rewrite {rules}"), |message| {
            answer(message);
            message.authority = message.answer.clone();
            message.additional = message.answer.clone();
            message.additional.push(edns::opt(1232, 0, &[]));
        })
        .await;
        let reply = server.ask(&with_opt(query(name, 1), 1232, 0x8000, b"")).await;
        let sections = [&reply.answer, &reply.authority, &reply.additional];
        let ttls: Vec<_> = sections.iter().map(|section| section[0].ttl).collect();
        assert_eq!(ttls, [expected; 3], "{rules}");
        assert_eq!(reply.opt().unwrap().ttl, 0x8000, "{rules}");
    }
}

#[tokio::test]
async fn response_codes_change() {
    for (rules, theirs, records, expected) in [
        ("rcode a SERVFAIL NOERROR", 2, 0, 0),
        ("rcode a SERVFAIL NOERROR", 3, 0, 3),
        ("rcode b SERVFAIL NOERROR", 2, 0, 2),
        ("rcode regex . 0 NXDOMAIN", 0, 1, 3),
        // Another for each record, or for all if there is none; the last rule comes first.
        ("continue rcode a 2 3\nrewrite rcode a 3 5", 2, 0, 3),
        ("continue rcode a 2 3\nrewrite rcode a 3 5", 2, 1, 3),
        ("continue rcode a 2 3\nrewrite rcode a 3 5", 2, 2, 5),
        ("continue rcode a 3 5\nrewrite rcode a 2 3", 2, 0, 5),
        // One that needs an OPT record where there is none.
        ("rcode a 0 BADCOOKIE", 0, 0, 2),
    ] {
        let server = Server::of(&format!("rewrite {rules}"), move |message| {
            (0..records).for_each(|_| answer(message));
            message.rcode = OptRcode::masked_from_int(theirs);
        })
        .await;
        let reply = server.ask(&query("a", 1)).await;
        assert_eq!(reply.rcode.to_int(), expected, "{rules}");
    }
    let server = Server::of("rewrite rcode a 0 BADCOOKIE", answer).await;
    let reply = server.ask(&with_opt(query("a", 1), 1232, 0, b"")).await;
    assert_eq!(reply.rcode.to_int(), 23);
}

#[tokio::test]
async fn what_fails_is_changed_too() {
    for (rules, expected) in [
        ("rcode A SERVFAIL NXDOMAIN", 3),
        ("name a b", 2),
        ("continue name a b\nrewrite rcode b 2 0", 0),
    ] {
        let responder = responder(&format!("rewrite {rules}"));
        for query in [query("A", 1), with_opt(query("A", 1), 1232, 0x8000, b"\0\x03\0\0")] {
            let bytes = responder.respond(&query, UDP).await.unwrap();
            let (reply, query) = (Message::read(&bytes).unwrap(), Message::read(&query).unwrap());
            assert_eq!(reply.rcode.to_int(), expected, "{rules}");
            assert_eq!(reply.question, query.question, "{rules}");
            assert_eq!(options(&reply), options(&query), "{rules}");
        }
    }
}

#[tokio::test]
async fn what_fails_is_told() {
    for (rules, line) in [
        ("name a b", "[ERROR] plugin/errors: 2 a. A: no next plugin found\n"),
        (
            "name prefix a x..y",
            "[ERROR] plugin/errors: 2 a. A: invalid name after rewrite: x..y.\n",
        ),
    ] {
        let lines = Lines::of(&format!("errors\nrewrite {rules}"));
        lines.ask(&query("a", 1)).await;
        assert_eq!(lines.rest(), line, "{rules}");
    }
}

#[tokio::test]
async fn a_reply_with_a_text_that_is_no_name_fails() {
    let long = "a".repeat(64);
    for (rules, name) in [
        ("name exact a b answer value b x..y".to_owned(), "x..y."),
        (format!("name exact a b answer name b {long}"), &*format!("{long}.")),
        ("cname prefix b x..".to_owned(), "x..b."),
    ] {
        let (upstream, _) = upstream(|message| message.answer.push(alias("b.b.", "bb."))).await;
        let lines = Lines::of(&format!("errors\nrewrite {rules}\nforward . {upstream}"));
        lines.ask(&query("a", 1)).await;
        let line = format!("[ERROR] plugin/errors: 2 a. A: invalid name in a reply after rewrite: {name}\n");
        assert_eq!(lines.rest(), line, "{rules}");
    }
}

#[tokio::test]
async fn aliases_lead_elsewhere() {
    let chain = |message: &mut Message| {
        match asked(message).as_str() {
            "my-app.com." => {
                message.answer = vec![
                    alias("my-app.com.", "my-app.example."),
                    alias("my-app.example.", "my-app.com.cdn.example.net."),
                    address("my-app.com.cdn.example.net."),
                ];
            }
            "fails." => message.rcode = OptRcode::NXDOMAIN,
            _ => answer(message),
        };
    };
    let first = "my-app.com. CNAME my-app.example.";
    let cdn = "my-app.com.cdn.example.net.";
    for (rules, expected) in [
        (
            r"cname regex (.*)\.cdn\.example\.net\. {1}.other.cdn.com.",
            vec![
                first.to_owned(),
                "my-app.example. CNAME my-app.com.other.cdn.com.".to_owned(),
                "my-app.com.other.cdn.com. A".to_owned(),
            ],
        ),
        (
            "cname my-app.example elsewhere.example",
            vec![
                "my-app.com. CNAME elsewhere.example.".to_owned(),
                "elsewhere.example. A".to_owned(),
            ],
        ),
        // A dot at the end is no need.
        (
            "cname suffix .cdn.example.net. .other",
            vec![
                first.to_owned(),
                "my-app.example. CNAME my-app.com.other.".to_owned(),
                "my-app.com.other. A".to_owned(),
            ],
        ),
        (
            "cname my-app.example fails",
            vec!["my-app.com. CNAME fails.".to_owned()],
        ),
        (
            "cname other.example elsewhere.example",
            vec![
                first.to_owned(),
                format!("my-app.example. CNAME {cdn}"),
                format!("{cdn} A"),
            ],
        ),
        // Rules for names find the new target.
        (
            "continue name exact my-app.com my-app.com answer value elsewhere there\nrewrite cname my-app.example elsewhere",
            vec!["my-app.com. CNAME there.".to_owned(), "elsewhere. A".to_owned()],
        ),
        // Both rules see what the upstream said; the last comes first.
        (
            "continue cname prefix my-app.com.cdn other\nrewrite cname my-app.example elsewhere",
            vec![
                "my-app.com. CNAME elsewhere.".to_owned(),
                "other.example.net. A".to_owned(),
            ],
        ),
    ] {
        let server = Server::of(&format!("rewrite {rules}"), chain).await;
        let reply = server.ask(&query("my-app.com", 1)).await;
        assert_eq!((list(&reply), reply.rcode.to_int()), (expected, 0), "{rules}");
    }
}

#[tokio::test]
async fn an_alias_stays_where_nobody_answers_for_the_other() {
    // What is asked for leads to an alias of the same kind, again and again.
    let (upstream, seen) = upstream(|message| {
        let asked = asked(message);
        message.answer.push(alias(&asked, &format!("x.{asked}")));
    })
    .await;
    let lines = Lines::of(&format!("rewrite cname prefix x. y.\nforward . {upstream}"));
    lines.ask(&query("a", 1)).await;
    assert_eq!(lines.rest(), "[ERROR] upstream lookup returned nil\n");
    assert_eq!(seen.lock().unwrap().len(), 9);
}

#[tokio::test]
async fn options_are_set_and_may_be_undone() {
    const LOCAL: u16 = 0xffee;
    let own = |data: &[u8]| vec![(LOCAL, data.to_vec())];
    let nsid = |data: &[u8]| vec![(3, data.to_vec())];
    let subnet = |data: &[u8]| vec![(8, data.to_vec())];
    let (ours, theirs) = (b"z".as_slice(), b"\0\x01\x20\0\x01\x02\x03\x04".as_slice());
    let truncated = b"\0\x01\x0b\0\x7f\0".as_slice();
    let none = Vec::new;
    // The rules, the client's options, those that the upstream sees, and those of the reply.
    for (rules, client, seen, reply) in [
        ("local set 0xffee abcd", None, own(b"abcd"), own(b"abcd")),
        ("local set 0xffee 0x00ff", Some(none()), own(b"\0\xff"), own(b"\0\xff")),
        ("local set 0xffee abcd", Some(own(ours)), own(b"abcd"), own(b"abcd")),
        ("local append 0xffee abcd", Some(none()), own(b"abcd"), own(b"abcd")),
        (
            "local append 0xffee abcd",
            Some(own(ours)),
            [own(ours), own(b"abcd")].concat(),
            [own(ours), own(b"abcd")].concat(),
        ),
        ("local replace 0xffee abcd", Some(own(ours)), own(b"abcd"), own(b"abcd")),
        ("local replace 0xffee abcd", Some(none()), none(), none()),
        ("local replace 0xffee abcd", None, none(), none()),
        (
            "local unset 0xffee",
            Some([own(ours), nsid(b""), own(ours)].concat()),
            nsid(b""),
            nsid(b""),
        ),
        // An option of another code is not echoed, one of a rule's is.
        ("local unset 0xffed", Some(own(ours)), own(ours), none()),
        (
            "nsid set\nrewrite edns0 local set 0xffee a",
            Some(own(ours)),
            [own(b"a"), nsid(b"")].concat(),
            [own(b"a"), nsid(b"")].concat(),
        ),
        // `revert`
        ("local set 0xffee abcd revert", None, own(b"abcd"), none()),
        ("local set 0xffee abcd revert", Some(own(ours)), own(b"abcd"), own(ours)),
        ("local append 0xffee abcd revert", Some(none()), own(b"abcd"), none()),
        (
            "local replace 0xffee abcd revert",
            Some(own(ours)),
            own(b"abcd"),
            own(ours),
        ),
        ("nsid set revert", Some(nsid(b"x")), nsid(b""), nsid(b"x")),
        (
            "subnet set 11 0 revert",
            Some(subnet(theirs)),
            subnet(truncated),
            none(),
        ),
        // What the library knows by its code is no local option.
        (
            "local set 10 abcd",
            Some(vec![(10, ours.to_vec())]),
            vec![(10, ours.to_vec()), (10, b"abcd".to_vec())],
            vec![(10, ours.to_vec()), (10, b"abcd".to_vec())],
        ),
        ("local unset 10", Some(vec![(10, ours.to_vec())]), none(), none()),
        ("nsid set", None, nsid(b""), nsid(b"")),
        ("nsid set", Some(nsid(b"x")), nsid(b""), nsid(b"")),
        (
            "nsid append",
            Some(nsid(b"x")),
            [nsid(b"x"), nsid(b"")].concat(),
            [nsid(b"x"), nsid(b"")].concat(),
        ),
        ("nsid replace", None, none(), none()),
        ("nsid unset", Some(nsid(b"x")), none(), none()),
        ("subnet set 11 0", None, subnet(truncated), none()),
        ("subnet set 0 0", None, subnet(b"\0\x01\0\0"), none()),
        ("subnet set 32 0", None, subnet(b"\0\x01\x20\0\x7f\0\0\x01"), none()),
        ("subnet set 11 0", Some(subnet(theirs)), subnet(truncated), none()),
        ("subnet replace 11 0", None, none(), none()),
        ("subnet append 11 0", Some(subnet(theirs)), subnet(theirs), none()),
        ("subnet append 11 0", Some(none()), subnet(truncated), none()),
        ("subnet unset", Some(subnet(theirs)), none(), none()),
        // A variable is appended once.
        ("local append 0xffee {qname}", Some(own(ours)), own(ours), own(ours)),
        ("local append 0xffee {qname}", None, own(b"Q.a."), own(b"Q.a.")),
    ] {
        let server = Server::of(&format!("rewrite continue edns0 {rules}"), answer).await;
        let plain = query("Q.a", 1);
        let query = match &client {
            None => plain,
            Some(client) => {
                let client: Vec<u8> = client.iter().flat_map(|(code, data)| option(*code, data)).collect();
                with_opt(plain, 1232, 0x8000, &client)
            }
        };
        let found = server.ask(&query).await;
        assert_eq!(options(&server.seen()), Some(seen), "{rules} {client:?}");
        assert_eq!(options(&found), Some(reply), "{rules} {client:?}");
        let (size, flags) = if client.is_some() { (1232, 0x8000) } else { (4096, 0) };
        for message in [server.seen(), found] {
            let opt = message.opt().unwrap();
            assert_eq!((opt.data.class.to_int(), opt.ttl), (size, flags), "{rules} {client:?}");
        }
    }
}

#[tokio::test]
async fn an_upstreams_options_are_passed_on_but_for_what_is_undone() {
    let theirs = [option(0xffee, b"u"), option(3, b"id")].concat();
    for (rules, client, expected) in [
        ("local set 0xffee abcd", None, theirs.clone()),
        ("local set 0xffee abcd revert", None, option(3, b"id")),
        (
            "local set 0xffee abcd revert",
            Some(option(0xffee, b"z")),
            [option(0xffee, b"z"), option(3, b"id")].concat(),
        ),
        ("nsid set revert", None, option(0xffee, b"u")),
    ] {
        let data = theirs.clone();
        let server = Server::of(&format!("rewrite edns0 {rules}"), move |message| {
            answer(message);
            message.additional.push(edns::opt(512, 0x4000, &data));
        })
        .await;
        let plain = query("a", 1);
        let query = client.map_or(plain.clone(), |client| with_opt(plain, 1232, 0, &client));
        let reply = server.ask(&query).await;
        assert_eq!(reply.opt().unwrap().data.as_bytes(), expected, "{rules}");
    }
}

#[tokio::test]
async fn options_hold_what_is_known_of_the_query() {
    let ipv4 = Client {
        address: "[::ffff:192.0.2.7]:4660".parse().unwrap(),
        local: Some("192.0.2.53".parse().unwrap()),
        port: 5353,
        ..UDP
    };
    let ipv6 = Client {
        address: "[2001:db8::7]:4660".parse().unwrap(),
        local: Some("2001:db8::53".parse().unwrap()),
        transport: Transport::Tcp,
        ..ipv4
    };
    let unknown = Client { local: None, ..ipv4 };
    for (variable, client, expected) in [
        ("{qname}", ipv4, Some(&b"b.Example."[..])),
        ("{qtype}", ipv4, Some(b"\0\x1c")),
        ("{client_ip}", ipv4, Some(b"\xc0\0\x02\x07")),
        ("{client_ip}", ipv6, Some(b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07")),
        ("{client_port}", ipv4, Some(b"\x12\x34")),
        ("{server_ip}", ipv4, Some(b"\xc0\0\x02\x35")),
        ("{server_ip}", ipv6, Some(b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x53")),
        ("{server_ip}", unknown, None),
        ("{server_port}", ipv4, Some(b"\x14\xe9")),
        ("{protocol}", ipv4, Some(b"udp")),
        ("{protocol}", ipv6, Some(b"tcp")),
    ] {
        let rules = format!("rewrite continue type A AAAA\nrewrite edns0 local set 1234 {variable}");
        let server = Server::of(&rules, answer).await;
        server.ask_as(&query("b.Example", 1), client).await;
        let expected = expected.map(|data| vec![(1234, data.to_vec())]);
        assert_eq!(options(&server.seen()), expected, "{variable}");
    }
}

#[tokio::test]
async fn subnets_of_ipv6_clients_are_told() {
    let client = Client {
        address: "[2001:db8:1234:5678::7]:4660".parse().unwrap(),
        ..UDP
    };
    let server = Server::of("rewrite edns0 subnet set 24 44", answer).await;
    server.ask_as(&query("a", 1), client).await;
    let expected = (8, b"\0\x02\x2c\0\x20\x01\x0d\xb8\x12\x30".to_vec());
    assert_eq!(options(&server.seen()), Some(vec![expected]));
}

#[tokio::test]
async fn the_cache_is_asked_for_the_new_name() {
    let server = Server::of("cache\nrewrite name suffix .a .b answer auto", answer).await;
    for name in ["x.a", "x.b", "X.a"] {
        let reply = server.ask(&query(name, 1)).await;
        assert_eq!(list(&reply), [format!("{}. A", name.to_lowercase())]);
    }
    assert_eq!(server.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_reply_to_who_took_no_more_is_truncated() {
    let server = Server::of("rewrite edns0 nsid set", |message| {
        (0..40).for_each(|_| answer(message));
    })
    .await;
    let bytes = server.responder.respond(&query("a", 1), UDP).await.unwrap();
    assert!(bytes.len() <= 512 && Message::read(&bytes).unwrap().header.tc());
}

use std::fs::FileTimes;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::name::Name;
use crate::server::Metrics;
use crate::server::message::{Message, Question};
use crate::server::plugin::testing::Lines;
use crate::server::respond::Responder;
use crate::server::testing::{UDP, context, query, responder, responder_in};

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;

const FILE: &str = "# A comment
10.0.0.1 a.example.org b.example.org
10.0.0.2 A.example.org.
fd00::1 a.example.org
10.0.0.9 *.example.org
fd00::9 *.wild.example.org
::ffff:10.1.1.1 mapped.example.org
10.0.0.8 *
10.0.0.7 elsewhere.net
none at all
";

/// A folder with a file of hosts.
fn file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// Writes a file anew, at another time than before.
fn rewrite(path: &str, text: &str) {
    let before = fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap();
    fs::write(path, text).unwrap();
    set_time(path, before + Duration::from_secs(7));
}

fn set_time(path: &str, time: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

/// What is replied: what the flags and the code are, and the owner, TTL and data of each record.
async fn ask(responder: &Arc<Responder>, name: &str, qtype: u16) -> (bool, OptRcode, Vec<String>) {
    let reply = responder.respond(&query(name, qtype), UDP).await.unwrap();
    let reply = Message::read(&reply).unwrap();
    assert!(reply.authority.is_empty() && reply.additional.is_empty());
    let records = reply.answer.iter().map(|record| {
        let owner = Name::from_wire(&record.owner);
        assert_eq!(record.owner, owner.as_wire(), "in lower case");
        let data = match *record.data.as_bytes() {
            [a, b, c, d] => IpAddr::from([a, b, c, d]).to_string(),
            ref data => match <[u8; 16]>::try_from(data) {
                Ok(octets) if record.data.rtype == Rtype::AAAA => IpAddr::from(octets).to_string(),
                _ => Name::from_wire(data).to_string(),
            },
        };
        format!("{owner} {} {} {data}", record.ttl, record.data.rtype)
    });
    (reply.header.aa(), reply.rcode, records.collect())
}

#[tokio::test]
async fn names_have_addresses_and_addresses_names() {
    let (_folder, path) = file(FILE);
    let responder = responder(&format!(
        "hosts {path} example.org {{\n10.0.0.5 inline.example.org a.example.org\nttl 77\n}}"
    ));
    for (name, qtype, expected) in [
        (
            "A.example.org",
            A,
            &["77 A 10.0.0.1", "77 A 10.0.0.2", "77 A 10.0.0.5"][..],
        ),
        ("a.example.org", AAAA, &["77 AAAA fd00::1"]),
        // What the file says of it, which is the star's, and what the Corefile says.
        ("inline.example.org", A, &["77 A 10.0.0.9", "77 A 10.0.0.5"]),
        ("mapped.example.org", A, &["77 A 10.1.1.1"]),
        // What has addresses has nothing else.
        ("b.example.org", AAAA, &[]),
        ("a.example.org", TXT, &[]),
        ("a.example.org", 255, &[]),
        (
            "1.0.0.10.in-addr.arpa",
            PTR,
            &["77 PTR a.example.org.", "77 PTR b.example.org."],
        ),
        (
            "5.0.0.10.in-addr.arpa",
            PTR,
            &["77 PTR inline.example.org.", "77 PTR a.example.org."],
        ),
        ("1.1.1.10.in-addr.arpa", PTR, &["77 PTR mapped.example.org."]),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
            PTR,
            &["77 PTR a.example.org."],
        ),
        // The star stands for one label, in each family by itself.
        ("x.example.org", A, &["77 A 10.0.0.9"]),
        ("*.example.org", A, &["77 A 10.0.0.9"]),
        ("x.example.org", AAAA, &[]),
        ("x.wild.example.org", AAAA, &["77 AAAA fd00::9"]),
        ("x.wild.example.org", A, &[]),
    ] {
        let owner = Name::parse(name).unwrap();
        let expected = expected.iter().map(|record| format!("{owner} {record}")).collect();
        let found = ask(&responder, name, qtype).await;
        assert_eq!(found, (true, OptRcode::NOERROR, expected), "{name} {qtype}");
    }
}

#[tokio::test]
async fn what_it_does_not_have_fails_or_falls_through() {
    let (_folder, path) = file(FILE);
    let options = |options: &str| format!("hosts {path} example.org {{\n{options}\n}}");
    let (next, itself) = ("no next plugin found", "nothing");
    let (none, all) = (options(""), options("fallthrough"));
    let some = options("fallthrough sub.example.org");
    let unsupported = options("fallthrough a.example.org\nfallthrough_unsupported");
    let no_reverse = options("no_reverse");
    for (directive, name, qtype, expected) in [
        (&none, "x.y.example.org", A, itself),
        (&none, "example.org", A, itself),
        (&none, "x.y.example.org", TXT, itself),
        (&none, "elsewhere.net", A, next),
        (&none, "elsewhere.net", TXT, next),
        (&none, "7.0.0.10.in-addr.arpa", PTR, next),
        // The stars have no names, and what has none falls through in any case.
        (&none, "9.0.0.10.in-addr.arpa", PTR, next),
        (&none, "a.example.org", PTR, next),
        (&none, "1.0.0.10.in-addr.arpa", A, next),
        (&no_reverse, "1.0.0.10.in-addr.arpa", PTR, next),
        (&all, "x.y.example.org", A, next),
        (&all, "x.y.example.org", TXT, next),
        (&some, "x.sub.example.org", A, next),
        (&some, "x.y.example.org", A, itself),
        (&unsupported, "a.example.org", TXT, next),
        (&unsupported, "x.y.example.org", TXT, itself),
    ] {
        let lines = Lines::of(&format!("errors\n{directive}"));
        lines.ask(&query(name, qtype)).await;
        let told = lines.rest();
        let expected = match expected {
            "nothing" => String::new(),
            error => format!(
                "[ERROR] plugin/errors: 2 {}. {}: {error}\n",
                name.to_lowercase(),
                Rtype::from_int(qtype)
            ),
        };
        assert_eq!(told, expected, "{directive} {name} {qtype}");
    }
}

#[tokio::test]
async fn a_name_that_fails_is_not_denied() {
    let (_folder, path) = file(FILE);
    let responder = responder(&format!("hosts {path} example.org"));
    let found = ask(&responder, "x.y.example.org", A).await;
    assert_eq!(found, (false, OptRcode::SERVFAIL, vec![]));
}

#[tokio::test]
async fn the_star_alone_stands_for_nothing() {
    let (_folder, path) = file(FILE);
    let responder = responder(&format!("hosts {path} ."));
    for name in ["*", "x", "."] {
        assert_eq!(ask(&responder, name, A).await.1, OptRcode::SERVFAIL, "{name}");
    }
}

/// Questions of any class are taken beside `forward`; answers are of class IN.
#[tokio::test]
async fn any_class_is_answered_where_any_is_taken() {
    let (_folder, path) = file(FILE);
    let responder = responder(&format!("hosts {path}\nforward . 127.0.0.1:1"));
    let mut chaos = query("b.example.org", A);
    *chaos.last_mut().unwrap() = 3;
    let reply = Message::read(&responder.respond(&chaos, UDP).await.unwrap()).unwrap();
    let expected = Record {
        owner: Name::parse("b.example.org").unwrap().as_wire().to_vec(),
        ttl: 3600,
        data: Data::of_address([10, 0, 0, 1].into()),
    };
    assert_eq!(reply.answer, [expected]);
}

/// A `hosts` of this file.
fn hosts(context: &Context, path: &str, options: &str) -> Result<Hosts> {
    let corefile = format!(". {{\nhosts {path} {{\n{options}\n}}\n}}");
    let config = corefile::parse("Corefile".as_ref(), &corefile).unwrap();
    Hosts::new(config.servers[0].hosts.as_ref().unwrap(), context)
}

fn addresses(hosts: &Hosts, name: &str) -> usize {
    let question = Question {
        name: Name::parse(name).unwrap().as_wire().to_vec(),
        qtype: Rtype::A,
        class: domain::base::iana::Class::IN,
    };
    hosts.shared.addresses(&Query::of_question(question), Rtype::A).len()
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_is_read_anew_every_so_often() {
    for (options, seconds) in [("", 5), ("reload 30s", 30)] {
        let (_folder, path) = file("10.0.0.1 a");
        let hosts = hosts(&context(), &path, options).unwrap();
        for port in [53, 54] {
            hosts.start(([127, 0, 0, 1], port).into());
        }
        rewrite(&path, "10.0.0.1 a\n10.0.0.2 a");
        sleep(Duration::from_millis(seconds * 1000 - 100)).await;
        assert_eq!(addresses(&hosts, "a"), 1, "{options}");
        sleep(Duration::from_millis(200)).await;
        assert_eq!(addresses(&hosts, "a"), 2, "{options}");
        let followers = Arc::weak_count(&hosts.shared);
        assert_eq!(followers, 1, "{options}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_left_alone_without_reload() {
    let (_folder, path) = file("10.0.0.1 a");
    let hosts = hosts(&context(), &path, "reload 0s").unwrap();
    hosts.start(([127, 0, 0, 1], 53).into());
    rewrite(&path, "");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(addresses(&hosts, "a"), 1);
}

#[test]
fn a_file_is_another_if_its_time_or_size_is() {
    let (_folder, path) = file("10.0.0.1 a");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let hosts = hosts(&context(), &path, "").unwrap();
    fs::write(&path, "10.0.0.1 b").unwrap();
    set_time(&path, time);
    hosts.shared.refresh().unwrap();
    assert_eq!(addresses(&hosts, "a"), 1, "neither has changed");
    set_time(&path, time + Duration::from_secs(1));
    hosts.shared.refresh().unwrap();
    assert_eq!((addresses(&hosts, "a"), addresses(&hosts, "b")), (0, 1));
    fs::write(&path, "10.0.0.1 long").unwrap();
    set_time(&path, time + Duration::from_secs(1));
    hosts.shared.refresh().unwrap();
    assert_eq!(addresses(&hosts, "long"), 1);
}

#[test]
fn a_file_that_is_gone_stays_in_force_until_it_is_back() {
    let (_folder, path) = file("10.0.0.1 a");
    let hosts = hosts(&context(), &path, "10.0.0.2 a").unwrap();
    fs::remove_file(&path).unwrap();
    assert!(hosts.shared.refresh().is_err());
    assert_eq!(addresses(&hosts, "a"), 2);
    fs::write(&path, "10.0.0.1 something").unwrap();
    hosts.shared.refresh().unwrap();
    assert_eq!((addresses(&hosts, "a"), addresses(&hosts, "something")), (1, 1));
}

#[test]
fn a_file_that_comes_later_is_read() {
    let (folder, path) = file("");
    fs::remove_file(&path).unwrap();
    let hosts = hosts(&context(), &path, "").unwrap();
    assert_eq!(addresses(&hosts, "a"), 0);
    fs::write(folder.path().join("hosts"), "10.0.0.1 a").unwrap();
    hosts.shared.refresh().unwrap();
    assert_eq!(addresses(&hosts, "a"), 1);
}

#[test]
fn a_file_need_not_be_text_nor_a_file() {
    let (folder, path) = file("");
    fs::write(&path, b"10.0.0.1 a\xff\n10.0.0.2 b").unwrap();
    assert_eq!(addresses(&hosts(&context(), &path, "").unwrap(), "b"), 1);
    let folder = folder.path().to_str().unwrap();
    for path in [folder, "/dev/null"] {
        assert_eq!(addresses(&hosts(&context(), path, "10.0.0.1 a").unwrap(), "a"), 1);
    }
}

#[tokio::test]
async fn warns_of_a_file_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let missing = format!("{folder}/hosts");
    for (path, expected) in [
        (
            &*missing,
            format!("[WARNING] plugin/hosts: File does not exist: {missing}\n"),
        ),
        (
            folder,
            format!("[WARNING] plugin/hosts: Hosts file \"{folder}\" is a directory\n"),
        ),
        ("/dev/null", String::new()),
    ] {
        assert_eq!(Lines::of(&format!("hosts {path}")).rest(), expected);
    }
}

#[test]
fn says_so_where_it_cannot_say_whether_there_is_a_file() {
    let (_folder, path) = file("");
    let error = hosts(&context(), &format!("{path}/below"), "").err().unwrap();
    let expected = format!("Corefile:2:1: unable to access hosts file '{path}/below': Not a directory (os error 20)");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn tells_how_many_entries_there_are_and_how_old_they_are() {
    let (_folder, path) = file(FILE);
    set_time(&path, SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500));
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let context = Context { metrics, ..context() };
    let told = |registry: &Registry| {
        let mut text = String::new();
        text::encode(&mut text, registry).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("coredns_hosts_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let missing = hosts(&context, Path::new(&path).with_extension("no").to_str().unwrap(), "").unwrap();
    assert_eq!(told(&registry), ["coredns_hosts_reload_timestamp_seconds 0.0"]);
    responder_in(
        &context,
        &format!("hosts {path} example.org {{\n10.0.0.5 inline.example.org a.example.org\n}}"),
    );
    // As many as CoreDNS counts.
    let expected = [
        format!("coredns_hosts_entries{{hostsfile=\"{path}\"}} 16"),
        "coredns_hosts_reload_timestamp_seconds 1700000000.5".to_owned(),
    ];
    assert_eq!(told(&registry), expected);
    drop(missing);
}

use std::fs;
use std::path::Path;

use domain::base::{Message, ParsedName};
use domain::rdata::AllRecordData;
use tempfile::TempDir;

use super::super::testing::Lines;
use super::*;
use crate::server::query::Transport;
use crate::server::respond::Responder;
use crate::server::testing::*;

/// Of each thing one, all with a TTL of 5.
const ZONE: &str = r#"$TTL 5
@ SOA Ns root 7 1h 2 3 4
 RRSIG SOA 8 1 5 20300101000000 20200101000000 1 z. AAAA
 NS ns
 NS ns.elsewhere.
 RRSIG NS 8 1 5 20300101000000 20200101000000 1 z. AAAB
 MX 10 Mail
 MX 20 mail
 MX 30 mail.elsewhere.
 NSEC alias MX
ns A 10.0.0.1
mail A 10.0.0.2
 AAAA ::2
 RRSIG A 8 2 5 20300101000000 20200101000000 1 z. AAAC
 NSEC wild A
_S._tcp SRV 1 2 80 Mail
svc HTTPS 1 mail port=80
Case A 10.0.0.3
*.wild A 10.0.0.4
 RRSIG A 8 2 5 20300101000000 20200101000000 1 z. AAAD
 CAA 0 issue "ca"
x.ent.wild A 10.0.0.5
x.*.hollow A 10.0.0.6
*.aliases CNAME mail
alias CNAME Mail
 RRSIG CNAME 8 2 5 20300101000000 20200101000000 1 z. AAAE
 NSEC mail CNAME
chain CNAME alias
outward CNAME www.y.
nowhere CNAME no.y.
hollow-alias CNAME txt.y.
lost CNAME x.elsewhere.
apart CNAME no
loop CNAME loop
there CNAME back.y.
within CNAME www.sub
dname DNAME Target
 A 10.0.0.7
x.target A 10.0.0.8
same DNAME same
far DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
sub NS ns.sub
 NS ns
 DS 1 8 2 00
ns.sub A 10.0.0.9
"#;

const OTHER_ZONE: &str = "$TTL 5\n@ SOA ns root 1 2 3 4 5\nwww A 10.1.0.1\ntxt TXT x\nback CNAME there.z.\n";

const SOA: &str = "z. SOA ns.z. root.z. 7 3600 2 3 4";
const NS: &str = "z. NS ns.z. | Authority z. NS ns.elsewhere.";

/// A folder with zone files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// A server with these directives, whose files are in the folder.
fn server(folder: &Path, directives: &str) -> Arc<Responder> {
    responder(&directives.replace("file ", &format!("file {}/", folder.display())))
}

/// The reply to a question such as `a.z A`, or `a.z A DO` with signatures: its code, whether it has authority, its records.
async fn ask(server: &Arc<Responder>, question: &str) -> String {
    let words: Vec<_> = question.split(' ').collect();
    let qtype: Rtype = words[1].parse().unwrap();
    let bits = if words.contains(&"DO") { 0x8000 } else { 0 };
    let bytes = with_opt(query(words[0], qtype.to_int()), 4096, bits, b"");
    match server.respond(&bytes, UDP).await {
        Some(reply) => tell(&reply),
        None => "nothing".to_owned(),
    }
}

fn tell(reply: &[u8]) -> String {
    let message = Message::from_slice(reply).unwrap();
    let aa = if message.header().aa() { " AA" } else { "" };
    let mut told = vec![format!("{}{aa}", message.header().rcode())];
    let records = message.iter().map(Result::unwrap);
    for (record, section) in records.filter(|(record, _)| record.rtype() != Rtype::OPT) {
        let record = record.to_any_record::<AllRecordData<_, ParsedName<_>>>().unwrap();
        let section = match format!("{section:?}").as_str() {
            "Answer" => String::new(),
            other => format!("{other} "),
        };
        told.push(format!("{section}{record}").replace(" 5 IN ", " "));
    }
    told.join(" | ")
}

#[tokio::test]
async fn answers_as_coredns_does() {
    let folder = folder(&[
        ("z", ZONE),
        ("y", OTHER_ZONE),
        ("bare", "@ 5 SOA a b 1 2 3 4 5\n@ 5 NS a.elsewhere."),
    ]);
    let server = server(folder.path(), "file z z\nfile y y\nfile bare bare");
    let mail = "Additional mail.z. A 10.0.0.2 | Additional mail.z. AAAA ::2";
    let nxdomain = format!("NXDOMAIN AA | Authority {SOA}");
    let nodata = format!("NOERROR AA | Authority {SOA}");
    let answer = |records: &str| format!("NOERROR AA | {records} | Authority {NS}");
    let denied = |records: &str| format!("NXDOMAIN AA | {records} | Authority {SOA}");
    for (what, question, expected) in [
        ("a name of the zone, in any letter case", "CASE.z A", answer("case.z. A 10.0.0.3")),
        ("no such name", "no.z A", nxdomain.clone()),
        ("no such type", "case.z AAAA", nodata.clone()),
        ("any type is none", "case.z ANY", nodata.clone()),
        ("SOA", "z SOA", answer(SOA)),
        (
            "NS, with addresses of those in the zone",
            "z NS",
            "NOERROR AA | z. NS ns.z. | z. NS ns.elsewhere. | Additional ns.z. A 10.0.0.1".to_owned(),
        ),
        (
            "addresses, once for each name in the zone",
            "z MX",
            answer("z. MX 10 mail.z. | z. MX 20 mail.z. | z. MX 30 mail.elsewhere.") + " | " + mail,
        ),
        (
            "names of SRV records in their letter case",
            "_s._tcp.z SRV",
            answer("_S._tcp.z. SRV 1 2 80 Mail.z") + " | " + mail,
        ),
        ("HTTPS", "svc.z HTTPS", answer("svc.z. HTTPS 1 mail.z. port=80") + " | " + mail),
        ("a name that leads to longer ones", "_tcp.z A", nodata.clone()),
        ("a wildcard", "a.wild.z A", answer("a.wild.z. A 10.0.0.4")),
        ("a wildcard further up", "a.b.wild.z A", answer("a.b.wild.z. A 10.0.0.4")),
        ("a wildcard without the type", "a.wild.z TXT", nodata.clone()),
        ("a wildcard does not reach below what exists", "a.ent.wild.z A", nxdomain.clone()),
        ("nor below a name with records", "a.x.ent.wild.z A", nxdomain.clone()),
        ("but to what leads to longer names", "ent.wild.z A", answer("ent.wild.z. A 10.0.0.4")),
        ("nor does it stand for its parent", "wild.z A", nodata.clone()),
        ("a wildcard that leads to longer names", "a.hollow.z A", nodata.clone()),
        ("an alias by a wildcard", "a.aliases.z A", answer("a.aliases.z. CNAME mail.z. | mail.z. A 10.0.0.2")),
        ("an alias", "alias.z A", answer("alias.z. CNAME mail.z. | mail.z. A 10.0.0.2")),
        ("the alias itself", "alias.z CNAME", answer("alias.z. CNAME mail.z.")),
        (
            "an alias of an alias",
            "chain.z A",
            answer("chain.z. CNAME alias.z. | alias.z. CNAME mail.z. | mail.z. A 10.0.0.2"),
        ),
        ("an alias without the type", "alias.z TXT", answer("alias.z. CNAME mail.z.")),
        ("an alias to no name", "apart.z A", denied("apart.z. CNAME no.z.")),
        ("to another zone", "outward.z A", answer("outward.z. CNAME www.y. | www.y. A 10.1.0.1")),
        ("to no name of another zone", "nowhere.z A", denied("nowhere.z. CNAME no.y.")),
        (
            "to a name there without the type",
            "hollow-alias.z A",
            format!("NOERROR AA | hollow-alias.z. CNAME txt.y. | Authority {SOA}"),
        ),
        ("to whom nobody knows", "lost.z A", answer("lost.z. CNAME x.elsewhere.")),
        ("a loop", "loop.z A", answer(&["loop.z. CNAME loop.z."; 10].join(" | "))),
        ("DNAME", "x.dname.z A", answer("dname.z. DNAME Target.z. | x.dname.z. CNAME x.Target.z. | x.target.z. A 10.0.0.8")),
        ("DNAME without the name", "y.dname.z A", denied("dname.z. DNAME Target.z. | y.dname.z. CNAME y.Target.z.")),
        ("the alias that DNAME makes", "x.dname.z CNAME", answer("dname.z. DNAME Target.z. | x.dname.z. CNAME x.Target.z.")),
        ("beside DNAME", "dname.z A", answer("dname.z. A 10.0.0.7")),
        (
            "a delegation, with addresses of servers below it",
            "www.sub.z A",
            "NOERROR | Authority sub.z. NS ns.sub.z. | Authority sub.z. NS ns.z. | Additional ns.sub.z. A 10.0.0.9".to_owned(),
        ),
        (
            "the delegation itself",
            "sub.z NS",
            "NOERROR | Authority sub.z. NS ns.sub.z. | Authority sub.z. NS ns.z. | Additional ns.sub.z. A 10.0.0.9".to_owned(),
        ),
        ("its DS record", "sub.z DS", answer("sub.z. DS 1 8 2 00")),
        (
            "an alias below a delegation",
            "within.z A",
            "NOERROR AA | within.z. CNAME www.sub.z. | Authority sub.z. NS ns.sub.z. | Authority sub.z. NS ns.z. | Additional \
             ns.sub.z. A 10.0.0.9"
                .to_owned(),
        ),
        ("a transfer", "z AXFR", "REFUSED".to_owned()),
        ("a transfer of changes", "x.z IXFR", "REFUSED".to_owned()),
        ("another zone, with nobody after", "elsewhere A", "REFUSED".to_owned()),
        (
            "a zone of nothing else denies its name",
            "bare A",
            "NXDOMAIN AA | Authority bare. SOA a.bare. b.bare. 1 2 3 4 5".to_owned(),
        ),
        ("a name that DNAME does not change", "x.same.z A", "SERVFAIL".to_owned()),
    ] {
        assert_eq!(ask(&server, question).await, expected, "{what}");
    }
}

#[tokio::test]
async fn signatures_come_with_what_is_signed() {
    let folder = folder(&[("z", ZONE)]);
    let server = server(folder.path(), "file z z");
    let signature = |owner: &str, rtype: &str, labels: u8, data: &str| {
        format!("{owner} RRSIG {rtype} 8 {labels} 5 1893456000 1577836800 1 z. {data}")
    };
    let soa = format!("{SOA} | Authority {}", signature("z.", "SOA", 1, "AAAA"));
    let ns = format!("{NS} | Authority {}", signature("z.", "NS", 1, "AAAB"));
    let address = format!("mail.z. A 10.0.0.2 | {}", signature("mail.z.", "A", 2, "AAAC"));
    let alias = format!("alias.z. CNAME mail.z. | {}", signature("alias.z.", "CNAME", 2, "AAAE"));
    for (question, expected) in [
        ("mail.z A DO", format!("NOERROR AA | {address} | Authority {ns}")),
        ("mail.z TXT DO", format!("NOERROR AA | Authority {soa} | Authority mail.z. NSEC wild.z. A")),
        (
            "z SOA DO",
            format!("NOERROR AA | {SOA} | {} | Authority {ns}", signature("z.", "SOA", 1, "AAAA")),
        ),
        ("alias.z A DO", format!("NOERROR AA | {alias} | {address} | Authority {ns}")),
        (
            "a.wild.z A DO",
            format!(
                "NOERROR AA | a.wild.z. A 10.0.0.4 | {} | Authority {ns}",
                signature("a.wild.z.", "A", 2, "AAAD")
            ),
        ),
        // Nothing stands between `mail` and this, nor between the zone's name and a wildcard.
        (
            "maim.z A DO",
            format!(
                "NXDOMAIN AA | Authority {soa} | Authority mail.z. NSEC wild.z. A | Authority z. NSEC alias.z. MX"
            ),
        ),
        (
            "www.sub.z A DO",
            "NOERROR | Authority sub.z. NS ns.sub.z. | Authority sub.z. NS ns.z. | Authority sub.z. DS 1 8 2 00 | Additional \
             ns.sub.z. A 10.0.0.9"
                .to_owned(),
        ),
    ] {
        assert_eq!(ask(&server, question).await, expected, "{question}");
    }
}

#[tokio::test]
async fn what_would_be_too_long_a_name_is_told_so() {
    let folder = folder(&[("z", ZONE)]);
    let server = server(folder.path(), "file z z");
    let label = "b".repeat(20);
    let reply = ask(&server, &format!("{label}.far.z A")).await;
    assert!(reply.starts_with("YXDOMAIN AA | far.z. DNAME aaa"), "{reply}");
    let reply = ask(&server, "b.far.z A").await;
    assert!(reply.starts_with("NXDOMAIN AA | far.z. DNAME aaa"), "{reply}");
}

#[tokio::test]
async fn the_longest_zone_counts_and_of_equal_ones_the_last() {
    let zone = |address: &str| format!("$TTL 5\n@ SOA a b 1 2 3 4 5\n* A {address}\n");
    let folder = folder(&[
        ("one", &zone("10.0.0.1")),
        ("two", &zone("10.0.0.2")),
        ("three", &zone("10.0.0.3")),
    ]);
    let server = server(folder.path(), "file one a b.a\nfile two b.a\nfile three x.b.a c");
    for (name, address) in [
        ("x.a", "10.0.0.1"),
        ("y.b.a", "10.0.0.2"),
        ("y.x.b.a", "10.0.0.3"),
        ("y.c", "10.0.0.3"),
    ] {
        let reply = ask(&server, &format!("{name} A")).await;
        assert_eq!(reply, format!("NOERROR AA | {name}. A {address}"));
    }
}

#[tokio::test]
async fn what_does_not_exist_may_fall_through() {
    const REFUSED: u8 = 5;
    let (upstream, _) = script(Transport::Udp, |query| {
        let mut reply = query.to_vec();
        (reply[2], reply[3]) = (0x81, REFUSED);
        vec![reply]
    })
    .await;
    let folder = folder(&[("z", ZONE), ("y", OTHER_ZONE)]);
    let names = ["no.z", "_tcp.z", "case.z", "apart.z", "no.y", "elsewhere"];
    for (options, expected) in [
        (
            "",
            ["NXDOMAIN", "NOERROR", "NOERROR", "NXDOMAIN", "NXDOMAIN", "REFUSED"],
        ),
        // It counts for all files. The alias itself exists.
        (
            "{\nfallthrough\n}",
            ["REFUSED", "REFUSED", "NOERROR", "NOERROR", "REFUSED", "REFUSED"],
        ),
        (
            "{\nfallthrough x.z y\n}",
            ["NXDOMAIN", "NOERROR", "NOERROR", "NXDOMAIN", "REFUSED", "REFUSED"],
        ),
    ] {
        let directives = format!("file z z {options}\nfile y y\nforward . {upstream}");
        let server = server(folder.path(), &directives);
        for (name, code) in names.iter().zip(expected) {
            let reply = ask(&server, &format!("{name} TXT")).await;
            assert_eq!(reply.split(' ').next(), Some(code), "{options} {name}: {reply}");
        }
    }
}

#[tokio::test]
async fn tells_what_it_drops_and_whom_it_misses() {
    let folder = folder(&[("z", ZONE)]);
    let lines = lines(folder.path(), "errors\nfile z z {\nfallthrough\n}");
    let mut notice = query("x.z", 6);
    notice[2] = 0x20;
    assert_eq!(lines.ask(&notice).await, None);
    assert_eq!(
        lines.next(),
        "[INFO] plugin/file: Dropping notify from 127.0.0.1 for z."
    );
    let reply = lines.ask(&query("no.z", 1)).await.unwrap();
    assert_eq!(tell(&reply), "SERVFAIL");
    assert_eq!(
        lines.next(),
        "[ERROR] plugin/errors: 2 no.z. A: plugin/file: no next plugin found"
    );
}

#[test]
fn a_file_that_will_not_do_is_told_at_the_start() {
    let folder = folder(&[
        ("bad", "@ 5 SOA a b 1 2 3 4 5\n\nx 5 A 10.0.0\n"),
        ("headless", "x 5 A 10.0.0.1\n"),
        ("hashed", "@ 5 SOA a b 1 2 3 4 5\n@ 5 NSEC3PARAM 1 0 0 -\n"),
    ]);
    let place = folder.path().display().to_string();
    for (directive, expected) in [
        (
            "file bad z",
            "Corefile:2:1: bad:3: cannot read the data of this A record: ",
        ),
        (
            "file headless z",
            "Corefile:2:1: file \"headless\" has no SOA record for origin z.",
        ),
        (
            "file hashed z",
            "Corefile:2:1: hashed:2: zones with NSEC3 are not supported; sign it with NSEC",
        ),
        (
            "file missing z {\nreload 0\n}",
            "Corefile:2:1: open missing: no such file or directory",
        ),
    ] {
        let corefile = format!(". {{\n{directive}\n}}").replace("file ", &format!("file {place}/"));
        let config = crate::corefile::parse("Corefile".as_ref(), &corefile).unwrap();
        let error = File::new(&config.servers[0].file, &context())
            .err()
            .unwrap()
            .to_string();
        let error = error.replace(&format!("{place}/"), "");
        assert!(error.starts_with(expected), "{directive}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_without_a_file_fails_until_there_is_one() {
    let folder = folder(&[]);
    let path = folder.path().join("z").display().to_string();
    let lines = lines(folder.path(), "file z z {\nreload 10ms\n}");
    assert_eq!(
        lines.next(),
        format!(
            "[WARNING] plugin/file: Failed to open \"open {path}: no such file or directory\": trying again in 10ms"
        )
    );
    assert_eq!(tell(&lines.ask(&query("mail.z", 1)).await.unwrap()), "SERVFAIL");
    lines.start();
    let missing = format!(
        "[ERROR] plugin/file: Failed to open zone \"z.\" in \"{path}\": open {path}: no such file or directory"
    );
    assert_eq!(lines.next(), missing);
    replace(folder.path(), ZONE);
    let loaded = format!("[INFO] plugin/file: Successfully reloaded zone \"z.\" in \"{path}\" with 7 SOA serial");
    assert_eq!(lines.next_but(&missing), loaded);
    let reply = tell(&lines.ask(&query("case.z", 1)).await.unwrap());
    assert!(reply.starts_with("NOERROR AA | case.z. A 10.0.0.3"), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_leaves_the_zone_as_it_was() {
    let folder = folder(&[("z", &zone_of(1, "10.0.0.1"))]);
    let lines = lines(folder.path(), "file z z {\nreload 10ms\n}");
    let address = async || {
        let reply = tell(&lines.ask(&query("a.z", 1)).await.unwrap());
        reply.split(" | ").nth(1).unwrap_or_default().to_owned()
    };
    lines.start();
    replace(folder.path(), &(zone_of(2, "10.0.0.2") + "b 5 A 10.0.0\n"));
    let bad = lines.next();
    let path = folder.path().join("z").display().to_string();
    let expected =
        format!("[ERROR] plugin/file: Parsing zone \"z.\": {path}:4: cannot read the data of this A record: ");
    assert!(bad.starts_with(&expected), "{bad}");
    assert_eq!(address().await, "a.z. A 10.0.0.1");
    replace(folder.path(), &zone_of(2, "10.0.0.3"));
    let loaded = format!("[INFO] plugin/file: Successfully reloaded zone \"z.\" in \"{path}\" with 2 SOA serial");
    assert_eq!(lines.next_but(&bad), loaded);
    assert_eq!(address().await, "a.z. A 10.0.0.3");
}

#[test]
fn a_file_is_read_anew_by_its_serial_or_its_time() {
    let folder = folder(&[("z", &zone_of(1, "10.0.0.1"))]);
    let load = |options: &str| {
        let path = folder.path().join("z");
        let corefile = format!(". {{\nfile {} z {{\n{options}\n}}\n}}", path.display());
        let config = crate::corefile::parse("Corefile".as_ref(), &corefile).unwrap();
        let file = File::new(&config.servers[0].file, &context()).unwrap();
        file.zones[0].clone()
    };
    let (by_serial, by_time) = (load(""), load("reload_by_mtime"));
    let hour = Duration::from_secs(3600);
    let mut time = SystemTime::now();
    let mut look = |serial: u32, address: &str, is_later: bool| {
        replace(folder.path(), &zone_of(serial, address));
        time += if is_later { hour } else { Duration::ZERO };
        let file = fs::File::options().append(true).open(folder.path().join("z")).unwrap();
        file.set_modified(time).unwrap();
        [&by_serial, &by_time].map(|zone| {
            let before = zone.current().unwrap();
            zone.refresh();
            !Arc::ptr_eq(&before, &zone.current().unwrap())
        })
    };
    assert_eq!(look(1, "10.0.0.2", true), [false, true]);
    assert_eq!(look(1, "10.0.0.2", false), [false, false]);
    assert_eq!(look(2, "10.0.0.3", false), [true, false]);
    assert_eq!(look(1, "10.0.0.4", true), [true, true], "any other serial will do");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_looks_at_files_that_nobody_serves_by() {
    let folder = folder(&[("z", ZONE)]);
    let lines = lines(folder.path(), "file z z {\nreload 10ms\n}");
    lines.start();
    fs::remove_file(folder.path().join("z")).unwrap();
    assert!(lines.next().contains("Failed to open zone"));
    // The lines end when the last who may write some is gone.
    let rest = tokio::task::spawn_blocking(move || lines.rest());
    tokio::time::timeout(Duration::from_secs(60), rest)
        .await
        .unwrap()
        .unwrap();
}

/// A server whose lines are read, and whose files are in the folder.
fn lines(folder: &Path, directives: &str) -> Lines {
    Lines::of(&directives.replace("file ", &format!("file {}/", folder.display())))
}

/// A zone of this serial in which `a` has this address.
fn zone_of(serial: u32, address: &str) -> String {
    format!("$TTL 5\n@ SOA ns root {serial} 2 3 4 5\na A {address}\n")
}

/// Puts a file in the place of that of `z.`, which is never there in part.
fn replace(folder: &Path, text: &str) {
    fs::write(folder.join("new"), text).unwrap();
    fs::rename(folder.join("new"), folder.join("z")).unwrap();
}

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::server::query::Transport;
use crate::server::respond::Responder;
use crate::server::testing::*;

/// A server with a cache of these options before an upstream.
fn caching(arguments: &str, options: &str, upstream: SocketAddr) -> Arc<Responder> {
    responder(&format!("cache {arguments} {{\n{options}\n}}\nforward . {upstream}"))
}

/// An upstream's reply with these records, each of a type and with a TTL, in answer and authority. Their data is empty.
fn records(query: &[u8], rcode: u8, answer: &[(u8, u32)], authority: &[(u8, u32)]) -> Vec<u8> {
    let mut reply = query[..].to_vec();
    (reply[2], reply[3]) = (0x81, 0xa0 | rcode);
    (reply[7], reply[9]) = (answer.len() as u8, authority.len() as u8);
    for &(rtype, ttl) in answer.iter().chain(authority) {
        reply.extend([0xc0, 12, 0, rtype, 0, 1]);
        reply.extend(ttl.to_be_bytes());
        reply.extend([0, 0]);
    }
    reply
}

const A: u8 = 1;
const NS: u8 = 2;
const CNAME: u8 = 5;
const SOA: u8 = 6;

async fn ask(responder: &Arc<Responder>, query: &[u8]) -> Message {
    let reply = responder.respond(query, UDP).await.unwrap();
    Message::read(&reply).unwrap()
}

/// The TTLs of a reply's records.
fn ttls(reply: &Message) -> Vec<u32> {
    let sections = [&reply.answer, &reply.authority, &reply.additional];
    let records = sections.into_iter().flatten().filter(|record| !record.is_opt());
    records.map(|record| record.ttl).collect()
}

#[tokio::test]
async fn what_was_replied_is_replied_again() {
    let (upstream, seen) = script(Transport::Udp, |query| vec![records(query, 0, &[(A, 60)], &[])]).await;
    let responder = caching("", "", upstream);
    let first = ask(&responder, &query("WWW.example.com", 1)).await;
    let second = ask(&responder, &query("www.example.com", 1)).await;
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert!(!first.header.aa() && first.header.ra());
    assert!(second.header.aa() && second.header.ra());
    assert_eq!((ttls(&first), ttls(&second)), (vec![60], vec![60]));
    // The names are those of who asked first, the question is not.
    assert_eq!(second.answer[0].owner, first.answer[0].owner);
    assert_eq!(second.question.name, b"\x03www\x07example\x03com\0");
}

#[tokio::test]
async fn questions_are_kept_apart_by_all_that_matters_to_the_answer() {
    let (upstream, seen) = script(Transport::Udp, |query| {
        // The question alone, so that nothing of the OPT record is left.
        let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let mut query = query[..end].to_vec();
        query[11] = 0;
        vec![records(&query, 0, &[(A, 60)], &[])]
    })
    .await;
    let responder = caching("", "", upstream);
    let plain = query("a", 1);
    let mut with_cd = plain.clone();
    with_cd[3] |= 0x10;
    let mut chaos = plain.clone();
    *chaos.last_mut().unwrap() = 3;
    let different = [
        plain.clone(),
        query("b", 1),
        query("a", 28),
        with_cd,
        chaos,
        with_opt(plain.clone(), 1232, 0x8000, b""),
    ];
    for _ in 0..2 {
        for query in &different {
            ask(&responder, query).await;
        }
    }
    // Neither the size of replies nor RD makes a difference.
    ask(&responder, &with_opt(plain.clone(), 4096, 0, b"")).await;
    let mut without_rd = plain;
    without_rd[2] = 0;
    ask(&responder, &without_rd).await;
    let asked: Vec<_> = seen.lock().unwrap().iter().map(|query| query[2..].to_vec()).collect();
    // Records of class IN and type A answer neither class CH nor type AAAA, and are not kept.
    assert_eq!(asked.len(), different.len() + 2, "{asked:02x?}");
    assert!(asked.iter().all(|query| query[1] & 0x20 != 0), "AD is set");
}

#[tokio::test]
async fn what_is_no_whole_answer_is_not_kept() {
    for (what, is_kept, rcode, answer, authority) in [
        ("an answer", true, 0, &[(A, 60)][..], &[][..]),
        ("a denial", true, 3, &[], &[(SOA, 60)]),
        ("a denial without SOA", false, 3, &[], &[]),
        ("no data", true, 0, &[], &[(SOA, 60)]),
        ("nothing at all", true, 0, &[], &[]),
        ("a referral", true, 0, &[], &[(NS, 60)]),
        ("a failure", true, 2, &[], &[]),
        ("not implemented", true, 4, &[], &[]),
        ("a refusal", false, 5, &[], &[]),
        ("aliases that lead nowhere", false, 0, &[(CNAME, 60)], &[]),
        (
            "aliases that lead nowhere, with SOA",
            true,
            0,
            &[(CNAME, 60)],
            &[(SOA, 60)],
        ),
        ("an answer of another type", false, 0, &[(NS, 60)], &[]),
        ("a denial with an answer", false, 3, &[(A, 60)], &[(SOA, 60)]),
    ] {
        let reply = move |query: &[u8]| vec![records(query, rcode, answer, authority)];
        let (upstream, seen) = script(Transport::Udp, reply).await;
        let responder = caching("", "", upstream);
        for _ in 0..2 {
            ask(&responder, &query("a", 1)).await;
        }
        assert_eq!(seen.lock().unwrap().len(), if is_kept { 1 } else { 2 }, "{what}");
    }
    let cut = |query: &[u8]| {
        let mut reply = records(query, 0, &[(A, 60)], &[]);
        reply[2] |= 2;
        vec![reply]
    };
    let (upstream, seen) = script(Transport::Udp, cut).await;
    let responder = caching("", "", upstream);
    for _ in 0..2 {
        ask(&responder, &query("a", 1)).await;
    }
    assert_eq!(seen.lock().unwrap().len(), 2, "a cut one");
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not() {
    for (arguments, options, name, rcode, is_kept) in [
        ("", "disable success", "a.example", 0, false),
        ("", "disable denial", "a.example", 0, true),
        ("", "disable denial", "a.example", 3, false),
        ("", "disable success b.example", "a.example", 0, true),
        ("", "disable success b.example", "a.b.example", 0, false),
        ("", "servfail 0", "a.example", 2, false),
        ("", "servfail 5m", "a.example", 2, true),
        ("b.example", "", "a.example", 0, false),
        ("b.example", "", "a.b.example", 0, true),
    ] {
        let reply = move |query: &[u8]| match rcode {
            0 => vec![records(query, 0, &[(A, 60)], &[])],
            rcode => vec![records(query, rcode, &[], &[(SOA, 60)])],
        };
        let (upstream, seen) = script(Transport::Udp, reply).await;
        let responder = caching(arguments, options, upstream);
        for _ in 0..2 {
            ask(&responder, &query(name, 1)).await;
        }
        let asked = seen.lock().unwrap().len();
        assert_eq!(asked == 1, is_kept, "{arguments} {options} {name} {rcode}");
    }
}

#[tokio::test]
async fn all_records_get_the_lowest_ttl_within_limits() {
    for (arguments, options, rcode, answer, authority, expected) in [
        ("30", "", 0, &[(A, 60), (A, 90)][..], &[][..], 30),
        ("30", "", 0, &[(A, 9), (A, 60)], &[], 9),
        ("30", "", 0, &[(A, 1), (A, 60)], &[], 5),
        ("", "", 0, &[(A, 7200)], &[], 3600),
        ("", "", 3, &[], &[(SOA, 7200)], 1800),
        ("", "success 100 20 6\ndenial 100 10 7", 0, &[(A, 60)], &[], 20),
        ("", "success 100 20 6\ndenial 100 10 7", 0, &[(A, 1)], &[], 6),
        ("", "success 100 20 6\ndenial 100 10 7", 3, &[], &[(SOA, 60)], 10),
        ("", "success 100 20 6\ndenial 100 10 7", 3, &[], &[(SOA, 1)], 7),
        ("", "success 100 20 0", 0, &[(A, 0)], &[], 0),
        ("", "denial 100 10", 0, &[(CNAME, 60)], &[(SOA, 60)], 10),
        ("", "denial 100 10", 3, &[(CNAME, 60)], &[(SOA, 60)], 5),
        ("", "denial 100 10", 0, &[], &[(NS, 60)], 5),
        ("", "denial 100 10", 2, &[], &[(SOA, 60)], 5),
        ("", "servfail 17s", 2, &[], &[(SOA, 60)], 17),
        ("", "", 5, &[], &[(SOA, 60)], 5),
    ] {
        let reply = move |query: &[u8]| vec![records(query, rcode, answer, authority)];
        let (upstream, _) = script(Transport::Udp, reply).await;
        let reply = ask(&caching(arguments, options, upstream), &query("a", 1)).await;
        assert!(
            ttls(&reply).iter().all(|ttl| *ttl == expected),
            "{arguments} {options} {reply:?}"
        );
        assert!(!ttls(&reply).is_empty());
    }
}

/// Makes time pass, for caches.
async fn wait(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test]
async fn ttls_count_down_to_the_end_unless_they_are_kept() {
    for (options, second, asked) in [("", 1, 2), ("keepttl", 2, 2)] {
        let (upstream, seen) = script(Transport::Udp, |query| vec![records(query, 0, &[(A, 2)], &[])]).await;
        let responder = caching("", &format!("success 100 60 2\n{options}"), upstream);
        assert_eq!(ttls(&ask(&responder, &query("a", 1)).await), [2]);
        wait(1.1).await;
        assert_eq!(ttls(&ask(&responder, &query("a", 1)).await), [second], "{options}");
        wait(1.0).await;
        assert_eq!(ttls(&ask(&responder, &query("a", 1)).await), [2], "{options}");
        assert_eq!(seen.lock().unwrap().len(), asked, "{options}");
    }
}

#[tokio::test]
async fn room_is_made_for_what_is_new() {
    let (upstream, seen) = script(Transport::Udp, |query| vec![records(query, 0, &[(A, 60)], &[])]).await;
    let responder = caching("", "success 10", upstream);
    for _ in 0..2 {
        for number in 0..100 {
            ask(&responder, &query(&format!("n{number}"), 1)).await;
        }
    }
    assert!(seen.lock().unwrap().len() > 150);
}

#[tokio::test]
async fn what_is_asked_for_often_is_renewed_before_its_end() {
    let (upstream, seen) = script(Transport::Tcp, |query| vec![records(query, 0, &[(A, 2)], &[])]).await;
    let responder = responder(&format!(
        "cache {{\nsuccess 100 60 2\nprefetch 2 1m 50%\n}}\nforward . {upstream} {{\nforce_tcp\n}}"
    ));
    let count = || seen.lock().unwrap().len();
    ask(&responder, &query("often", 1)).await;
    wait(1.1).await;
    ask(&responder, &query("often", 1)).await;
    assert_eq!(count(), 1, "one hit is not often");
    ask(&responder, &query("often", 1)).await;
    while count() < 2 {
        wait(0.01).await;
    }
    wait(0.1).await;
    assert_eq!(ttls(&ask(&responder, &query("often", 1)).await), [2]);
}

/// An upstream over both transports that replies with the code that it is set to, an answer if that is 0; with 255 it is silent.
async fn variable() -> (SocketAddr, Arc<AtomicU32>) {
    let rcode = Arc::new(AtomicU32::new(0));
    let code = rcode.clone();
    let (address, _) = script(Transport::Tcp, move |query| match code.load(Ordering::Relaxed) {
        0 => vec![records(query, 0, &[(A, 1)], &[])],
        255 => vec![],
        rcode => vec![records(query, rcode as u8, &[], &[(SOA, 60)])],
    })
    .await;
    (address, rcode)
}

fn stale(arguments: &str, upstream: SocketAddr) -> Arc<Responder> {
    responder(&format!(
        "cache {{\nsuccess 100 60 1\nserve_stale {arguments}\n}}\n\
         forward . {upstream} {{\nforce_tcp\nread_timeout 300ms\nmax_connect_attempts 1\n}}"
    ))
}

#[tokio::test]
async fn stale_replies_are_better_than_none() {
    for (arguments, becomes, rcode, ttl) in [
        // Without `serve_stale` see above. At once, whatever the upstream says.
        ("1h", 2, OptRcode::NOERROR, 0),
        ("1h immediate", 3, OptRcode::NOERROR, 0),
        ("1h immediate 7s", 255, OptRcode::NOERROR, 7),
        // After it was asked.
        ("1h verify", 2, OptRcode::NOERROR, 0),
        ("1h verify", 3, OptRcode::NXDOMAIN, 60),
        ("1h verify", 255, OptRcode::NOERROR, 0),
        ("1h verify 50ms 8s", 255, OptRcode::NOERROR, 8),
        ("1h verify 1s", 3, OptRcode::NXDOMAIN, 60),
        ("0s", 3, OptRcode::NXDOMAIN, 60),
        ("1h verify\nserve_stale_policy prefer_positive", 3, OptRcode::NOERROR, 0),
    ] {
        let (upstream, code) = variable().await;
        let responder = stale(arguments, upstream);
        assert_eq!(ttls(&ask(&responder, &query("a", 1)).await), [1]);
        code.store(becomes, Ordering::Relaxed);
        wait(1.1).await;
        let reply = ask(&responder, &query("a", 1)).await;
        assert_eq!((reply.rcode, ttls(&reply)), (rcode, vec![ttl]), "{arguments} {becomes}");
    }
}

#[tokio::test]
async fn a_stale_reply_is_renewed_beside_its_use() {
    let (upstream, code) = variable().await;
    let responder = stale("1h", upstream);
    ask(&responder, &query("a", 1)).await;
    wait(1.1).await;
    code.store(3, Ordering::Relaxed);
    assert_eq!(ask(&responder, &query("a", 1)).await.rcode, OptRcode::NOERROR);
    wait(0.2).await;
    assert_eq!(ask(&responder, &query("a", 1)).await.rcode, OptRcode::NXDOMAIN);
}

#[tokio::test]
async fn an_upstreams_opt_record_goes_and_ad_is_for_those_who_asked_for_it() {
    let (upstream, _) = script(Transport::Udp, |query| {
        let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let mut query = query[..end].to_vec();
        query[11] = 0;
        vec![with_opt(
            records(&query, 0, &[(A, 60)], &[]),
            1232,
            0x8000,
            b"\0\x03\0\x02id",
        )]
    })
    .await;
    let responder = caching("", "", upstream);
    let plain = query("a", 1);
    let mut with_ad = plain.clone();
    with_ad[3] |= 0x20;
    for (query, expected) in [
        (plain.clone(), false),
        (with_ad, true),
        (with_opt(plain.clone(), 1232, 0x8000, b""), true),
        (with_opt(plain, 1232, 0x4000, b""), false),
    ] {
        for _ in 0..2 {
            let reply = ask(&responder, &query).await;
            assert_eq!(reply.header.ad(), expected, "{query:02x?}");
            let options = reply.opt().map(|opt| opt.data.as_bytes().len());
            assert!(options.is_none_or(|len| len == 0), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn what_the_agent_knows_is_never_kept() {
    let context = context();
    let responder = responder_in(&context, "cache\nkubernetes cluster.local");
    let asked = query("web.default.svc.cluster.local", 1);
    assert_eq!(
        ask(&responder, &asked).await.rcode,
        OptRcode::SERVFAIL,
        "it is not synced"
    );
    crate::zone::testing::sync(&mut context.zones.write().unwrap(), Vec::new());
    assert_eq!(ask(&responder, &asked).await.rcode, OptRcode::NXDOMAIN);
}

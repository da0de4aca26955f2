use std::collections::HashSet;
use std::net::SocketAddr;

use super::*;
use crate::server::message::MAX_LEN;
use crate::server::query::Client;
use crate::server::testing::*;

/// What `forward` to these upstreams, with these options, makes of a query; the reply as it comes, or the code and the error.
async fn ask(
    upstreams: &[SocketAddr],
    options: &str,
    query: &[u8],
    transport: Transport,
) -> Result<Vec<u8>, (OptRcode, String)> {
    let upstreams: Vec<_> = upstreams.iter().map(SocketAddr::to_string).collect();
    ask_block(
        &format!("forward . {} {{\n{options}\n}}", upstreams.join(" ")),
        query,
        transport,
    )
    .await
}

async fn ask_block(directives: &str, query: &[u8], transport: Transport) -> Result<Vec<u8>, (OptRcode, String)> {
    let query = Query::read(query, Client { transport, ..UDP }).unwrap();
    match responder(directives).ask(&query).await {
        Outcome::Reply(reply) => Ok(reply.message.write(MAX_LEN)),
        Outcome::Failure(failure) => Err((failure.rcode, failure.error.unwrap_or_default())),
        Outcome::Silence => panic!("silence"),
    }
}

async fn ask_one(address: SocketAddr, query: &[u8], transport: Transport) -> Result<Vec<u8>, (OptRcode, String)> {
    ask(&[address], "", query, transport).await
}

/// What is sent for a strange reply.
fn strange(query: &[u8]) -> Vec<u8> {
    Message::read(&strange_reply(query)).unwrap().write(MAX_LEN)
}

/// An upstream that replies with a code of its own.
async fn coded(rcode: u8) -> SocketAddr {
    let reply = move |query: &[u8]| {
        let mut reply = query.to_vec();
        (reply[2], reply[3]) = (0x81, rcode);
        vec![reply]
    };
    script(Transport::Udp, reply).await.0
}

/// The response code of a reply.
fn code(reply: &[u8]) -> u8 {
    reply[3] & 0xf
}

#[tokio::test]
async fn passes_query_and_reply_on_unchanged_but_for_their_ids() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (address, seen) = script(transport, |query| vec![strange_reply(query)]).await;
        let query = with_opt(
            query("WWW.Example.com", 65),
            4096,
            0x8000,
            b"\x00\x08\x00\x04\0\x01\0\0",
        );
        let reply = ask_one(address, &query, transport).await.unwrap();
        assert_eq!(reply, strange(&query), "{transport:?}");
        let asked = seen.lock().unwrap().remove(0);
        assert_eq!(asked[2..], query[2..], "{transport:?}");
    }
}

#[tokio::test]
async fn asks_what_was_understood() {
    let (address, seen) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
    let plain = query("a", 1);
    let pointer = [&plain[..12], b"\xc0\x12\0\x01\0\x01\x01a\0"].concat();
    let missing = [&plain[..11], &[1], &plain[12..]].concat();
    let trailing = [&plain[..], b"trailing bytes"].concat();
    let signed = [&missing[..], b"\0\0\xfa\0\xff\0\0\0\0\0\0"].concat();
    for odd in [pointer, missing, trailing, signed] {
        ask_one(address, &odd, Transport::Udp).await.unwrap();
        assert_eq!(seen.lock().unwrap().remove(0)[2..], plain[2..], "{odd:02x?}");
    }
}

#[tokio::test]
async fn asks_under_ids_of_its_own() {
    let (address, seen) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
    for _ in 0..4 {
        ask_one(address, &query("example.com", 1), Transport::Udp)
            .await
            .unwrap();
    }
    let ids: HashSet<_> = seen.lock().unwrap().iter().map(|query| query[..2].to_vec()).collect();
    assert!(ids.len() > 1, "{ids:?}");
}

#[tokio::test]
async fn ignores_what_comes_under_another_id() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (address, _) = script(transport, |asked| {
            let mut other_id = strange_reply(asked);
            other_id[0] ^= 1;
            vec![b"noise".to_vec(), asked[..11].to_vec(), other_id, strange_reply(asked)]
        })
        .await;
        let query = query("example.com", 1);
        let reply = ask_one(address, &query, transport).await.unwrap();
        assert_eq!(reply, strange(&query), "{transport:?}");
    }
}

#[tokio::test]
async fn a_wrong_reply_becomes_formerr() {
    let asked = query("example.com", 1);
    let formerr = [&asked[..2], &[0x81, 1], &asked[4..]].concat();
    let change = |at: usize, byte: u8| {
        move |query: &[u8]| {
            let mut reply = strange_reply(query);
            reply[at] = byte;
            vec![reply]
        }
    };
    for (what, (address, _)) in [
        ("a query", script(Transport::Udp, |query| vec![query.to_vec()]).await),
        ("another name", script(Transport::Udp, change(13, b'x')).await),
        ("another type", script(Transport::Udp, change(26, 28)).await),
        ("another class", script(Transport::Udp, change(28, 3)).await),
        (
            "no question",
            script(Transport::Udp, |query| vec![bare_reply(query, 0x82)]).await,
        ),
        (
            "a header",
            script(Transport::Udp, |query| vec![strange_reply(query)[..12].to_vec()]).await,
        ),
    ] {
        assert_eq!(
            ask_one(address, &asked, Transport::Udp).await.unwrap(),
            formerr,
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_cut_reply_is_truncated_over_udp_and_a_failure_over_tcp() {
    let cut = |query: &[u8]| {
        let reply = strange_reply(query);
        vec![reply[..reply.len() - b" trailing bytes".len() - 1].to_vec()]
    };
    let query = query("example.com", 1);
    let (address, _) = script(Transport::Udp, cut).await;
    let truncated = [&query[..2], &[0x87, 0xf0], &query[4..]].concat();
    assert_eq!(ask_one(address, &query, Transport::Udp).await.unwrap(), truncated);
    let (address, _) = script(Transport::Tcp, cut).await;
    let (rcode, _) = ask_one(address, &query, Transport::Tcp).await.unwrap_err();
    assert_eq!(rcode, OptRcode::SERVFAIL);
}

#[tokio::test]
async fn goes_on_to_the_next_upstream_when_one_is_silent_or_refuses() {
    let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
    let (good, _) = script(Transport::Udp, |query| vec![strange_reply(query)]).await;
    let query = query("example.com", 1);
    for first in [silent, closed_port()] {
        let reply = ask(&[first, good], "policy sequential", &query, Transport::Udp).await;
        assert_eq!(reply.unwrap(), strange(&query));
    }
    assert_eq!(
        seen.lock()
            .unwrap()
            .iter()
            .filter(|seen| seen[2..] == query[2..])
            .count(),
        1
    );
}

#[tokio::test]
async fn fails_when_every_upstream_has_failed_twice_and_says_why() {
    let closed = closed_port();
    let query = query("example.com", 1);
    let refused = [
        (Transport::Udp, format!("->{closed}: read: connection refused")),
        (
            Transport::Tcp,
            format!("dial tcp {closed}: connect: connection refused"),
        ),
    ];
    for (transport, expected) in refused {
        let (rcode, error) = ask_one(closed, &query, transport).await.unwrap_err();
        assert_eq!(rcode, OptRcode::SERVFAIL);
        assert!(error.ends_with(&expected), "{error}");
    }
    let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
    let (rcode, error) = ask(&[silent], "max_fails 0\nread_timeout 50ms", &query, Transport::Udp)
        .await
        .unwrap_err();
    assert_eq!(rcode, OptRcode::SERVFAIL);
    assert!(
        error.starts_with("read udp 127.0.0.1:") && error.ends_with(&format!("->{silent}: i/o timeout")),
        "{error}"
    );
    assert_eq!(seen.lock().unwrap().len(), ROUNDS);
}

#[tokio::test]
async fn tries_as_often_as_it_is_told() {
    for (attempts, expected) in [(1, 1), (3, 3)] {
        let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
        let options = format!("max_fails 0\nread_timeout 20ms\nmax_connect_attempts {attempts}");
        ask(&[silent], &options, &query("a", 1), Transport::Udp)
            .await
            .unwrap_err();
        assert_eq!(seen.lock().unwrap().len(), expected);
    }
}

#[tokio::test]
async fn asks_over_what_it_is_told() {
    for (options, client, asked) in [
        ("force_tcp", Transport::Udp, Transport::Tcp),
        ("prefer_udp", Transport::Tcp, Transport::Udp),
        ("force_tcp\nprefer_udp", Transport::Udp, Transport::Tcp),
    ] {
        let (address, seen) = script(asked, |query| vec![strange_reply(query)]).await;
        // What is cut comes over TCP as well, where nobody listens.
        let options = format!("{options}\nmax_connect_attempts 1\nmax_fails 0");
        let _ = ask(&[address], &options, &query("a", 1), client).await;
        assert_eq!(seen.lock().unwrap().len(), 1, "{options}");
    }
}

#[tokio::test]
async fn a_policy_says_who_is_first() {
    let upstreams = [coded(3).await, coded(4).await, coded(5).await];
    let list = upstreams.map(|address| address.to_string()).join(" ");
    for (policy, orders) in [
        ("sequential", &[vec![3, 3, 3, 3]][..]),
        ("round_robin", &[vec![4, 5, 3, 4]]),
    ] {
        let responder = responder(&format!("forward . {list} {{\npolicy {policy}\n}}"));
        let mut found = Vec::new();
        for _ in 0..4 {
            let reply = responder.respond(&query("a", 1), UDP).await.unwrap();
            found.push(code(&reply));
        }
        assert!(orders.contains(&found), "{policy} {found:?}");
    }
    let responder = responder(&format!("forward . {list}"));
    let mut found = HashSet::new();
    for _ in 0..100 {
        found.insert(code(&responder.respond(&query("a", 1), UDP).await.unwrap()));
    }
    assert_eq!(found.len(), 3);
}

#[tokio::test]
async fn a_code_may_make_it_ask_another_upstream_or_another_forward() {
    let [refusing, denying, good] = [coded(5).await, coded(3).await, coded(0).await];
    for (directives, expected) in [
        (format!("forward . {refusing} {good} {{\npolicy sequential\n}}"), 5),
        (
            format!("forward . {refusing} {good} {{\npolicy sequential\nfailover refused\n}}"),
            0,
        ),
        // The last reply is taken whatever it says.
        (
            format!("forward . {refusing} {refusing} {denying} {{\npolicy sequential\nfailover REFUSED NXDOMAIN\n}}"),
            3,
        ),
        (
            format!("forward . {denying} {{\nnext NXDOMAIN\n}}\nforward . {good}"),
            0,
        ),
        (
            format!("forward . {denying} {{\nnext SERVFAIL\n}}\nforward . {good}"),
            3,
        ),
        (format!("forward . {denying} {{\nnext NXDOMAIN\n}}"), 3),
        (
            format!("forward . {good} {{\nnext_on_nodata\n}}\nforward . {denying}"),
            3,
        ),
        (
            format!("forward . {denying} {{\nnext_on_nodata\n}}\nforward . {good}"),
            3,
        ),
    ] {
        let reply = ask_block(&directives, &query("a", 1), Transport::Udp).await.unwrap();
        assert_eq!(code(&reply), expected, "{directives}");
    }
}

#[tokio::test]
async fn names_that_are_excepted_go_to_the_next_forward() {
    let [all, own] = [coded(3).await, coded(4).await];
    let directives =
        format!("forward example.com {own} {{\nexcept internal.example.com example.com\n}}\nforward . {all}");
    for (name, expected) in [
        ("example.com", 4),
        ("internal.example.com", 3),
        ("badexample.com", 3),
        (".", 3),
    ] {
        let reply = ask_block(&directives, &query(name, 1), Transport::Udp).await.unwrap();
        assert_eq!(code(&reply), expected, "{name}");
    }
}

#[tokio::test]
async fn a_slow_upstream_is_helped_by_another_unless_their_order_counts() {
    for (policy, is_helped) in [("round_robin", true), ("sequential", false)] {
        let (silent, _) = script(Transport::Udp, |_| vec![]).await;
        let good = coded(0).await;
        // In turns the second is the first one to be asked.
        let order = match policy {
            "sequential" => format!("{silent} {good}"),
            _ => format!("{good} {silent}"),
        };
        let begun = Instant::now();
        let directives = format!("forward . {order} {{\npolicy {policy}\nread_timeout 1s\n}}");
        ask_block(&directives, &query("a", 1), Transport::Udp).await.unwrap();
        assert_eq!(begun.elapsed() < Duration::from_secs(1), is_helped, "{policy}");
    }
}

#[tokio::test]
async fn what_is_too_much_at_a_time_is_refused() {
    let (silent, seen) = script(Transport::Udp, |_| vec![]).await;
    let responder = responder(&format!("forward . {silent} {{\nmax_concurrent 2\n}}"));
    let asked = Query::read(&query("a", 1), UDP).unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (responder, asked) = (responder.clone(), asked.clone());
            tokio::spawn(async move { responder.ask(&asked).await })
        })
        .collect();
    while seen.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    let Outcome::Failure(failure) = responder.ask(&asked).await else {
        panic!("it is not refused")
    };
    assert_eq!(failure.rcode, OptRcode::REFUSED);
    assert_eq!(failure.error.unwrap(), "concurrent queries exceeded maximum 2");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    for waiting in waiting {
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    }
    assert!(matches!(
        responder.respond_at_once(&query("a", 1), UDP),
        crate::server::respond::Response::Later(_)
    ));
}

#[tokio::test]
async fn an_upstream_that_fails_is_checked_and_passed_over_until_it_replies() {
    let is_well = Arc::new(AtomicBool::new(false));
    let well = is_well.clone();
    let (address, seen) = script(Transport::Udp, move |query| match well.load(Ordering::Relaxed) {
        true => vec![strange_reply(query)],
        false => vec![],
    })
    .await;
    let responder = responder(&format!(
        "forward . {address} {{\nmax_fails 1\nhealth_check 100ms no_rec domain check.example\nread_timeout 20ms\n\
         failfast_all_unhealthy_upstreams\n}}"
    ));
    let asked = Query::read(&query("a", 1), UDP).unwrap();
    let failure = async || match responder.ask(&asked).await {
        Outcome::Failure(failure) => failure.error,
        _ => None,
    };
    let begun = Instant::now();
    while failure().await.is_some_and(|error| error != "no healthy proxies") {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is never down");
    }
    let check = query("check.example", 2);
    let is_check = |seen: &Vec<u8>| seen[4..] == check[4..] && seen[2] == 0;
    let checks = seen.lock().unwrap().iter().filter(|seen| is_check(seen)).count();
    assert!((2..20).contains(&checks), "{checks}");
    is_well.store(true, Ordering::Relaxed);
    while failure().await.is_some() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays down");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn connections_are_used_again_unless_they_are_not_to_be() {
    for (options, connections) in [("", 1), ("expire 0s", 3), ("max_idle_conns 1", 1)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    let mut messages = crate::server::tcp::frame(stream);
                    while let Some(Ok(query)) = messages.next().await {
                        let reply = bytes::Bytes::from(strange_reply(&query));
                        futures::SinkExt::send(&mut messages, reply).await.unwrap();
                    }
                });
            }
        });
        let responder = responder(&format!("forward . {address} {{\nforce_tcp\n{options}\n}}"));
        for _ in 0..3 {
            responder.respond(&query("a", 1), UDP).await.unwrap();
            // Nothing that was idle for less than an instant is expired.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(accepted.load(Ordering::Relaxed), connections, "{options}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_is_no_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut messages = crate::server::tcp::frame(stream);
            let Some(Ok(query)) = messages.next().await else {
                continue;
            };
            let reply = bytes::Bytes::from(strange_reply(&query));
            futures::SinkExt::send(&mut messages, reply).await.unwrap();
        }
    });
    let responder = responder(&format!(
        "forward . {address} {{\nforce_tcp\nmax_connect_attempts 1\n}}"
    ));
    for _ in 0..5 {
        let query = query("a", 1);
        assert_eq!(responder.respond(&query, UDP).await.unwrap(), strange(&query));
    }
}

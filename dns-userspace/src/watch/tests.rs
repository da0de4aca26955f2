//! One kind's list and watch, over a server that gives prepared replies.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::cluster::object::{Object, Reach};

#[tokio::test]
async fn a_streamed_list_goes_over_into_a_watch() {
    let mut fake = FakeServer::start([
        stream(&[
            changed("ADDED", "web", "10.0.0.1", "5"),
            changed("ADDED", "other", "10.0.0.2", "6"),
            end_of_list("7"),
            changed("ADDED", "new", "10.0.0.3", "8"),
            bookmark("9"),
            changed("MODIFIED", "web", "10.0.0.4", "10"),
            changed("DELETED", "other", "10.0.0.2", "11"),
        ]),
        stream(&[]),
    ])
    .await;
    fake.expect(&["+web 10.0.0.1", "+other 10.0.0.2", "=other web"]).await;
    fake.expect(&["+new 10.0.0.3", "+web 10.0.0.4", "-other"]).await;
    let requests = fake.await_requests(2).await;
    let asked = |number: usize, words: &[&str]| {
        let request: &String = &requests[number];
        let path = request.starts_with("GET /api/v1/services?watch=true&allowWatchBookmarks=true&");
        assert!(path && words.iter().all(|word| request.contains(word)), "{requests:?}");
    };
    asked(
        0,
        &[
            "sendInitialEvents=true",
            "resourceVersionMatch=NotOlderThan",
            "timeoutSeconds=",
        ],
    );
    asked(1, &["resourceVersion=11"]);
}

#[tokio::test]
async fn lists_in_pages_where_the_server_streams_no_lists() {
    let refused = status("422 Unprocessable Entity", 422, "sendInitialEvents is forbidden");
    let mut fake = FakeServer::start([
        refused,
        list("", &[("web", "10.0.0.1")], "next"),
        list("7", &[("other", "10.0.0.2")], ""),
        stream(&[changed("ADDED", "new", "10.0.0.3", "8")]),
    ])
    .await;
    fake.expect(&["+web 10.0.0.1", "+other 10.0.0.2", "=other web", "+new 10.0.0.3"])
        .await;
    let requests = fake.await_requests(4).await;
    assert!(
        requests[1].starts_with("GET /api/v1/services?limit=500 "),
        "{requests:?}"
    );
    assert!(requests[2].contains("continue=next"), "{requests:?}");
    assert!(requests[3].contains("resourceVersion=7"), "{requests:?}");
}

#[tokio::test]
async fn resumes_a_watch_that_ends_where_it_was_and_knows_bookmarks() {
    let mut fake = FakeServer::start([
        stream(&[end_of_list("7"), bookmark("8")]),
        stream(&[changed("ADDED", "web", "10.0.0.1", "9")]),
        stream(&[]),
    ])
    .await;
    fake.expect(&["=", "+web 10.0.0.1"]).await;
    let requests = fake.await_requests(3).await;
    assert!(requests[1].contains("resourceVersion=8&"), "{requests:?}");
    assert!(requests[2].contains("resourceVersion=9&"), "{requests:?}");
}

#[tokio::test]
async fn lists_anew_when_the_server_has_forgotten_where_it_was() {
    let gone =
        json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}});
    for forgotten in [stream(&[gone]), status("410 Gone", 410, "too old")] {
        let mut fake = FakeServer::start([
            stream(&[changed("ADDED", "web", "10.0.0.1", "6"), end_of_list("7")]),
            forgotten,
            stream(&[changed("ADDED", "other", "10.0.0.2", "8"), end_of_list("9")]),
        ])
        .await;
        fake.expect(&["+web 10.0.0.1", "=web", "+other 10.0.0.2", "=other"])
            .await;
    }
}

#[tokio::test]
async fn goes_on_trying_a_server_that_refuses_or_hangs_up_and_tells_how_stale_its_objects_are() {
    for failure in [
        status("403 Forbidden", 403, "services is forbidden"),
        hang_up(),
        // A list that ends before its end.
        stream(&[changed("ADDED", "old", "10.0.0.9", "5")]),
    ] {
        let cut = failure.body.len() == 1 && failure.status.starts_with("200");
        let answers = stream(&[changed("ADDED", "web", "10.0.0.1", "6"), end_of_list("7")]);
        let mut fake = FakeServer::start([failure, answers]).await;
        if cut {
            fake.expect(&["+old 10.0.0.9"]).await;
        }
        fake.await_requests(1).await;
        fake.expect(&["+web 10.0.0.1", "=web"]).await;
    }
}

#[tokio::test]
async fn nonsense_is_left_out_by_itself() {
    let mut odd = changed("ADDED", "odd", "10.0.0.2", "6");
    odd["object"]["spec"] = json!([5]);
    let nameless = json!({"type": "ADDED", "object": {"metadata": 5}});
    let bad = changed("ADDED", "bad", "10.0.0.300", "7");
    let mut fake = FakeServer::start([stream(&[
        changed("ADDED", "web", "10.0.0.1", "5"),
        odd,
        nameless,
        bad,
        end_of_list("7"),
    ])])
    .await;
    // What makes no sense exists all the same, so that what was known of it stays.
    fake.expect(&["+web 10.0.0.1", "+bad ", "=bad odd web"]).await;
    assert_eq!(fake.metrics.skipped(Kind::Service), 3);
}

#[tokio::test]
async fn a_fresh_list_only_repeats_what_was_told_and_says_so() {
    let mut fake = FakeServer::with_reconciliation(
        Duration::from_millis(100),
        [
            open_stream(&[
                changed("ADDED", "web", "10.0.0.1", "6"),
                end_of_list("7"),
                bookmark("9"),
            ]),
            open_stream(&[
                changed("ADDED", "web", "10.0.0.1", "6"),
                changed("ADDED", "lost", "10.0.0.2", "8"),
                changed("ADDED", "fresh", "10.0.0.3", "10"),
                end_of_list("11"),
            ]),
        ],
    )
    .await;
    fake.expect(&["+web 10.0.0.1", "=web"]).await;
    let mut known = Vec::new();
    for _ in 0..4 {
        known.push(fake.next().await.known);
    }
    assert_eq!(known, [true, true, false, true]);
}

#[tokio::test]
async fn a_fresh_list_is_due_however_often_the_server_ends_the_watch() {
    let ended = [stream(&[end_of_list("7")])]
        .into_iter()
        .chain((0..7).map(|_| stream(&[])));
    let fake = FakeServer::with_reconciliation(Duration::from_millis(600), ended).await;
    let lists = |requests: &[String]| requests.iter().filter(|it| it.contains("sendInitialEvents")).count();
    let requests = fake.await_requests(6).await;
    assert!(lists(&requests) > 1, "{requests:#?}");
}

#[tokio::test]
async fn names_the_server_that_cannot_be_reached_and_the_cause() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = client(&endpoint(address)).await.unwrap();
    let error = server.client.send(http_request()).await.unwrap_err();
    let mut outage = Outage::new(server.url);
    let line = outage
        .fail(Kind::Service, &Failure::List(error), Instant::now())
        .unwrap();
    assert!(
        line.starts_with(&format!("API server http://{address}: cannot list Services: ")),
        "{line}"
    );
    assert!(
        line.contains(": Connection refused (os error 111); trying again"),
        "{line}"
    );
}

#[tokio::test]
async fn follows_every_kind_until_it_is_told_to_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = client(&endpoint(listener.local_addr().unwrap())).await.unwrap();
    let requests = Arc::<Mutex<Vec<String>>>::default();
    // They stay open: a kind that came back at once would take the other's.
    let replies = [open_stream(&[end_of_list("1")]), open_stream(&[end_of_list("1")])];
    tokio::spawn(serve(listener, replies.into(), requests.clone()));
    let resource = |kind, selector: &str| Resource {
        kind,
        selector: selector.into(),
    };
    let resources = vec![resource(Kind::Pod, "a in (b, c)"), resource(Kind::EndpointSlice, "")];
    let (updates, mut received) = mpsc::channel(8);
    let shutdown = CancellationToken::new();
    let watching = tokio::spawn(watch(
        server,
        resources,
        updates,
        SourceMetrics::default(),
        shutdown.clone(),
    ));
    let mut kinds = [received.recv().await, received.recv().await].map(|update| update.unwrap().event.kind());
    kinds.sort();
    assert_eq!(kinds, [Kind::EndpointSlice, Kind::Pod]);
    shutdown.cancel();
    watching.await.unwrap();
    let requests = requests.lock().unwrap().join("\n");
    assert!(
        requests.contains("GET /apis/discovery.k8s.io/v1/endpointslices?"),
        "{requests}"
    );
    assert!(
        requests.contains("GET /api/v1/pods?") && requests.contains("labelSelector=a+in+%28b%2C+c%29"),
        "{requests}"
    );
}

/// A server that gives one prepared reply per request, then none, and one watch of it.
struct FakeServer {
    requests: Arc<Mutex<Vec<String>>>,
    received: mpsc::Receiver<Update>,
    metrics: SourceMetrics,
}

#[derive(Clone)]
struct Reply {
    /// Empty to hang up without a word.
    status: &'static str,
    body: Vec<Value>,
    /// Whether more could follow.
    open: bool,
}

impl FakeServer {
    async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self::with_reconciliation(RECONCILIATION, replies).await
    }

    async fn with_reconciliation(reconciliation: Duration, replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = client(&endpoint(listener.local_addr().unwrap())).await.unwrap();
        let (updates, received) = mpsc::channel(8);
        let (metrics, requests) = (SourceMetrics::default(), Arc::default());
        let resource = Resource {
            kind: Kind::Service,
            selector: String::new(),
        };
        let outage = Arc::new(Mutex::new(Outage::new(server.url)));
        let mut watch = Watch::new(server.client, resource, &updates, &metrics, &outage);
        watch.reconciliation = reconciliation;
        tokio::spawn(watch.run());
        tokio::spawn(serve(listener, replies.into_iter().collect(), Arc::clone(&requests)));
        Self {
            requests,
            received,
            metrics,
        }
    }

    async fn next(&mut self) -> Update {
        let received = tokio::time::timeout(Duration::from_secs(20), self.received.recv()).await;
        received.expect("no event came").expect("the watch has ended")
    }

    /// Takes events: `+NAME ADDRESSES` is one that applies, `-NAME` one that deletes, `=NAMES` the end of a list.
    async fn expect(&mut self, events: &[&str]) {
        for expected in events {
            assert_eq!(describe(self.next().await.event), *expected);
        }
    }

    async fn await_requests(&self, count: usize) -> Vec<String> {
        loop {
            let requests = self.requests.lock().unwrap().clone();
            if requests.len() >= count {
                return requests;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn describe(event: Event) -> String {
    match event {
        Event::Apply(Object::Service(key, service)) => {
            let Reach::ClusterIps(addresses) = service.reach else {
                panic!("{key}")
            };
            let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            format!("+{} {}", key.name, addresses.join(" "))
        }
        Event::Delete(_, key) => format!("-{}", key.name),
        Event::Listed(_, keys) => {
            let mut names: Vec<_> = keys.into_iter().map(|key| key.name).collect();
            names.sort();
            format!("={}", names.join(" "))
        }
        other => panic!("{other:?}"),
    }
}

fn endpoint(address: std::net::SocketAddr) -> ApiSource {
    ApiSource::Endpoint {
        url: format!("http://{address}"),
        tls: None,
    }
}

fn http_request() -> http::Request<kube::client::Body> {
    http::Request::get("/api/v1/services")
        .body(kube::client::Body::empty())
        .unwrap()
}

async fn serve(listener: TcpListener, mut replies: VecDeque<Reply>, requests: Arc<Mutex<Vec<String>>>) {
    let mut open = Vec::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        requests.lock().unwrap().push(request);
        let Some(reply) = replies.pop_front() else {
            open.push(stream);
            continue;
        };
        if reply.status.is_empty() {
            continue;
        }
        let body: String = reply.body.iter().map(|value| format!("{value}\n")).collect();
        let head = format!(
            "HTTP/1.1 {}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
            reply.status
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        if reply.open {
            open.push(stream);
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next_line().await.unwrap().unwrap_or_default();
    while lines.next_line().await.unwrap().is_some_and(|line| !line.is_empty()) {}
    request
}

fn list(version: &str, services: &[(&str, &str)], token: &str) -> Reply {
    let items: Vec<_> = services
        .iter()
        .map(|(name, address)| object(name, address, "1"))
        .collect();
    let metadata = json!({"resourceVersion": version, "continue": token});
    let body = json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": metadata, "items": items});
    Reply {
        body: vec![body],
        ..stream(&[])
    }
}

fn stream(events: &[Value]) -> Reply {
    Reply {
        status: "200 OK",
        body: events.to_vec(),
        open: false,
    }
}

fn open_stream(events: &[Value]) -> Reply {
    Reply {
        open: true,
        ..stream(events)
    }
}

fn status(status: &'static str, code: u16, message: &str) -> Reply {
    let body = json!({"kind": "Status", "code": code, "reason": "Reason", "message": message});
    Reply {
        status,
        body: vec![body],
        open: false,
    }
}

fn hang_up() -> Reply {
    Reply {
        status: "",
        body: vec![],
        open: false,
    }
}

fn bookmark(version: &str) -> Value {
    json!({"type": "BOOKMARK", "object": {"kind": "Service", "apiVersion": "v1", "metadata": {"resourceVersion": version}}})
}

fn end_of_list(version: &str) -> Value {
    let mut bookmark = bookmark(version);
    bookmark["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    bookmark
}

fn changed(event: &str, name: &str, address: &str, version: &str) -> Value {
    json!({"type": event, "object": object(name, address, version)})
}

fn object(name: &str, address: &str, version: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default", "resourceVersion": version, "managedFields": [{"manager": "test"}]},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80}]},
    })
}

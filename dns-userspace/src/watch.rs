//! Services from an API server: list and watch, the only verbs used, and the only place that knows the kube client.
//!
//! kube's watcher lists in pages, resumes after a broken connection, follows bookmarks and lists anew after a 410. Beyond
//! it, this module lists anew when the server refuses to resume for any other reason, so that no refusal is final; and it
//! waits until the server answers again before it goes on. Meanwhile what was last known stays in force.

mod client;
mod outage;

use std::borrow::Cow;
use std::collections::HashMap;
use std::pin::pin;
use std::time::Instant;

use futures::StreamExt;
use kube::Resource;
use kube::api::{Api, ListParams, ObjectMeta};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::{self, DefaultBackoff, watcher};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::client::{ApiServer, ApiSource, TlsFiles, client};
use self::outage::Outage;
use crate::index::object::{Invalid, Object};
use crate::index::{Event, ObjectKey, Service, ServiceKind};

/// The log filter's directives that silence the kube client, which repeats every failure at every try: what fails is
/// told by [`watch`].
pub const LOG_DIRECTIVES: &str = "kube_client=off,kube_runtime=off";

/// Sends a reset once the Services are listed, then what changes, and a reset again whenever they had to be listed anew;
/// until `shutdown` is cancelled or nobody listens.
///
/// A server that cannot be reached is tried for ever, with growing and jittered pauses. What fails is told in one line
/// at first and every 30 s at most.
pub async fn watch(server: ApiServer, events: mpsc::Sender<Event>, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = Watch::new(server, events).run() => {}
    }
}

struct Watch {
    services: Api<WatchedService>,
    events: mpsc::Sender<Event>,
    reader: Reader,
    outage: Outage,
    backoff: DefaultBackoff,
}

impl Watch {
    fn new(server: ApiServer, events: mpsc::Sender<Event>) -> Self {
        let services = Api::all(server.client);
        Self {
            services,
            events,
            reader: Reader::default(),
            outage: Outage::new(server.url),
            backoff: DefaultBackoff::default(),
        }
    }

    /// Goes on until nobody listens.
    async fn run(mut self) {
        while self.list_and_watch().await.is_some() {}
    }

    /// Goes on until everything has to be listed anew, or, returning `None`, until nobody listens.
    async fn list_and_watch(&mut self) -> Option<()> {
        let mut stream = pin!(watcher(self.services.clone(), watcher::Config::default()));
        loop {
            match stream.next().await? {
                Ok(event) => {
                    if let Some(event) = self.reader.read(event) {
                        self.events.send(event).await.ok()?;
                    }
                }
                Err(error) => {
                    self.tell(&error);
                    self.wait_for_the_server().await;
                    if is_refusal(&error) {
                        return Some(());
                    }
                }
            }
        }
    }

    /// Waits until the server answers. Resuming would not show that it does: a watch is silent until something changes.
    async fn wait_for_the_server(&mut self) {
        while let Some(pause) = self.backoff.next() {
            tokio::time::sleep(pause).await;
            match self.services.list(&ListParams::default().limit(1)).await {
                Ok(_) => break,
                Err(error) => self.tell(&watcher::Error::InitialListFailed(error)),
            }
        }
        if let Some(line) = self.outage.end() {
            info!("{line}");
        }
    }

    fn tell(&mut self, error: &watcher::Error) {
        if let Some(line) = self.outage.fail(error, Instant::now()) {
            warn!("{line}");
        }
    }
}

/// Says whether the server was there and would not resume a watch; the watcher would ask the same again and again.
fn is_refusal(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(_)))
}

/// From the watcher's events to ours.
#[derive(Debug, Default)]
struct Reader {
    listed: Vec<Service>,
    /// What was last told of the objects that make no sense, so that it is told once.
    told: HashMap<ObjectKey, Invalid>,
}

impl Reader {
    fn read(&mut self, event: watcher::Event<WatchedService>) -> Option<Event> {
        match event {
            watcher::Event::Apply(service) => self.service(&service.object).map(Event::Apply),
            watcher::Event::Delete(service) => self.delete(&service.object),
            watcher::Event::Init => {
                self.listed.clear();
                None
            }
            watcher::Event::InitApply(service) => {
                let service = self.service(&service.object);
                self.listed.extend(service);
                None
            }
            watcher::Event::InitDone => {
                info!("listed {} Services", self.listed.len());
                Some(Event::Reset(std::mem::take(&mut self.listed)))
            }
        }
    }

    fn delete(&mut self, object: &Object) -> Option<Event> {
        let key = object.key().ok()?;
        self.told.remove(&key);
        Some(Event::Delete(key))
    }

    /// Reads a Service. One whose spec makes no sense still exists; one whose name is no label can have no name in DNS.
    fn service(&mut self, object: &Object) -> Option<Service> {
        let key = match object.key() {
            Ok(key) => key,
            Err(invalid) => {
                warn!("a Service is left out: {invalid}");
                return None;
            }
        };
        let kind = match object.service_kind() {
            Ok(kind) => {
                self.told.remove(&key);
                kind
            }
            Err(invalid) => {
                if self.told.get(&key) != Some(&invalid) {
                    warn!("Service {key} is not answered: {invalid}");
                    self.told.insert(key.clone(), invalid);
                }
                ServiceKind::Unaddressed
            }
        };
        Some(Service { key, kind })
    }
}

/// A Service as the watcher wants it: what DNS reads, and the one field of the metadata that the watcher reads.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Object")]
struct WatchedService {
    meta: ObjectMeta,
    object: Object,
}

impl From<Object> for WatchedService {
    fn from(object: Object) -> Self {
        let resource_version = object.resource_version().map(str::to_owned);
        Self {
            meta: ObjectMeta {
                resource_version,
                ..ObjectMeta::default()
            },
            object,
        }
    }
}

impl Resource for WatchedService {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Service".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "services".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn lists_in_pages_then_follows_what_changes() {
        let mut fake = FakeServer::start([
            list("", &[("web", "10.0.0.1")], "next"),
            list("7", &[("other", "10.0.0.2")], ""),
            events(&[
                changed("ADDED", "new", "10.0.0.3", "8"),
                json!({"type": "BOOKMARK", "object": {"kind": "Service", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}}}),
                changed("MODIFIED", "web", "10.0.0.4", "10"),
                changed("DELETED", "other", "10.0.0.2", "11"),
            ]),
        ])
        .await;
        let expected = [
            Event::Reset(vec![service("web", "10.0.0.1"), service("other", "10.0.0.2")]),
            Event::Apply(service("new", "10.0.0.3")),
            Event::Apply(service("web", "10.0.0.4")),
            Event::Delete(service("other", "").key),
        ];
        for event in expected {
            assert_eq!(fake.next().await, event);
        }
        let requests = fake.requests();
        assert!(
            requests
                .iter()
                .all(|request| request.starts_with("GET /api/v1/services?")),
            "{requests:?}"
        );
        assert!(requests[1].contains("continue=next"), "{requests:?}");
        assert!(
            requests[2].contains("watch=true") && requests[2].contains("allowWatchBookmarks=true"),
            "{requests:?}"
        );
    }

    #[tokio::test]
    async fn resumes_a_watch_that_ends_where_it_was() {
        let mut fake = FakeServer::start([
            list("7", &[], ""),
            events(&[changed("ADDED", "web", "10.0.0.1", "8")]),
            events(&[changed("ADDED", "other", "10.0.0.2", "9")]),
        ])
        .await;
        assert_eq!(fake.next().await, Event::Reset(vec![]));
        assert_eq!(fake.next().await, Event::Apply(service("web", "10.0.0.1")));
        assert_eq!(fake.next().await, Event::Apply(service("other", "10.0.0.2")));
        assert!(fake.requests()[2].contains("resourceVersion=8"));
    }

    #[tokio::test]
    async fn lists_anew_when_the_server_has_forgotten_where_it_was() {
        let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}});
        let refused = Reply {
            status: "410 Gone",
            body: vec![json!({"kind": "Status", "code": 410, "reason": "Expired"})],
        };
        for forgotten in [vec![events(&[gone])], vec![refused]] {
            let replies = [
                vec![list("7", &[("web", "10.0.0.1")], "")],
                forgotten,
                vec![
                    list("9", &[], ""), // The question whether it answers again.
                    list("9", &[("other", "10.0.0.2")], ""),
                ],
            ];
            let mut fake = FakeServer::start(replies.concat()).await;
            assert_eq!(fake.next().await, Event::Reset(vec![service("web", "10.0.0.1")]));
            assert_eq!(fake.next().await, Event::Reset(vec![service("other", "10.0.0.2")]));
        }
    }

    #[tokio::test]
    async fn goes_on_trying_a_server_that_refuses() {
        let forbidden = Reply {
            status: "403 Forbidden",
            body: vec![
                json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "services is forbidden"}),
            ],
        };
        let answers = || list("7", &[("web", "10.0.0.1")], "");
        let mut fake = FakeServer::start([forbidden, answers(), answers()]).await;
        assert_eq!(fake.next().await, Event::Reset(vec![service("web", "10.0.0.1")]));
    }

    #[tokio::test]
    async fn nonsense_is_left_out_by_itself() {
        let mut reply = list("7", &[("web", "10.0.0.1"), ("bad", "10.0.0.300")], "");
        reply.body[0]["items"]
            .as_array_mut()
            .unwrap()
            .push(json!({"metadata": {"name": 5}, "spec": []}));
        let mut fake = FakeServer::start([reply, events(&[])]).await;
        let bad = Service {
            kind: ServiceKind::Unaddressed,
            ..service("bad", "10.0.0.3")
        };
        assert_eq!(fake.next().await, Event::Reset(vec![service("web", "10.0.0.1"), bad]));
    }

    #[tokio::test]
    async fn goes_on_trying_a_server_that_hangs_up() {
        let hang_up = || Reply {
            status: "",
            body: vec![],
        };
        let answers = || list("7", &[("web", "10.0.0.1")], "");
        let mut fake = FakeServer::start([hang_up(), hang_up(), answers(), answers()]).await;
        assert_eq!(fake.next().await, Event::Reset(vec![service("web", "10.0.0.1")]));
    }

    #[tokio::test]
    async fn names_the_server_that_cannot_be_reached_and_the_cause() {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let server = client(&ApiSource::Endpoint {
            url: format!("http://{address}"),
            tls: None,
        })
        .await
        .unwrap();
        let mut watch = Watch::new(server, mpsc::channel(1).0);
        let error = watch.services.list(&ListParams::default()).await.unwrap_err();
        let line = watch
            .outage
            .fail(&watcher::Error::InitialListFailed(error), Instant::now())
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
    async fn ends_when_it_is_told_to() {
        let mut fake = FakeServer::start([list("7", &[], "")]).await;
        assert_eq!(fake.next().await, Event::Reset(vec![]));
        fake.shutdown.cancel();
        fake.watch.await.unwrap();
    }

    /// A server that gives one prepared reply per request, then none.
    struct FakeServer {
        requests: Arc<Mutex<Vec<String>>>,
        received: mpsc::Receiver<Event>,
        shutdown: CancellationToken,
        watch: tokio::task::JoinHandle<()>,
    }

    #[derive(Clone)]
    struct Reply {
        /// Empty to hang up without a word.
        status: &'static str,
        body: Vec<Value>,
    }

    impl FakeServer {
        async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let fake = Self::watched(&format!("http://{}", listener.local_addr().unwrap())).await;
            fake.serve(listener, replies);
            fake
        }

        async fn watched(url: &str) -> Self {
            let server = client(&ApiSource::Endpoint {
                url: url.into(),
                tls: None,
            })
            .await
            .unwrap();
            let (events, received) = mpsc::channel(8);
            let shutdown = CancellationToken::new();
            let watch = tokio::spawn(watch(server, events, shutdown.clone()));
            Self {
                requests: Arc::default(),
                received,
                shutdown,
                watch,
            }
        }

        fn serve(&self, listener: TcpListener, replies: impl IntoIterator<Item = Reply>) {
            tokio::spawn(serve(listener, replies.into_iter().collect(), self.requests.clone()));
        }

        async fn next(&mut self) -> Event {
            let received = tokio::time::timeout(Duration::from_secs(20), self.received.recv()).await;
            received.expect("no event came").expect("the watch has ended")
        }

        fn requests(&self) -> Vec<String> {
            self.requests.lock().unwrap().clone()
        }
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
            status: "200 OK",
            body: vec![body],
        }
    }

    fn events(events: &[Value]) -> Reply {
        Reply {
            status: "200 OK",
            body: events.to_vec(),
        }
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

    fn service(name: &str, address: &str) -> Service {
        let key = ObjectKey {
            namespace: "default".into(),
            name: name.into(),
        };
        Service {
            key,
            kind: ServiceKind::ClusterIp(address.parse().into_iter().collect()),
        }
    }
}

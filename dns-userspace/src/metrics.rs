//! Metrics: the registry, what the server counts, and the endpoint that Prometheus reads.
//!
//! The endpoint speaks HTTP/1 and serves `/metrics` alone, in the OpenMetrics text format. Collectors of other parts
//! of the agent are registered by whoever owns them.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use domain::base::Message;
use domain::base::iana::OptRcode;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections that the endpoint serves at a time.
const MAX_CONNECTIONS: usize = 16;

/// How long a client may take over its request and its reading of the response.
const CONNECTION: Duration = Duration::from_secs(10);

/// How long to wait after a failed accept, which no event announces the end of.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What the endpoint answers with.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Makes a registry that holds `kxdns_build_info`.
///
/// The revision is what `KXDNS_REVISION` was when the agent was built.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", option_env!("KXDNS_REVISION").unwrap_or("unknown")),
    ];
    registry.register(
        "kxdns_build",
        "The version and the source revision of this agent",
        Info::new(labels),
    );
    registry
}

/// What the DNS server counts.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    responses: Family<ResponseLabels, Counter>,
}

/// Who a reply is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The zone table.
    Zone,
    /// An upstream.
    Forward,
    /// The server itself: it refused the query, or failed.
    Server,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    source: Source,
    rcode: ResponseCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ResponseCode(OptRcode);

impl ServerMetrics {
    /// Makes the server's counters and registers them: `kxdns_server_responses_total{source,rcode}`.
    pub fn register(registry: &mut Registry) -> Self {
        let responses = Family::default();
        registry.register(
            "kxdns_server_responses",
            "Replies of the agent's DNS server",
            responses.clone(),
        );
        Self { responses }
    }

    /// Counts a reply.
    pub fn count(&self, source: Source, reply: &[u8]) {
        if let Ok(reply) = Message::from_slice(reply) {
            let labels = ResponseLabels {
                source,
                rcode: ResponseCode(reply.opt_rcode()),
            };
            self.responses.get_or_create(&labels).inc();
        }
    }
}

impl EncodeLabelValue for Source {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Zone => "zone",
            Self::Forward => "forward",
            Self::Server => "server",
        })
    }
}

impl EncodeLabelValue for ResponseCode {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

/// Opens the endpoint's socket; `[::]` is `0.0.0.0` on a host without IPv6.
///
/// An error is one line that names the address and the way out.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = match TcpListener::bind(address).await {
        Err(error) if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        listener => listener,
    };
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "cannot serve metrics on {address}: address in use; give `prometheus` another address in the Corefile"
        ),
        _ => anyhow!("cannot serve metrics on {address}: {error}"),
    })
}

/// Serves `/metrics` until `shutdown`.
pub async fn serve(listener: TcpListener, registry: Arc<Registry>, shutdown: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accept = async {
        while let Ok(slot) = slots.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let answered = shutdown
                        .clone()
                        .run_until_cancelled_owned(answer(stream, registry.clone()));
                    tokio::spawn(async move {
                        answered.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    warn!("cannot accept a metrics connection: {error}");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(accept).await;
}

/// Answers the one request of a connection.
async fn answer(stream: TcpStream, registry: Arc<Registry>) {
    let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(respond(&request, &registry)));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("metrics connection: {error}"),
        Err(_) => debug!("metrics connection: not done within {CONNECTION:?}"),
    }
}

fn respond(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let mut page = String::new();
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    } else if text::encode(&mut page, registry).is_err() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        *response.body_mut() = Full::from(page);
    }
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn serves_the_registry_and_nothing_else() {
        let mut registry = registry();
        let metrics = ServerMetrics::register(&mut registry);
        // A header with rcode 3, and one whose OPT record makes it BADVERS.
        metrics.count(Source::Zone, b"\0\0\x84\x03\0\0\0\0\0\0\0\0");
        metrics.count(
            Source::Server,
            b"\0\0\x80\0\0\0\0\0\0\0\0\x01\0\0\x29\0\0\x01\0\0\0\0\0",
        );
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, Arc::new(registry), shutdown.clone()));

        let page = request(address, "GET /metrics").await;
        for line in [
            "HTTP/1.1 200 OK",
            "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# TYPE kxdns_server_responses counter",
            "kxdns_server_responses_total{source=\"zone\",rcode=\"NXDOMAIN\"} 1",
            "kxdns_server_responses_total{source=\"server\",rcode=\"BADVERS\"} 1",
            concat!(
                "kxdns_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\",revision=\""
            ),
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found.starts_with(line)), "{line} in {page}");
        }
        assert!(request(address, "GET /").await.starts_with("HTTP/1.1 404 "));
        assert!(request(address, "POST /metrics").await.starts_with("HTTP/1.1 405 "));
        shutdown.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn says_in_one_line_that_its_port_is_in_use() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let expected = format!(
            "cannot serve metrics on {address}: address in use; give `prometheus` another address in the Corefile"
        );
        assert_eq!(bind(address).await.unwrap_err().to_string(), expected);
    }

    async fn request(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("{line} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut response = String::new();
        timeout(CONNECTION, stream.read_to_string(&mut response))
            .await
            .expect("a response")
            .unwrap();
        response
    }
}

//! Metrics: the registry, what the server counts, and the page that Prometheus reads, in the OpenMetrics text format.
//!
//! Collectors of other parts of the agent are registered by whoever owns them.

use std::fmt::{self, Write as _};

use domain::base::Message;
use domain::base::iana::OptRcode;
use hyper::StatusCode;
use hyper::header::HeaderValue;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::http::Page;

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResponseLabels {
    source: &'static str,
    rcode: ResponseCode,
}

/// A response code as a label: its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub OptRcode);

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

    /// Counts a reply of this plugin, or of the `server` itself.
    pub fn count(&self, source: &'static str, reply: &[u8]) {
        if let Ok(reply) = Message::from_slice(reply) {
            let labels = ResponseLabels {
                source,
                rcode: ResponseCode(reply.opt_rcode()),
            };
            self.responses.get_or_create(&labels).inc();
        }
    }
}

impl EncodeLabelValue for ResponseCode {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

/// A histogram of durations in seconds, with CoreDNS's buckets: 0.25 ms, and double that up to 8.192 s.
pub fn duration_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.00025, 2.0, 16))
}

/// The page that Prometheus reads.
pub fn page(registry: Registry) -> impl Fn(&str) -> Option<Page> + Send + Sync + 'static {
    move |path| {
        let mut text = String::new();
        (path == "/metrics").then(|| match text::encode(&mut text, &registry) {
            Ok(()) => Page {
                status: StatusCode::OK,
                kind: OPEN_METRICS,
                text,
            },
            Err(_) => Page::plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written"),
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::http::serve;
    use crate::http::testing::{open, request};

    #[tokio::test]
    async fn serves_the_registry_and_nothing_else() {
        let mut registry = registry();
        let metrics = ServerMetrics::register(&mut registry);
        // A header with rcode 3, and one whose OPT record makes it BADVERS.
        metrics.count("kubernetes", b"\0\0\x84\x03\0\0\0\0\0\0\0\0");
        metrics.count("server", b"\0\0\x80\0\0\0\0\0\0\0\0\x01\0\0\x29\0\0\x01\0\0\0\0\0");
        let (listener, address) = open().await;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, page(registry), shutdown.clone()));

        let page = request(address, "GET /metrics").await;
        for line in [
            "HTTP/1.1 200 OK",
            "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# TYPE kxdns_server_responses counter",
            "kxdns_server_responses_total{source=\"kubernetes\",rcode=\"NXDOMAIN\"} 1",
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
}

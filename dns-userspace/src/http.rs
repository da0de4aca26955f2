//! Small pages over HTTP/1: metrics, readiness and health.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections that an endpoint serves at a time.
const MAX_CONNECTIONS: usize = 16;

/// How long a client may take over its request and its reading of the response.
const CONNECTION: Duration = Duration::from_secs(10);

/// How long to wait after a failed accept, which no event announces the end of.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// What is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status.
    pub status: StatusCode,
    /// The content's type.
    pub kind: HeaderValue,
    /// The content.
    pub text: String,
}

impl Page {
    /// A page of plain text.
    pub fn plain(status: StatusCode, text: &str) -> Self {
        Self {
            status,
            kind: HeaderValue::from_static("text/plain; charset=utf-8"),
            text: text.into(),
        }
    }
}

/// The page that tells, as CoreDNS's `ready` does, whether everything is ready, or what is not.
pub fn readiness(synced: watch::Receiver<bool>) -> impl Fn(&str) -> Option<Page> + Send + Sync + 'static {
    move |path| {
        (path == "/ready").then(|| match *synced.borrow() {
            true => Page::plain(StatusCode::OK, "OK"),
            false => Page::plain(StatusCode::SERVICE_UNAVAILABLE, "kubernetes"),
        })
    }
}

/// The page that tells, as CoreDNS's `health` does, that there is somebody to ask.
pub fn health(path: &str) -> Option<Page> {
    (path == "/health").then(|| Page::plain(StatusCode::OK, "OK"))
}

/// The sockets that are open, by their addresses.
#[derive(Default)]
pub struct Sockets(HashMap<SocketAddr, Arc<TcpListener>>);

impl Sockets {
    /// Opens what is to be served, each where it says if it is to be anywhere, and closes what is not needed any more, unless
    /// there is an error. Each comes with the directive that gives another address.
    ///
    /// # Errors
    ///
    /// One line that names what was to be served, the address, and the directive.
    pub fn open<const N: usize>(
        &mut self,
        places: [(&str, &str, Option<SocketAddr>); N],
    ) -> Result<[Option<Arc<TcpListener>>; N]> {
        let mut open = HashMap::new();
        let mut opened = [const { None }; N];
        for ((what, directive, address), opened) in places.into_iter().zip(&mut opened) {
            let Some(address) = address else { continue };
            let listener = match self.0.get(&address) {
                Some(listener) if !open.contains_key(&address) => listener.clone(),
                _ => Arc::new(bind(what, directive, address)?),
            };
            open.insert(address, listener.clone());
            *opened = Some(listener);
        }
        self.0 = open;
        Ok(opened)
    }

    /// Leaves a socket to whoever serves there: it is closed when that ends.
    pub fn forget(&mut self, address: Option<SocketAddr>) {
        if let Some(address) = address {
            self.0.remove(&address);
        }
    }
}

/// Opens a socket; `[::]` is `0.0.0.0` on a host without IPv6.
fn bind(what: &str, directive: &str, address: SocketAddr) -> Result<TcpListener> {
    let listener = match listen(address) {
        Err(error) if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        listener => listener,
    };
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "cannot serve {what} on {address}: address in use; give `{directive}` another address in the Corefile"
        ),
        _ => anyhow!("cannot serve {what} on {address}: {error}"),
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    // It sets SO_REUSEADDR, so that a listener may come back while connections of its predecessor linger.
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// An address that is listened at, which may be all of them, as one to connect to.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip().is_unspecified() {
        true => (Ipv4Addr::LOCALHOST, address.port()).into(),
        false => address,
    }
}

/// Serves the pages that `find` has by their paths, until `shutdown`.
pub async fn serve(
    listener: Arc<TcpListener>,
    find: impl Fn(&str) -> Option<Page> + Send + Sync + 'static,
    shutdown: CancellationToken,
) {
    let (find, slots) = (Arc::new(find), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
    let accept = async {
        while let Ok(slot) = slots.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let answered = shutdown.clone().run_until_cancelled_owned(answer(stream, find.clone()));
                    tokio::spawn(async move {
                        answered.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    warn!("cannot accept an HTTP connection: {error}");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(accept).await;
}

/// Answers the one request of a connection.
async fn answer(stream: TcpStream, find: Arc<impl Fn(&str) -> Option<Page>>) {
    let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(respond(&request, &*find)));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("HTTP connection: {error}"),
        Err(_) => debug!("HTTP connection: not done within {CONNECTION:?}"),
    }
}

fn respond(request: &Request<Incoming>, find: impl Fn(&str) -> Option<Page>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let page = match find(request.uri().path()) {
        None => {
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        Some(_) if request.method() != Method::GET && request.method() != Method::HEAD => {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(ALLOW, allowed);
            return response;
        }
        Some(page) => page,
    };
    *response.status_mut() = page.status;
    response.headers_mut().insert(CONTENT_TYPE, page.kind);
    *response.body_mut() = Full::from(page.text);
    response
}

#[cfg(test)]
pub(crate) mod testing {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Sends a request such as `GET /metrics` and returns the response.
    pub(crate) async fn request(address: SocketAddr, line: &str) -> String {
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

    /// Opens an endpoint on the loopback interface.
    pub(crate) async fn open() -> (Arc<TcpListener>, SocketAddr) {
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = Arc::new(bind("metrics", "prometheus", address).unwrap());
        let address = listener.local_addr().unwrap();
        (listener, address)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;

    #[tokio::test]
    async fn tells_whether_everything_is_ready() {
        let (synced, is_synced) = watch::channel(false);
        let (listener, address) = open().await;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, readiness(is_synced), shutdown.clone()));
        let response = request(address, "GET /ready").await;
        assert!(
            response.starts_with("HTTP/1.1 503 ") && response.ends_with("\r\n\r\nkubernetes"),
            "{response}"
        );
        synced.send(true).unwrap();
        let response = request(address, "GET /ready").await;
        assert!(
            response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nOK"),
            "{response}"
        );
        assert!(request(address, "GET /").await.starts_with("HTTP/1.1 404 "));
        assert!(request(address, "POST /ready").await.starts_with("HTTP/1.1 405 "));
        shutdown.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn says_in_one_line_that_its_port_is_in_use() {
        let (_listener, address) = open().await;
        let expected = format!(
            "cannot serve metrics on {address}: address in use; give `prometheus` another address in the Corefile"
        );
        let error = bind("metrics", "prometheus", address).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[tokio::test]
    async fn sockets_stay_open_as_long_as_they_are_needed() {
        // Below the ports that the kernel hands out, so that no other test comes by them.
        let [one, other] = [5460, 5461].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut sockets = Sockets::default();
        let mut open = |addresses: [_; 2]| sockets.open(addresses.map(|address| ("metrics", "prometheus", address)));
        let [first, _] = open([Some(one), Some(other)]).unwrap();
        let [_, second] = open([None, Some(one)]).unwrap();
        assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
        assert!(bind("metrics", "prometheus", one).is_err());
        bind("metrics", "prometheus", other).unwrap();
        assert!(open([Some(one), Some(one)]).is_err(), "two at one address");
    }
}

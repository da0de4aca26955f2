//! Which API server to ask, and with which credentials.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use kube::config::{
    AuthInfo, Cluster, Context, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo,
    NamedCluster, NamedContext,
};
use kube::{Client, Config};

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an open connection may be silent: two of the bookmarks that a server sends about once a minute. A watch that
/// is cut off for nothing is resumed where it was.
const READ_TIMEOUT: Duration = Duration::from_secs(130);

/// Where the API server and the credentials for it are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiSource {
    /// In a kubeconfig: `--kubeconfig PATH`, or the Corefile's `kubeconfig FILE [CONTEXT]`.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context to take; the file's current one if none is given.
        context: Option<String>,
    },
    /// At a URL: the Corefile's `endpoint URL`.
    Endpoint {
        /// The URL, `http://...` or `https://...`.
        url: String,
        /// The Corefile's `tls CERT KEY CA`.
        tls: Option<TlsFiles>,
    },
    /// In the environment and files that Kubernetes gives a pod.
    InCluster,
}

/// The files of the Corefile's `tls CERT KEY CA`, in PEM form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The client's certificate.
    pub certificate: PathBuf,
    /// The client's key.
    pub key: PathBuf,
    /// The certificates of the authorities that may have signed the server's.
    pub authority: PathBuf,
}

/// An API server, and how to talk to it.
#[derive(Clone)]
pub struct ApiServer {
    pub(super) client: Client,
    pub(super) url: String,
}

/// Prepares to talk to an API server; nothing is sent yet. To be called within a tokio runtime.
///
/// # Errors
///
/// One that says what is missing or wrong, and the way out.
pub async fn client(source: &ApiSource) -> anyhow::Result<ApiServer> {
    let mut config = match source {
        ApiSource::Kubeconfig { path, context } => from_kubeconfig(path, context.clone()).await?,
        ApiSource::Endpoint { url, tls } => from_endpoint(url, tls.as_ref()).await?,
        ApiSource::InCluster => Config::incluster().map_err(explain_in_cluster)?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    // The watch has its own pauses, and tells what fails.
    config.default_retry = false;
    let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client =
        Client::try_from(config).with_context(|| format!("API server {url}: its credentials cannot be used"))?;
    Ok(ApiServer { client, url })
}

fn explain_in_cluster(error: InClusterError) -> anyhow::Error {
    let way_out = "give --kubeconfig, --manifests, or `endpoint` or `kubeconfig` in the Corefile's `kubernetes` block";
    match error {
        InClusterError::ReadEnvironmentVariable(_) => anyhow!("no API server: not in a cluster's pod; {way_out}"),
        error => anyhow!(error).context(format!(
            "the pod's ServiceAccount cannot be used; mount its token, or {way_out}"
        )),
    }
}

async fn from_kubeconfig(path: &Path, context: Option<String>) -> anyhow::Result<Config> {
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(error, path) => {
            anyhow!("kubeconfig {}: {error}", path.display())
        }
        error => anyhow!("kubeconfig {}: {error}", path.display()),
    })?;
    let contexts: Vec<_> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| match error {
            KubeconfigError::LoadContext(name) => anyhow!(
                "kubeconfig {}: no context {name:?}; it has: {}",
                path.display(),
                contexts.join(", ")
            ),
            KubeconfigError::CurrentContextNotSet => {
                anyhow!(
                    "kubeconfig {}: no current-context; name one of: {}",
                    path.display(),
                    contexts.join(", ")
                )
            }
            error => anyhow!("kubeconfig {}: {error}", path.display()),
        })
}

/// Makes a kubeconfig of the Corefile's options, so that files and URL are read in one way.
async fn from_endpoint(url: &str, tls: Option<&TlsFiles>) -> anyhow::Result<Config> {
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        bail!("endpoint {url}: not a URL; write http://{url} or https://{url}");
    }
    let text = |path: &PathBuf| path.to_str().map(str::to_owned);
    for path in tls.iter().flat_map(|tls| [&tls.certificate, &tls.key, &tls.authority]) {
        File::open(path).with_context(|| format!("tls {}", path.display()))?;
    }
    let cluster = Cluster {
        server: Some(url.into()),
        certificate_authority: tls.and_then(|tls| text(&tls.authority)),
        ..Cluster::default()
    };
    let user = AuthInfo {
        client_certificate: tls.and_then(|tls| text(&tls.certificate)),
        client_key: tls.and_then(|tls| text(&tls.key)),
        ..AuthInfo::default()
    };
    let name = || "corefile".to_owned();
    let context = Context {
        cluster: name(),
        user: Some(name()),
        ..Context::default()
    };
    let kubeconfig = Kubeconfig {
        clusters: vec![NamedCluster {
            name: name(),
            cluster: Some(cluster),
            ..NamedCluster::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: name(),
            auth_info: Some(user),
            ..NamedAuthInfo::default()
        }],
        contexts: vec![NamedContext {
            name: name(),
            context: Some(context),
            ..NamedContext::default()
        }],
        current_context: Some(name()),
        ..Kubeconfig::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.with_context(|| format!("endpoint {url}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn talks_plainly_to_an_endpoint() {
        let source = ApiSource::Endpoint {
            url: "http://127.0.0.1:8080".into(),
            tls: None,
        };
        assert_eq!(client(&source).await.unwrap().url, "http://127.0.0.1:8080");
        let source = ApiSource::Endpoint {
            url: "http://[fd00::1]:8080/".into(),
            tls: None,
        };
        assert_eq!(client(&source).await.unwrap().url, "http://[fd00::1]:8080");
    }

    #[tokio::test]
    async fn says_what_is_wrong_with_an_endpoint() {
        let source = ApiSource::Endpoint {
            url: "127.0.0.1:8080".into(),
            tls: None,
        };
        let expected = "endpoint 127.0.0.1:8080: not a URL; write http://127.0.0.1:8080 or https://127.0.0.1:8080";
        assert_eq!(error(&source).await, expected);
        let source = ApiSource::Endpoint {
            url: "http://a b".into(),
            tls: None,
        };
        assert!(
            error(&source)
                .await
                .starts_with("endpoint http://a b: failed to parse cluster url")
        );
    }

    #[tokio::test]
    async fn says_which_tls_file_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let tls = TlsFiles {
            certificate: path("cert.pem"),
            key: path("key.pem"),
            authority: path("ca.pem"),
        };
        fs::write(&tls.certificate, "").unwrap();
        let source = ApiSource::Endpoint {
            url: "https://127.0.0.1:6443".into(),
            tls: Some(tls.clone()),
        };
        assert_eq!(
            error(&source).await,
            format!("tls {}: No such file or directory (os error 2)", tls.key.display())
        );
        fs::write(&tls.key, "").unwrap();
        fs::write(&tls.authority, "no certificate").unwrap();
        assert!(!error(&source).await.is_empty());
    }

    #[tokio::test]
    async fn reads_a_kubeconfig_and_its_contexts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n\
            - {name: a, cluster: {server: 'http://127.0.0.1:1'}}\n- {name: b, cluster: {server: 'http://127.0.0.1:2'}}\n\
            contexts:\n- {name: a, context: {cluster: a}}\n- {name: b, context: {cluster: b}}\n";
        fs::write(&path, text).unwrap();
        let source = |context: Option<&str>| ApiSource::Kubeconfig {
            path: path.clone(),
            context: context.map(str::to_owned),
        };
        assert_eq!(client(&source(None)).await.unwrap().url, "http://127.0.0.1:1");
        assert_eq!(client(&source(Some("b"))).await.unwrap().url, "http://127.0.0.1:2");
        let expected = format!("kubeconfig {}: no context \"c\"; it has: a, b", path.display());
        assert_eq!(error(&source(Some("c"))).await, expected);
        fs::write(&path, text.replace("current-context: a\n", "")).unwrap();
        let expected = format!("kubeconfig {}: no current-context; name one of: a, b", path.display());
        assert_eq!(error(&source(None)).await, expected);
    }

    #[tokio::test]
    async fn says_which_kubeconfig_is_missing() {
        let source = ApiSource::Kubeconfig {
            path: "/nonexistent/config".into(),
            context: None,
        };
        assert_eq!(
            error(&source).await,
            "kubeconfig /nonexistent/config: No such file or directory (os error 2)"
        );
    }

    #[tokio::test]
    async fn says_what_to_give_when_it_is_in_no_cluster() {
        let error = error(&ApiSource::InCluster).await;
        assert!(error.starts_with("no API server: not in a cluster's pod"), "{error}");
        assert!(
            error.contains("give --kubeconfig, --manifests, or `endpoint`"),
            "{error}"
        );
    }

    async fn error(source: &ApiSource) -> String {
        client(source)
            .await
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default()
    }
}

//! What the agent does, from its command line and its Corefile.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use anyhow::{Result, bail};
use tracing::{info, warn};

use crate::cli::Run;
use crate::corefile::{ApiServer, Config, Fallthrough, Kubernetes, ServerBlock};
use crate::name::Name;
use crate::server::Upstreams;
use crate::watch::{ApiSource, TlsFiles};
use crate::zone::ServedZone;

/// What the agent does.
#[derive(Debug)]
pub struct Settings {
    /// The forward zones that it knows the names of.
    pub zones: Vec<ServedZone>,
    /// Those of them that the kernel answers from.
    pub kernel_zones: Vec<Name>,
    /// Where names of these zones go that do not exist.
    pub fallthrough: Fallthrough,
    /// The API server to watch.
    pub api: ApiSource,
    /// Where the DNS server listens.
    pub listen: Vec<SocketAddr>,
    /// Who is asked about other names; the first that takes a name is asked.
    pub upstreams: Vec<Upstreams>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
}

impl Settings {
    /// Works out what to do, and logs what of the Corefile is left out and why.
    ///
    /// # Errors
    ///
    /// Fails where the Corefile asks for what this agent cannot do.
    pub fn new(config: &Config, options: &Run) -> Result<Self> {
        if let Some(waiting) = config.describe_not_in_force() {
            warn!("{}: {waiting}", options.corefile.display());
        }
        let (server, kubernetes) = kubernetes(config)?;
        let upstreams = if options.kernel_only {
            Vec::new()
        } else {
            upstreams(config)?
        };
        Ok(Self {
            zones: zones(kubernetes),
            kernel_zones: kernel_zones(config),
            fallthrough: kubernetes.fallthrough.clone(),
            api: api_source(kubernetes, options),
            listen: listen(config, server)?,
            upstreams,
            metrics: config.servers.iter().find_map(|server| server.prometheus),
        })
    }
}

/// Finds the one server block with `kubernetes`.
fn kubernetes(config: &Config) -> Result<(&ServerBlock, &Kubernetes)> {
    let mut found = config
        .servers
        .iter()
        .filter_map(|server| Some((server, server.kubernetes.as_ref()?)));
    match (found.next(), found.next()) {
        (Some(first), None) => Ok(first),
        (None, _) => bail!("the Corefile has no `kubernetes`: add it to the server block of the cluster's zone"),
        (Some(_), Some((_, second))) => {
            bail!(
                "{}: a second `kubernetes`; kxdns serves the zones of one: join them",
                second.span
            )
        }
    }
}

/// The zones whose names are those of the cluster's objects. Where an option that is not in force hides some of them or
/// adds to them, nothing is certain, and there are none.
fn zones(kubernetes: &Kubernetes) -> Vec<ServedZone> {
    if !kubernetes.limits.is_empty() {
        return Vec::new();
    }
    let ttl = kubernetes.ttl;
    kubernetes
        .forward_zones()
        .map(|name| ServedZone {
            name: name.clone(),
            ttl,
        })
        .collect()
}

/// The zones that the kernel may answer from; says why it may not from the others.
fn kernel_zones(config: &Config) -> Vec<Name> {
    let plans = config.plan().into_iter();
    plans
        .filter_map(|plan| match plan.verdict {
            Ok(()) => {
                info!("the kernel answers from {}", plan.zone);
                Some(plan.zone)
            }
            Err(reason) => {
                warn!("the kernel answers nothing from {}: {reason}", plan.zone);
                None
            }
        })
        .collect()
}

fn api_source(kubernetes: &Kubernetes, options: &Run) -> ApiSource {
    if let Some(path) = options.kubeconfig.clone() {
        return ApiSource::Kubeconfig { path, context: None };
    }
    match kubernetes.api_server.clone() {
        ApiServer::InCluster => ApiSource::InCluster,
        ApiServer::Kubeconfig { file, context } => ApiSource::Kubeconfig { path: file, context },
        ApiServer::Endpoint { url, tls } => ApiSource::Endpoint {
            url,
            tls: tls.map(|tls| TlsFiles {
                certificate: tls.certificate,
                key: tls.key,
                authority: tls.authority,
            }),
        },
    }
}

/// The addresses of the block with `kubernetes`. The others must share its port, since names alone tell them apart.
fn listen(config: &Config, server: &ServerBlock) -> Result<Vec<SocketAddr>> {
    let port = server.keys.first().map_or(53, |key| key.port);
    let other = config
        .servers
        .iter()
        .flat_map(|server| &server.keys)
        .find(|key| key.port != port);
    if let Some(key) = other {
        bail!(
            "{}: port {} beside port {port}; kxdns serves one port: run with --kernel-only",
            key.span,
            key.port
        );
    }
    let everywhere = vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let addresses = if server.bind.is_empty() {
        everywhere
    } else {
        server.bind.clone()
    };
    Ok(addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect())
}

/// Who answers for names outside the cluster: each block's `forward`, for the block's zones; the deepest zone first.
fn upstreams(config: &Config) -> Result<Vec<Upstreams>> {
    let mut upstreams = Vec::new();
    for server in &config.servers {
        for forward in &server.forward {
            let from = server
                .keys
                .iter()
                .map(|key| deeper(&key.zone, &forward.from).clone())
                .collect();
            let addresses = forward.find_servers()?;
            upstreams.push(Upstreams {
                from,
                except: forward.except.clone(),
                addresses,
            });
        }
    }
    let depth = |upstreams: &Upstreams| upstreams.from.iter().map(|zone| zone.labels().count()).max();
    upstreams.sort_by_key(|upstreams| std::cmp::Reverse(depth(upstreams)));
    Ok(upstreams)
}

/// Of two zones that a name must be in, the one that says more.
fn deeper<'n>(one: &'n Name, other: &'n Name) -> &'n Name {
    if one.labels().count() >= other.labels().count() {
        one
    } else {
        other
    }
}

//! Putting a changed Corefile in force without an end.
//!
//! What changes only the server's plugins is exchanged while queries are in progress. What changes more, the cluster's zones
//! or the addresses say, needs an agent that is built anew; its sockets stay open meanwhile, and what comes waits in them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cli::Run;
use crate::corefile::{Config, Follower, Noticed};
use crate::http;
use crate::server::{self, Context, Journal, Server};
use crate::settings::Settings;

/// Who puts a changed Corefile in force.
pub struct Reloader {
    options: Run,
    settings: Settings,
    server: Arc<Server>,
    context: Context,
    metrics: ReloadMetrics,
}

/// What is counted of changes.
#[derive(Clone)]
pub struct ReloadMetrics {
    failed: Counter,
    version: Family<VersionLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    hash: &'static str,
    value: String,
}

impl ReloadMetrics {
    /// Makes the counters and registers them, under the names that CoreDNS gives them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            failed: Counter::default(),
            version: Family::default(),
        };
        registry.register(
            "coredns_reload_failed",
            "Changes of the Corefile that could not be put in force",
            metrics.failed.clone(),
        );
        registry.register(
            "coredns_reload_version_info",
            "The digest of the Corefile that is in force",
            metrics.version.clone(),
        );
        metrics
    }

    fn set_version(&self, digest: &str) {
        self.version.clear();
        let labels = VersionLabels {
            hash: "sha512",
            value: digest.to_owned(),
        };
        self.version.get_or_create(&labels).set(1);
    }
}

impl Reloader {
    /// Who changes what this server's plugins are.
    pub fn new(
        options: Run,
        settings: Settings,
        server: Arc<Server>,
        context: Context,
        metrics: ReloadMetrics,
    ) -> Self {
        Self {
            options,
            settings,
            server,
            context,
            metrics,
        }
    }

    /// Follows the Corefile until `shutdown`, or until an agent has to be built anew by the one that is returned. A file that
    /// cannot be put in force changes nothing, and it is told why.
    pub async fn follow(self, mut in_force: Config, ask: Arc<Notify>, shutdown: CancellationToken) -> Option<Config> {
        let journal = self.context.journal.clone();
        tell_digest(&journal, &in_force);
        self.metrics.set_version(&in_force.digest);
        loop {
            let path: PathBuf = self.options.corefile.clone();
            let mut follower = Follower::new(path, &in_force, self.options.kernel_only, ask.clone());
            let (change, config) = loop {
                let Noticed { said, was_asked } = shutdown.run_until_cancelled(follower.notice()).await?;
                if was_asked {
                    journal.info("SIGUSR1: Reloading");
                }
                match said
                    .map_err(anyhow::Error::from)
                    .and_then(|config| Ok((self.check(&config)?, config)))
                {
                    Ok(changed) => break changed,
                    Err(error) => {
                        self.metrics.failed.inc();
                        journal.error(&format!("plugin/reload: Corefile changed but reload failed: {error:#}"));
                    }
                }
            };
            journal.info("Reloading");
            let is_done = match change {
                Change::Plugins(endpoints) => self.server.replace(endpoints),
                Change::All => false,
            };
            if !is_done {
                return Some(config);
            }
            self.metrics.set_version(&config.digest);
            tell_digest(&journal, &config);
            journal.info("Reloading complete");
            in_force = config;
        }
    }

    /// What has to be changed for a configuration.
    fn check(&self, config: &Config) -> Result<Change> {
        let settings = Settings::new(config, &self.options)?;
        let endpoints = match self.options.kernel_only {
            true => Vec::new(),
            false => server::endpoints(config, &self.context)?,
        };
        self.server.check_addresses(&endpoints)?;
        let old = &self.settings;
        let health = |settings: &Settings| settings.health.as_ref().map(|health| health.address);
        let places = [
            ("metrics", "prometheus", settings.metrics, old.metrics),
            ("readiness", "ready", settings.ready, old.ready),
            ("health", "health", health(&settings), health(old)),
        ];
        let places = places.map(|(what, directive, new, old)| (what, directive, new.filter(|_| new != old)));
        http::Sockets::default().open(places)?;
        Ok(match settings.is_another(old) {
            true => Change::All,
            false => Change::Plugins(endpoints),
        })
    }
}

/// What a configuration changes.
enum Change {
    /// Who answers, and perhaps where.
    Plugins(Vec<(SocketAddr, server::Endpoint)>),
    /// More.
    All,
}

fn tell_digest(journal: &Journal, config: &Config) {
    if config.reload().is_some() {
        journal.info(&format!(
            "plugin/reload: Running configuration SHA512 = {}",
            config.digest
        ));
    }
}

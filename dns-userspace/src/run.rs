//! `kxdns run`: puts the parts together, and takes them apart again.
//!
//! Whatever can be refused is opened first and the kernel's side last, so that an agent that cannot start has touched
//! no link.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::FutureExt as _;
use prometheus_client::registry::Registry;
use rustix::process::{Resource as Limited, Rlimit, getrlimit, setrlimit};
use tokio::sync::{Notify, mpsc, oneshot, watch as state};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::Run;
use crate::collect::{AgentMetrics, KernelCollector};
use crate::corefile::Config;
use crate::health::HealthMetrics;
use crate::kernel::hook::AttachMode;
use crate::kernel::maps::{Counts, Tables};
use crate::kernel::pins::Pins;
use crate::kernel::selection::Selection;
use crate::kernel::{links, object, trace};
use crate::manifests::Manifests;
use crate::metrics;
use crate::parts::Parts;
use crate::publish::{KernelSide, Publisher, Update};
use crate::reload::{ReloadMetrics, Reloader};
use crate::server::{Context, Fatal, Journal, Metrics, Server, Sockets};
use crate::settings::Settings;
use crate::sources::SourceMetrics;
use crate::watch::{ApiServer, Resource};
use crate::{corefile, health, http, server, watch};

/// Updates that wait to be put in force; more make their source wait.
const UPDATES: usize = 1024;

/// Runs the agent until it is told to `stop` and the time of `health`'s `lameduck` is over, or until it cannot go on. It reads
/// the Corefile again when it is asked to `reload`.
///
/// # Errors
///
/// What keeps it from starting or from going on, with the way out: one line, or one for each error in the Corefile.
pub async fn run(options: Run, stop: CancellationToken, reload: Arc<Notify>) -> Result<()> {
    raise_file_limit();
    let mut config = corefile::load(&options.corefile)?;
    let mut sockets = AllSockets::default();
    loop {
        let agent = run_by(&options, config, &mut sockets, stop.clone(), reload.clone());
        match Box::pin(agent).await? {
            Some(changed) => config = changed,
            None => return Ok(()),
        }
    }
}

/// The sockets that stay open when an agent is built anew.
#[derive(Default)]
struct AllSockets {
    dns: Sockets,
    http: http::Sockets,
}

/// Runs the agent by a configuration; returns the one by which it is to be built anew, if it is.
async fn run_by(
    options: &Run,
    config: Config,
    sockets: &mut AllSockets,
    stop: CancellationToken,
    reload: Arc<Notify>,
) -> Result<Option<Config>> {
    let settings = Settings::new(&config, options)?;
    let objects = Objects::open(options, &settings).await?;
    let mut registry = metrics::registry();
    let zones = Arc::new(RwLock::new(settings.zone_table()));
    let metrics = Metrics::register(&mut registry);
    let journal = Journal::to_stdout(metrics.lost_lines()).context("cannot write logs")?;
    let context = Context::new(zones.clone(), metrics, journal);
    let endpoints = match options.kernel_only {
        true => Vec::new(),
        false => server::endpoints(&config, &context)?,
    };
    let server = Arc::new(Server::new(sockets.dns.open(endpoints)?, context.metrics.clone()));
    let (address, lameduck) = settings.health.as_ref().map(|it| (it.address, it.lameduck)).unzip();
    let [scrapes, probes, liveness] = sockets.http.open([
        ("metrics", "prometheus", settings.metrics),
        ("readiness", "ready", settings.ready),
        ("health", "health", address),
    ])?;
    let shutdown = CancellationToken::new();
    let mut parts = Parts::new(shutdown.clone());
    // The pins are held until every link is detached.
    let (kernel, _pins) = start_kernel_side(options, &settings, &mut registry, &mut parts, &shutdown)?.unzip();

    let (synced, is_synced) = state::channel(false);
    let publisher = Publisher {
        zones,
        metrics: AgentMetrics::register(&mut registry),
        kernel,
        synced,
    };
    let kinds: Vec<_> = settings.resources.iter().map(|resource| resource.kind).collect();
    let sources = SourceMetrics::register(&mut registry, &kinds);
    let reloads = ReloadMetrics::register(&mut registry);
    let healths = HealthMetrics::register(&mut registry);
    let (sender, updates) = mpsc::channel(UPDATES);
    parts.start("publishing", publisher.follow(updates, shutdown.clone()));
    let following = objects.follow(settings.resources.clone(), sender, sources, shutdown.clone());
    parts.start("following the objects", following);
    let start = server::await_objects(is_synced.clone(), settings.startup_timeout);
    let (serving, told) = (server.clone(), shutdown.clone());
    parts.start("the DNS server", async move {
        serving.serve(start, told).await;
        Ok(())
    });
    if let Some(listener) = scrapes {
        let serving = http::serve(listener, metrics::page(registry), shutdown.clone());
        parts.start("the server of metrics", serving.map(Ok));
    }
    if let Some(listener) = probes {
        // As in CoreDNS: nobody is to send more questions, though those that come are answered.
        let serving = http::serve(listener, http::readiness(is_synced), stop.clone());
        sockets.http.forget(settings.ready);
        parts.start("the server of readiness", until_both(serving, shutdown.clone()));
    }
    if let Some(listener) = liveness {
        let serving = http::serve(listener, http::health, shutdown.clone());
        parts.start("the server of health", serving.map(Ok));
    }
    if let Some(address) = address {
        let watching = health::watch(address, healths, shutdown.clone());
        parts.start("looking at our own health", watching.map(Ok));
    }
    parts.start("looking for loops", fail(context.fatal.clone(), shutdown.clone()));
    parts.start(
        "waiting for the end",
        end(stop, lameduck.unwrap_or_default(), shutdown.clone()),
    );
    let (changed, next) = oneshot::channel();
    let reloader = Reloader::new(options.clone(), settings, server, context, reloads);
    parts.start("following the Corefile", async move {
        if let Some(config) = reloader.follow(config, reload, shutdown.clone()).await {
            // Whoever waits for it does so until all parts have ended.
            let _ = changed.send(config);
            shutdown.cancel();
        }
        Ok(())
    });
    parts.finish().await?;
    Ok(next.await.ok())
}

/// Fails when a plugin tells why the agent cannot go on.
async fn fail(fatal: Fatal, shutdown: CancellationToken) -> Result<()> {
    match shutdown.run_until_cancelled(fatal.wait()).await {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}

/// Goes on until `shutdown`, though the part may end before, but no longer.
async fn until_both(part: impl Future<Output = ()>, shutdown: CancellationToken) -> Result<()> {
    shutdown.run_until_cancelled(part).await;
    shutdown.cancelled().await;
    Ok(())
}

/// Shuts down so long after it was told to stop.
async fn end(stop: CancellationToken, lameduck: Duration, shutdown: CancellationToken) -> Result<()> {
    let wait = async {
        stop.cancelled().await;
        if !lameduck.is_zero() {
            info!("going on for {lameduck:?} (lameduck)");
            sleep(lameduck).await;
        }
    };
    shutdown.run_until_cancelled(wait).await;
    shutdown.cancel();
    Ok(())
}

/// Takes as many files as the agent may have: a socket for each forwarded query and each connection, a link each.
fn raise_file_limit() {
    let limit = getrlimit(Limited::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Limited::Nofile, raised) {
        warn!("cannot raise the limit of open files from {:?}: {error}", limit.current);
    }
}

/// Where the objects come from.
enum Objects {
    Manifests(Manifests),
    ApiServer(ApiServer),
}

impl Objects {
    async fn open(options: &Run, settings: &Settings) -> Result<Self> {
        Ok(match options.manifests.as_slice() {
            [] => Self::ApiServer(watch::client(&settings.api).await?),
            paths => Self::Manifests(Manifests::open(paths)?),
        })
    }

    async fn follow(
        self,
        resources: Vec<Resource>,
        updates: mpsc::Sender<Update>,
        metrics: SourceMetrics,
        shutdown: CancellationToken,
    ) -> Result<()> {
        match self {
            Self::ApiServer(server) => watch::watch(server, resources, updates, metrics, shutdown).await,
            Self::Manifests(manifests) => manifests.follow(&resources, updates, metrics, shutdown).await,
        }
        Ok(())
    }
}

/// Makes the maps and starts following the links; `None` where nothing is to be attached.
fn start_kernel_side(
    options: &Run,
    settings: &Settings,
    registry: &mut Registry,
    parts: &mut Parts,
    shutdown: &CancellationToken,
) -> Result<Option<(KernelSide, Pins)>> {
    if options.attach == AttachMode::None {
        return Ok(None);
    }
    let selection = Selection::from_patterns(&options.interfaces).context("--interface")?;
    let mut ebpf = object::open(options.trace)?;
    let pins = Pins::pin(&options.bpffs, &ebpf)?;
    let tables = Tables::take(&mut ebpf)?;
    let counts = Counts::take(&mut ebpf)?;
    tell_plan(settings);
    let side = KernelSide::new(
        tables,
        settings.kernel_zones.clone(),
        settings.passage.clone(),
        options.served.clone(),
        options.lease,
    )?;
    if options.trace {
        trace::start(&mut ebpf, shutdown.clone())?;
    }
    let (states, links) = state::channel(Vec::new());
    registry.register_collector(Box::new(KernelCollector { counts, links }));
    let (mode, shutdown) = (options.attach, shutdown.clone());
    parts.start_blocking("following the links", move || {
        Ok(links::follow(ebpf, selection, mode, states, shutdown)?)
    });
    Ok(Some((side, pins)))
}

/// Says what the kernel answers of each zone, and why no more.
fn tell_plan(settings: &Settings) {
    for plan in &settings.plan {
        match plan.is_passed() {
            false => info!("{plan}"),
            true => warn!("{plan}"),
        }
    }
}

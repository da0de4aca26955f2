//! `kxdns run`: puts the parts together, and takes them apart again.

use std::sync::{Arc, RwLock};
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot, watch as state};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::Run;
use crate::collect::{AgentMetrics, KernelCollector};
use crate::index::Event;
use crate::kernel::hook::AttachMode;
use crate::kernel::links::{self, Fatal};
use crate::kernel::maps::{Counts, Tables};
use crate::kernel::object;
use crate::kernel::pins::Pins;
use crate::kernel::selection::Selection;
use crate::kernel::trace;
use crate::manifests::Manifests;
use crate::metrics::{self, ServerMetrics};
use crate::publish::{KernelSide, Publisher};
use crate::settings::Settings;
use crate::zone::ZoneTable;
use crate::{corefile, server, watch};

/// Events that wait to be put in force; more make their source wait.
const EVENTS: usize = 1024;

/// Runs the agent until `shutdown`, or until it cannot go on.
pub async fn run(options: Run, shutdown: CancellationToken) -> Result<()> {
    let config = corefile::load(&options.corefile)?;
    let settings = Settings::new(&config, &options)?;
    let mut registry = metrics::registry();
    let agent_metrics = AgentMetrics::register(&mut registry);
    let zones = Arc::new(RwLock::new(ZoneTable::new(settings.zones.clone())));
    let events = follow_objects(&options, &settings, &shutdown).await?;
    let kernel = Kernel::start(&options, &settings, &mut registry, &shutdown)?;
    let tasks = TaskTracker::new();
    if !options.kernel_only {
        let listeners = server::bind(&settings.listen)?;
        let answers = ServerMetrics::register(&mut registry);
        let routes = server::Routes {
            fallthrough: settings.fallthrough,
            upstreams: settings.upstreams,
        };
        tasks.spawn(server::serve(
            listeners,
            zones.clone(),
            routes,
            answers,
            shutdown.clone(),
        ));
    }
    if let Some(address) = settings.metrics {
        let listener = metrics::bind(address).await?;
        tasks.spawn(metrics::serve(listener, Arc::new(registry), shutdown.clone()));
    }
    let (side, ended) = kernel.map_or((None, None), |kernel| {
        (Some(kernel.side), Some((kernel.pins, kernel.ended)))
    });
    let publisher = Publisher {
        zones,
        metrics: agent_metrics,
        kernel: side,
    };
    let published = follow_until_told(publisher, events, ended, shutdown.clone()).await;
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
    published
}

/// Starts following the objects, from files or from the API server.
async fn follow_objects(
    options: &Run,
    settings: &Settings,
    shutdown: &CancellationToken,
) -> Result<mpsc::Receiver<Event>> {
    let (sender, events) = mpsc::channel(EVENTS);
    if options.manifests.is_empty() {
        let server = watch::client(&settings.api).await?;
        tokio::spawn(watch::watch(server, sender, shutdown.clone()));
    } else {
        let manifests = Manifests::open(&options.manifests)?;
        tokio::spawn(manifests.follow(sender, shutdown.clone()));
    }
    Ok(events)
}

/// Puts events in force until `shutdown`, or until the links can be followed no more.
async fn follow_until_told(
    publisher: Publisher,
    events: mpsc::Receiver<Event>,
    links: Option<(Pins, oneshot::Receiver<Result<(), Fatal>>)>,
    shutdown: CancellationToken,
) -> Result<()> {
    let published = publisher.follow(events, shutdown.clone());
    let Some((_pins, mut links)) = links else {
        return published.await;
    };
    tokio::pin!(published);
    tokio::select! {
        published = &mut published => {
            shutdown.cancel();
            published?;
            ended(links.await)
        }
        links = &mut links => {
            shutdown.cancel();
            published.await?;
            ended(links)
        }
    }
}

fn ended(links: Result<Result<(), Fatal>, oneshot::error::RecvError>) -> Result<()> {
    Ok(links.map_err(|_| anyhow!("the thread that follows the links is gone"))??)
}

/// The kernel's side, once it runs.
struct Kernel {
    side: KernelSide,
    pins: Pins,
    /// How the following of links ended.
    ended: oneshot::Receiver<Result<(), Fatal>>,
}

impl Kernel {
    /// Opens the object and follows the links; `None` where nothing is to be attached.
    fn start(
        options: &Run,
        settings: &Settings,
        registry: &mut Registry,
        shutdown: &CancellationToken,
    ) -> Result<Option<Self>> {
        if options.attach == AttachMode::None {
            return Ok(None);
        }
        let mut ebpf = object::open(options.trace)?;
        let pins = Pins::pin(&options.bpffs, &ebpf)?;
        let tables = Tables::take(&mut ebpf)?;
        let counts = Counts::take(&mut ebpf)?;
        if options.trace {
            trace::start(&mut ebpf, shutdown.clone())?;
        }
        let selection = match options.interfaces.as_slice() {
            [] => Selection::pod_links(),
            patterns => Selection::from_patterns(patterns).context("--interface")?,
        };
        let (states, links) = state::channel(Vec::new());
        registry.register_collector(Box::new(KernelCollector { counts, links }));
        let (sender, ended) = oneshot::channel();
        let (mode, stop) = (options.attach, shutdown.clone());
        thread::Builder::new().name("links".into()).spawn(move || {
            // Nobody waits for it only where the agent is gone already.
            let _ = sender.send(links::follow(ebpf, selection, mode, states, stop));
        })?;
        let side = KernelSide::new(
            tables,
            settings.kernel_zones.clone(),
            options.served.clone(),
            options.lease,
        )?;
        Ok(Some(Self { side, pins, ended }))
    }
}

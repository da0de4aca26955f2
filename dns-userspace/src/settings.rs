//! What the agent does, from its command line and its Corefile.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use dns_ebpf::maps::SERVED;
use prometheus_client::registry::Registry;

use crate::cli::Run;
use crate::cluster::object::{IMPORT_NAME, Kind};
use crate::corefile::{self, ApiServer, Cache, Config, Health, Keeping, Kubernetes, ServerBlock, ZonePlan, is_reverse};
use crate::kernel::{self, zones::KernelZone};
use crate::rules::Options;
use crate::server::{self, Context, Journal, Metrics, Passage};
use crate::watch::{ApiSource, Resource, TlsFiles};
use crate::zone::{self, ServedZone, ZoneOptions, ZoneTable};

/// What the agent does.
#[derive(Debug)]
pub struct Settings {
    /// The zones that it answers for.
    pub zones: Vec<ServedZone>,
    /// What holds in all of them.
    pub zone_options: ZoneOptions,
    /// The objects that their names are made of.
    pub resources: Vec<Resource>,
    /// What the kernel may answer of each of the Corefile's zones.
    pub plan: Vec<ZonePlan>,
    /// The zones that the kernel answers from.
    pub kernel_zones: Vec<KernelZone>,
    /// The API server to watch.
    pub api: ApiSource,
    /// What the kernel's replies are to go through.
    pub passage: Passage,
    /// How long the server waits for all objects to be known before it answers without them.
    pub startup_timeout: Duration,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Where it is told whether all objects are known.
    pub ready: Option<SocketAddr>,
    /// Where it is told that the server lives, and for how long that goes on after the signal to stop; not if only the kernel
    /// answers.
    pub health: Option<Health>,
}

impl Settings {
    /// Works out what to do.
    ///
    /// # Errors
    ///
    /// Fails where the Corefile or the command line asks for what this agent cannot do.
    pub fn new(config: &Config, options: &Run) -> Result<Self> {
        check_served(&options.served)?;
        if !options.kernel_only {
            config.check_support()?;
        }
        let (server, kubernetes) = find_kubernetes(config, &options.corefile)?;
        let plan = corefile::plan(config);
        let zones = zones(&plan);
        check_selectors(kubernetes, options)?;
        let zone_options = zone_options(server, kubernetes)?;
        Ok(Self {
            zones,
            kernel_zones: kernel::zones::choose(&plan, &zone_options.names),
            zone_options,
            resources: resources(kubernetes),
            plan,
            api: api_source(kubernetes, options),
            passage: Passage {
                cache: server.cache.clone(),
                payload_limit: server.bufsize,
            },
            startup_timeout: kubernetes.startup_timeout,
            metrics: config.servers.iter().find_map(|server| server.prometheus),
            ready: config.servers.iter().find_map(|server| server.ready),
            health: config
                .servers
                .iter()
                .find_map(|server| server.health.clone())
                .filter(|_| !options.kernel_only),
        })
    }

    /// Whether an agent that does this has to be built anew to do that: no, where only its server's plugins differ.
    pub fn is_another(&self, other: &Self) -> bool {
        let parts = |settings: &Self| {
            (
                settings.zones.clone(),
                settings.zone_options.clone(),
                settings.resources.clone(),
                settings.kernel_zones.clone(),
                settings.api.clone(),
                settings.kernel_passage(),
                (settings.metrics, settings.ready, settings.health.clone()),
            )
        };
        parts(self) != parts(other)
    }

    /// What of the passage matters to the kernel.
    fn kernel_passage(&self) -> Passage {
        let Passage { cache, payload_limit } = self.passage.clone();
        let cache = cache.map(|cache| Cache {
            keeping: Keeping::default(),
            ..cache
        });
        Passage { cache, payload_limit }
    }

    /// An empty table of the zones.
    pub fn zone_table(&self) -> ZoneTable {
        let kinds = self.resources.iter().map(|resource| resource.kind).collect();
        ZoneTable::new(self.zones.clone(), self.zone_options.clone(), kinds)
    }
}

/// Checks that these addresses fit beside the DNS Service's, of which there is one of each family at most.
fn check_served(served: &[IpAddr]) -> Result<()> {
    const MOST: usize = SERVED - 1;
    let ipv6 = served.iter().filter(|address| address.is_ipv6()).count();
    let most = ipv6.max(served.len() - ipv6);
    ensure!(
        most <= MOST,
        "--served: {most} addresses of one family; kxdns takes {MOST} at most"
    );
    match served
        .iter()
        .find(|address| address.is_unspecified() || address.is_multicast())
    {
        Some(address) => bail!("--served {address}: no address that a pod can ask; give the DNS Service's cluster IP"),
        None => Ok(()),
    }
}

/// Checks that an agent can run under a configuration.
///
/// # Errors
///
/// Fails as [`Settings::new`] does.
pub fn check(config: &Config, corefile: &Path, kernel_only: bool) -> Result<()> {
    if !kernel_only {
        config.check_support()?;
    }
    let (server, kubernetes) = find_kubernetes(config, corefile)?;
    let table = ZoneTable::new(
        zones(&corefile::plan(config)),
        zone_options(server, kubernetes)?,
        Vec::new(),
    );
    let zones = Arc::new(RwLock::new(table));
    let context = Context::new(zones, Metrics::register(&mut Registry::default()), Journal::to_nobody());
    match kernel_only {
        true => Ok(()),
        false => server::endpoints(config, &context).map(drop),
    }
}

/// Finds the one server block with `kubernetes`.
fn find_kubernetes<'c>(config: &'c Config, corefile: &Path) -> Result<(&'c ServerBlock, &'c Kubernetes)> {
    let mut found = config
        .servers
        .iter()
        .filter_map(|server| Some((server, server.kubernetes.as_ref()?)));
    let Some(first) = found.next() else {
        let advice = "add one such as `kubernetes cluster.local` to the server block of the cluster's zone";
        bail!("{}: no `kubernetes`; {advice}", corefile.display())
    };
    match found.next() {
        Some((_, second)) => bail!(
            "{}: a second `kubernetes`; kxdns serves the zones of one: give the first, at {}, the zones of both",
            second.span,
            first.1.span
        ),
        None => Ok(first),
    }
}

/// Checks that the objects are chosen by somebody: the API server does it, nobody does for manifests.
fn check_selectors(kubernetes: &Kubernetes, options: &Run) -> Result<()> {
    let given = [
        ("labels", &kubernetes.labels),
        ("namespace_labels", &kubernetes.namespace_labels),
    ];
    match given.into_iter().find(|(_, selector)| !selector.is_empty()) {
        Some((option, _)) if !options.manifests.is_empty() => bail!(
            "--manifests: every object counts, so `{option}` of `kubernetes` at {} cannot be followed; remove it",
            kubernetes.span
        ),
        _ => Ok(()),
    }
}

fn zones(plan: &[ZonePlan]) -> Vec<ServedZone> {
    let zone = |plan: &ZonePlan| ServedZone {
        name: plan.zone.clone(),
        reverse: is_reverse(&plan.zone),
    };
    plan.iter().map(zone).collect()
}

fn zone_options(server: &ServerBlock, kubernetes: &Kubernetes) -> Result<ZoneOptions> {
    // As in CoreDNS: a server that is bound to addresses has no name.
    let (local, dns_service) = match server.bind.as_slice() {
        [] => (own_addresses()?, Some(zone::dns_service())),
        _ => (Vec::new(), None),
    };
    Ok(ZoneOptions {
        names: Options::new(kubernetes, local, dns_service),
        ttl: kubernetes.ttl,
        primary: kubernetes.primary_zone().cloned().context("no primary zone")?,
        fallthrough: kubernetes.fallthrough.clone(),
    })
}

/// The addresses of the host, those of a single link included.
fn own_addresses() -> Result<Vec<IpAddr>> {
    let interfaces = if_addrs::get_if_addrs().context("cannot find out the host's addresses")?;
    Ok(interfaces.iter().map(if_addrs::Interface::ip).collect())
}

/// The objects that names are made of, and which of them count.
fn resources(kubernetes: &Kubernetes) -> Vec<Resource> {
    let selector = |kind| match kind {
        Kind::Namespace | Kind::ServiceImport => kubernetes.namespace_labels.clone(),
        Kind::Service | Kind::EndpointSlice | Kind::Pod => kubernetes.labels.clone(),
        Kind::ImportedSlice => match kubernetes.labels.as_str() {
            "" => IMPORT_NAME.to_owned(),
            labels => format!("{labels},{IMPORT_NAME}"),
        },
    };
    let resource = |kind| Resource {
        kind,
        selector: selector(kind),
    };
    zone::kinds(kubernetes).into_iter().map(resource).collect()
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Arguments, Command};
    use crate::corefile::Verdict;

    const CLASSIC: &str = ".:53 {\n  kubernetes cluster.local in-addr.arpa ip6.arpa {\n    ttl 7\n  }\n  \
                           prometheus :9153\n  forward . 10.0.0.2\n}\n";

    #[test]
    fn serves_the_classic_corefile() {
        let settings = read(CLASSIC, &[]).unwrap();
        let names: Vec<_> = settings
            .zones
            .iter()
            .map(|zone| (zone.name.to_string(), zone.reverse))
            .collect();
        let expected = [("cluster.local.", false), ("in-addr.arpa.", true), ("ip6.arpa.", true)];
        assert_eq!(names, expected.map(|(name, reverse)| (name.to_owned(), reverse)));
        assert_eq!(
            (settings.zone_options.ttl, settings.zone_options.primary.to_string()),
            (7, "cluster.local.".into())
        );
        assert!(settings.plan.iter().all(|plan| plan.verdict == Verdict::Everything));
        assert_eq!(settings.kernel_zones.len(), 3);
        assert_eq!(settings.metrics, Some("[::]:9153".parse().unwrap()));
        assert_eq!(settings.api, ApiSource::InCluster);
    }

    #[test]
    fn watches_the_objects_that_the_selectors_choose() {
        let selectors = |options: &str| -> Vec<_> {
            let corefile = CLASSIC.replace(
                "ttl 7",
                &format!("pods verified\n  multicluster cluster.local\n{options}"),
            );
            let resources = read(&corefile, &[]).unwrap().resources.into_iter();
            resources.map(|resource| resource.selector).collect()
        };
        assert_eq!(selectors(""), ["", "", "", "", "", IMPORT_NAME]);
        let both = "labels a in (b, c)\n namespace_labels d=e";
        let chosen = format!("a in (b, c),{IMPORT_NAME}");
        let labels = "a in (b, c)";
        assert_eq!(selectors(both), ["d=e", labels, labels, labels, "d=e", &chosen]);
    }

    #[test]
    fn tells_nobody_of_its_life_if_only_the_kernel_answers() {
        let two_ports = format!("{CLASSIC}example.org:54 {{\n  health\n  forward . 10.0.0.3\n}}\n");
        let settings = read(&two_ports, &["--kernel-only"]).unwrap();
        assert!(settings.health.is_none());
        let health = read(&two_ports, &[]).unwrap().health.unwrap();
        assert_eq!(
            (health.address, health.lameduck),
            ("[::]:8080".parse().unwrap(), Duration::ZERO)
        );
    }

    #[test]
    fn knows_its_own_addresses_unless_it_is_bound_to_some() {
        let names = |corefile: &str| read(corefile, &[]).unwrap().zone_options.names;
        let free = names(CLASSIC);
        assert!(free.local.iter().any(IpAddr::is_loopback), "{:?}", free.local);
        assert!(free.dns_service.is_some());
        let bound = names(&CLASSIC.replace("prometheus", "bind 10.0.0.1\n  prometheus"));
        assert_eq!((bound.local, bound.dns_service), (vec![], None));
    }

    #[test]
    fn takes_the_api_server_from_the_command_line_before_the_corefile() {
        let corefile = CLASSIC.replace("ttl 7", "endpoint http://10.0.0.1:8080");
        let endpoint = ApiSource::Endpoint {
            url: "http://10.0.0.1:8080".into(),
            tls: None,
        };
        assert_eq!(read(&corefile, &[]).unwrap().api, endpoint);
        let kubeconfig = ApiSource::Kubeconfig {
            path: "/k".into(),
            context: None,
        };
        assert_eq!(read(&corefile, &["--kubeconfig", "/k"]).unwrap().api, kubeconfig);
    }

    #[test]
    fn says_what_it_cannot_do_and_the_way_out() {
        let [none, second] = [
            ".:53 {\n  forward . 10.0.0.2\n}\n".to_owned(),
            format!("{CLASSIC}b.local {{\n  kubernetes b.local\n}}\n"),
        ];
        for (corefile, expected) in [
            (
                none,
                "Corefile: no `kubernetes`; add one such as `kubernetes cluster.local` to",
            ),
            (
                second,
                "Corefile:9:3: a second `kubernetes`; kxdns serves the zones of one: give the first, at Corefile:2:3",
            ),
        ] {
            let error = read(&corefile, &[]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn takes_no_more_addresses_than_fit_beside_the_dns_services() {
        let addresses: Vec<_> = (1..=SERVED).map(|number| format!("10.0.0.{number}")).collect();
        let mut arguments: Vec<_> = ["--served", "fd00::1"].into();
        arguments.extend(addresses.iter().map(String::as_str));
        let error = read(CLASSIC, &arguments).unwrap_err().to_string();
        assert_eq!(error, "--served: 8 addresses of one family; kxdns takes 7 at most");
        arguments.pop();
        read(CLASSIC, &arguments).unwrap();
        for address in ["0.0.0.0", "::", "224.0.0.1"] {
            let error = read(CLASSIC, &["--served", address]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("--served {address}: no address that a pod can ask")),
                "{error}"
            );
        }
    }

    fn read(corefile: &str, arguments: &[&str]) -> Result<Settings> {
        let config = corefile::parse(Path::new("Corefile"), corefile).unwrap();
        let line = ["kxdns", "run", "--corefile", "Corefile"].iter().chain(arguments);
        let Command::Run(options) = Arguments::try_parse_from(line).unwrap().command else {
            panic!("not `run`");
        };
        Settings::new(&config, &options)
    }
}

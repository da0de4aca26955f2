//! A relist: what it costs when a server must list everything anew, and whether it then tells the truth.
//!
//! The server is stopped, the API server is restarted over its etcd and objects of each kind change. The new watch caches
//! begin where etcd is then, so the API server says 410 to the watches that the server resumes.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kxdns_tests::cluster::object;
use kxdns_tests::usage::{memory, processor_time, reset_peak};
use kxdns_tests::wait::until;
use serde_json::json;

use crate::changes::{Turn, replace_pod};
use crate::fill::create_service;
use crate::listings;
use crate::names::{dns_name, namespace_name, service_name, slice_name};
use crate::population::Population;
use crate::probe::Expectation;
use crate::report::progress;
use crate::server::{Rival, Server};
use crate::stage::{Stage, expectation};
use crate::sync::REST;

const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);
/// Namespaces, Services and EndpointSlices.
const KINDS: usize = 3;

/// What a relist has shown.
#[derive(Clone, Debug)]
pub(crate) struct Relist {
    /// From the moment that the server goes on until it answers rightly for all that has changed and, of kxdns, until
    /// its log has all lists.
    pub(crate) converged: Duration,
    /// Processor time until then.
    pub(crate) processor: Duration,
    /// The peak of the resident memory until [`REST`] later, in bytes.
    pub(crate) peak: u64,
    /// The resident memory then.
    pub(crate) rest: u64,
}

/// Makes a running server list everything anew, and awaits that it answers by it.
pub(crate) fn relist(stage: &mut Stage, server: &Server, population: Population, turn: &mut Turn) -> Result<Relist> {
    let listed = count_lists(server);
    let said = server.process.output().len();
    server.process.pause()?;
    stage.cluster.run(move_on)?;
    stage.cluster.restart_api_server()?;
    let expected = stage
        .cluster
        .run(async |client| change_each_kind(&client, population, turn).await)?;
    reset_peak(server.pid)?;
    let used = processor_time(server.pid)?;
    let resumed = Instant::now();
    server.process.resume()?;
    let mut probe = server.probe()?;
    for expected in expected {
        probe.await_right(&expected, PAUSE, LIMIT)?;
    }
    if server.rival == Rival::Kxdns {
        until("a relist", LIMIT, || {
            Ok((count_lists(server) >= listed + KINDS).then_some(()))
        })?;
    }
    let (converged, processor) = (resumed.elapsed(), processor_time(server.pid)? - used);
    sleep(REST);
    let memory = memory(server.pid)?;
    let words = server.process.output().split_off(said);
    progress(&format!("{} said: {words}", server.rival.name()));
    Ok(Relist {
        converged,
        processor,
        peak: memory.peak,
        rest: memory.now,
    })
}

fn count_lists(server: &Server) -> usize {
    listings::read(&server.process.output()).len()
}

/// Moves etcd's revision beyond all that any watch has told.
async fn move_on(client: Client) -> Result<()> {
    let mark: ConfigMap = object(json!({"metadata": {"generateName": "mark-"}}))?;
    let marks: Api<ConfigMap> = Api::namespaced(client, "default");
    marks.create(&PostParams::default(), &mark).await?;
    Ok(())
}

/// Changes a Namespace, creates a Service, deletes another and replaces a pod, and returns what is then to be answered.
async fn change_each_kind(client: &Client, population: Population, turn: &mut Turn) -> Result<Vec<Expectation>> {
    let number = turn.next();
    let labels = Patch::Merge(json!({"metadata": {"labels": {"turn": number.to_string()}}}));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .patch(&namespace_name(number), &PatchParams::default(), &labels)
        .await?;
    let new = population.headless_beyond(number);
    let slice = create_service(client.clone(), population, new).await?;
    let changed = population.headless(number);
    let changed_slice = replace_pod(client, changed, turn).await?;
    let gone = delete_service(client, population.headless(number + 1)).await?;
    Ok(vec![
        expectation(new, &slice)?,
        expectation(changed, &changed_slice)?,
        gone,
    ])
}

async fn delete_service(client: &Client, number: usize) -> Result<Expectation> {
    let namespace = namespace_name(number);
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    services.delete(&service_name(number), &DeleteParams::default()).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace);
    slices.delete(&slice_name(number), &DeleteParams::default()).await?;
    Ok(Expectation {
        name: dns_name(number),
        addresses: BTreeSet::new(),
    })
}

//! A relist: what it costs when a server must list everything anew, and whether it then tells the truth.
//!
//! The server is stopped, the API server is restarted over its etcd and objects of each kind change. The new watch caches
//! begin where etcd is then, so the API server says 410 to the watches that the server resumes.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use kxdns_tests::cluster::object;
use kxdns_tests::usage::{Memory, memory, processor_time, reset_peak};
use kxdns_tests::wait::until;
use serde_json::json;

use super::fill::create_service;
use super::listings;
use super::names::{dns_name, namespace_name, service_name, slice_name};
use super::population::Population;
use super::probe::Expectation;
use super::server::{Rival, Server};
use super::slices::Slices;
use super::stage::Stage;

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
    /// The resident memory when it has rested.
    pub(crate) rest: Memory,
}

/// Makes a running server list everything anew, and awaits that it answers by it. No relist before may have had this number.
pub(crate) fn relist(
    stage: &mut Stage,
    server: &Server,
    population: Population,
    number: usize,
    rest: Duration,
) -> Result<Relist> {
    let listed = count_lists(server);
    server.process.pause()?;
    stage.cluster.run(move_on)?;
    stage.cluster.restart_api_server()?;
    let slices = &stage.slices;
    let change = async |client| change_each_kind(&client, slices, population, number).await;
    let expected = stage.cluster.run(change)?;
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
    sleep(rest);
    Ok(Relist {
        converged,
        processor,
        rest: memory(server.pid)?,
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
async fn change_each_kind(
    client: &Client,
    slices: &Slices,
    population: Population,
    number: usize,
) -> Result<Vec<Expectation>> {
    let labels = Patch::Merge(json!({"metadata": {"labels": {"relist": number.to_string()}}}));
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces
        .patch(&namespace_name(number), &PatchParams::default(), &labels)
        .await?;
    let new = create_service(client.clone(), population, population.headless_beyond(number)).await?;
    let mut changed = slices.take(usize::MAX).context("no Service to change")?;
    changed.replace_pod(slices.next_address())?;
    changed.write(client).await?;
    let gone = slices.remove().context("no Service to delete")?;
    delete_service(client, gone.service).await?;
    let nothing = Expectation {
        name: dns_name(gone.service),
        addresses: BTreeSet::new(),
    };
    let expected = vec![new.expectation()?, changed.expectation()?, nothing];
    slices.put_back(changed);
    Ok(expected)
}

async fn delete_service(client: &Client, number: usize) -> Result<()> {
    let namespace = namespace_name(number);
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    services.delete(&service_name(number), &DeleteParams::default()).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace);
    slices.delete(&slice_name(number), &DeleteParams::default()).await?;
    Ok(())
}

//! Changes of single endpoints, and how fast they get through: inside the agent, by its own histograms, and from the
//! API server's reply to the answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::PostParams;
use kube::{Api, Client};
use kxdns_tests::histogram::Histogram;

use crate::names::{namespace_name, replacement_address, slice_name};
use crate::population::Population;
use crate::probe::Probe;
use crate::server::Server;
use crate::stage::{Stage, expectation, is_ready};

/// How many endpoints change for the agent's histograms.
pub(crate) const COUNTED: usize = 2_000;
/// How many changes are timed from outside.
pub(crate) const TIMED: usize = 300;

const LIMIT: Duration = Duration::from_secs(20);
/// How exactly a change's time is known.
const PAUSE: Duration = Duration::from_micros(100);
/// Steps through the Services so that neighbours in time are none in the tables.
const STRIDE: usize = 7_919;

/// What changes do inside the agent, by its histograms.
#[derive(Clone, Debug)]
pub(crate) struct Inside {
    pub(crate) seconds: Histogram,
    pub(crate) names: Histogram,
}

/// Changes [`COUNTED`] endpoints, one after the other: half become ready or unready, the others get a new address.
pub(crate) fn count_changes(stage: &Stage, server: &Server, population: Population, turn: &mut Turn) -> Result<Inside> {
    let read = || -> Result<Inside> {
        let metrics = server.metrics()?;
        let seconds = Histogram::read(&metrics, "kxdns_update_duration_seconds");
        Ok(Inside {
            seconds,
            names: Histogram::read(&metrics, "kxdns_update_names"),
        })
    };
    let before = read()?;
    let mut probe = server.probe()?;
    let turn = &mut *turn;
    stage.cluster.run(async |client| {
        for number in 0..COUNTED {
            let service = number * STRIDE % population.services;
            // No factor in common with the stride: a Service gets either kind of change.
            let change = if number / 3 % 2 == 0 {
                Change::Readiness
            } else {
                turn.next_address()
            };
            change_endpoint(&client, service, number, change).await?;
        }
        // When the last change is answered, all are in force: events of a kind come in their order.
        time_change(&client, population, turn, &mut probe).await
    })?;
    let after = read()?;
    Ok(Inside {
        seconds: &after.seconds - &before.seconds,
        names: &after.names - &before.names,
    })
}

/// The times from the API server's reply to the first right answer, ascending.
pub(crate) fn time_changes(
    stage: &Stage,
    server: &Server,
    population: Population,
    turn: &mut Turn,
) -> Result<Vec<Duration>> {
    let mut probe = server.probe()?;
    let turn = &mut *turn;
    let mut times = stage.cluster.run(async |client| {
        let mut times = Vec::new();
        for _ in 0..TIMED {
            times.push(time_change(&client, population, turn, &mut probe).await?);
        }
        Ok(times)
    })?;
    times.sort_unstable();
    Ok(times)
}

/// Counts changes over the whole run, so that none repeats what another did.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    changes: usize,
}

impl Turn {
    /// A number that no change has had yet.
    pub(crate) fn next(&mut self) -> usize {
        self.changes += 1;
        self.changes
    }

    fn next_address(&mut self) -> Change {
        Change::Address(self.next())
    }
}

/// What happens to an endpoint.
#[derive(Clone, Copy, Debug)]
enum Change {
    Readiness,
    /// Its pod is replaced by one of this number.
    Address(usize),
}

impl Change {
    fn make(self, endpoint: &mut Endpoint) {
        match self {
            Change::Readiness => {
                let conditions = endpoint.conditions.get_or_insert_default();
                let ready = !conditions.ready.unwrap_or(true);
                (conditions.ready, conditions.serving) = (Some(ready), Some(ready));
            }
            Change::Address(number) => endpoint.addresses = vec![replacement_address(number).to_string()],
        }
    }
}

/// Gives a ready endpoint of a headless Service a new address, and awaits the answer that has it.
async fn time_change(client: &Client, population: Population, turn: &mut Turn, probe: &mut Probe) -> Result<Duration> {
    let change = turn.next_address();
    let service = population.headless(turn.changes * STRIDE);
    let slice = change_ready_endpoint(client, service, change).await?;
    let replied = Instant::now();
    Ok(probe.await_right(&expectation(service, &slice)?, PAUSE, LIMIT)? - replied)
}

/// Gives a Service's first endpoint that is ready a new address.
pub(crate) async fn replace_pod(client: &Client, service: usize, turn: &mut Turn) -> Result<EndpointSlice> {
    let change = turn.next_address();
    change_ready_endpoint(client, service, change).await
}

async fn change_ready_endpoint(client: &Client, service: usize, change: Change) -> Result<EndpointSlice> {
    edit_slice(client, service, |endpoints| {
        let endpoint = endpoints.iter_mut().find(|endpoint| is_ready(endpoint));
        endpoint.map(|endpoint| change.make(endpoint))
    })
    .await
}

async fn change_endpoint(client: &Client, service: usize, number: usize, change: Change) -> Result<EndpointSlice> {
    edit_slice(client, service, |endpoints| {
        let at = number % endpoints.len().max(1);
        endpoints.get_mut(at).map(|endpoint| change.make(endpoint))
    })
    .await
}

/// Writes a slice as the endpoint slice controller does: whole.
async fn edit_slice(
    client: &Client,
    service: usize,
    edit: impl FnOnce(&mut [Endpoint]) -> Option<()>,
) -> Result<EndpointSlice> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &namespace_name(service));
    let name = slice_name(service);
    let mut slice = slices.get(&name).await?;
    let endpoints = slice.endpoints.as_mut().context("no endpoints")?;
    edit(endpoints).with_context(|| format!("{name} has no endpoint to change"))?;
    Ok(slices.replace(&name, &PostParams::default(), &slice).await?)
}

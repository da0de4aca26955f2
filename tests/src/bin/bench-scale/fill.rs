//! Filling the API server: many creations at once, since each waits mostly for etcd.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kube::{Api, Client};
use kxdns_tests::cluster::Cluster;
use tokio::task::JoinSet;

use crate::names::{NAMESPACES, namespace_name};
use crate::population::Population;
use crate::report::progress;

const TASKS: usize = 48;
const TOLD_EVERY: usize = 500;

/// Creates all Namespaces.
pub(crate) fn create_namespaces(cluster: &Cluster) -> Result<()> {
    cluster.run(async |client| {
        create_all(0..NAMESPACES, move |number| {
            let namespaces = Api::all(client.clone());
            async move {
                namespaces
                    .create(&params(), &Population::namespace(number)?)
                    .await
                    .map(drop)
                    .context("a Namespace")
            }
        })
        .await
    })
}

/// Creates the Services of these numbers with their EndpointSlices.
pub(crate) fn create_services(cluster: &Cluster, population: Population, numbers: Range<usize>) -> Result<()> {
    let start = Instant::now();
    let count = numbers.len();
    let filling = async |client: Client| {
        create_all(numbers, move |number| {
            let client = client.clone();
            async move { create_service(client, population, number).await.map(drop) }
        })
        .await
    };
    cluster.run(filling)?;
    progress(&format!(
        "{count} Services filled in within {:.1} s",
        start.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Creates a Service and its EndpointSlice, which is returned.
pub(crate) async fn create_service(client: Client, population: Population, number: usize) -> Result<EndpointSlice> {
    let namespace = namespace_name(number);
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let service = services
        .create(&params(), &Population::service(number)?)
        .await
        .context("a Service")?;
    let slices: Api<EndpointSlice> = Api::namespaced(client, &namespace);
    let slice = population.slice(number, &service)?;
    slices.create(&params(), &slice).await.context("an EndpointSlice")
}

/// Calls `create` for every number, [`TASKS`] at a time, and fails with the first that fails.
async fn create_all<F>(numbers: Range<usize>, create: impl Fn(usize) -> F + Send + Sync + 'static) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let create = Arc::new(create);
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (next, create, end) = (Arc::clone(&next), Arc::clone(&create), numbers.end);
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return anyhow::Ok(());
                }
                if number % TOLD_EVERY == TOLD_EVERY - 1 {
                    progress(&format!("filling: {} of {end}", number + 1));
                }
                create(number).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some("kube-controller-manager".to_owned()),
        ..PostParams::default()
    }
}

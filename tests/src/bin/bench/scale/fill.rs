//! Filling the API server: many creations at once, since each waits mostly for etcd.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::PostParams;
use kube::{Api, Client};
use kxdns_tests::cluster::Cluster;
use tokio::task::JoinSet;

use super::names::{NAMESPACES, is_headless, namespace_name};
use super::population::Population;
use super::slices::Slice;
use super::stage::Stage;

const TASKS: usize = 48;

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
pub(crate) fn create_services(stage: &Stage, population: Population, numbers: Range<usize>) -> Result<()> {
    stage.cluster.run(async |client| {
        let slices = Arc::clone(&stage.slices);
        create_all(numbers, move |number| {
            let (client, slices) = (client.clone(), Arc::clone(&slices));
            async move {
                let slice = create_service(client, population, number).await?;
                if is_headless(number) {
                    slices.add(slice);
                }
                Ok(())
            }
        })
        .await
    })
}

/// Creates a Service and its EndpointSlice, which is returned.
pub(crate) async fn create_service(client: Client, population: Population, number: usize) -> Result<Slice> {
    let namespace = namespace_name(number);
    let services: Api<Service> = Api::namespaced(client.clone(), &namespace);
    let service = services
        .create(&params(), &Population::service(number)?)
        .await
        .context("a Service")?;
    let slices: Api<EndpointSlice> = Api::namespaced(client, &namespace);
    let slice = population.slice(number, &service)?;
    let slice = slices.create(&params(), &slice).await.context("an EndpointSlice")?;
    Ok(Slice::new(number, slice))
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

//! Makes one world of another in the API server, and waits until the controller has made its slices of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kube::Client;
use serde_json::{Value, json};

use crate::api::{Write, list, write_all};
use crate::controller::{Slices, expected_slices};
use crate::world::{Key, Kind, World};

const CONTROLLER_LIMIT: Duration = Duration::from_secs(30);

/// Writes what makes `new` of `old`, and waits for the controller.
///
/// A namespace that is to lack while it holds objects is made for as long as those are written.
pub(crate) async fn apply(client: &Client, old: &World, new: &World) -> Result<()> {
    let closings = write_objects(client, old, new).await?;
    await_controller(client, new).await?;
    close(client, &closings).await
}

/// Writes what makes `new` of `old`, and waits for nobody.
pub(crate) async fn write(client: &Client, old: &World, new: &World) -> Result<()> {
    let closings = write_objects(client, old, new).await?;
    close(client, &closings).await
}

/// Writes all but the ends of Namespaces, which it returns.
async fn write_objects(client: &Client, old: &World, new: &World) -> Result<BTreeSet<String>> {
    let plan = Plan::new(old, new);
    write_all(client, plan.openings.iter().map(|name| open(name))).await?;
    write_all(client, plan.deletions.into_iter().map(Write::Delete)).await?;
    write_all(client, plan.writes).await?;
    Ok(plan.closings)
}

async fn close(client: &Client, namespaces: &BTreeSet<String>) -> Result<()> {
    write_all(
        client,
        namespaces.iter().map(|name| Write::Delete(Key::namespace(name))),
    )
    .await
}

fn open(namespace: &str) -> Write {
    let mut body = World::default();
    body.put(Key::namespace(namespace), json!({}));
    let key = Key::namespace(namespace);
    let body = body.remove(&key).unwrap_or_default();
    Write::Create(key, body)
}

/// The writes that make one world of another.
struct Plan {
    /// Objects that go, or that cannot be changed into what they are to be.
    deletions: Vec<Key>,
    /// Namespaces to be made, for a while or for good.
    openings: BTreeSet<String>,
    /// Objects that come or change, but Namespaces.
    writes: Vec<Write>,
    /// Namespaces to be deleted.
    closings: BTreeSet<String>,
}

impl Plan {
    fn new(old: &World, new: &World) -> Plan {
        let mut plan = Plan {
            deletions: Vec::new(),
            openings: BTreeSet::new(),
            writes: Vec::new(),
            closings: old.namespaces().into_iter().map(str::to_owned).collect(),
        };
        let is_object = |(key, _): &(&Key, &Value)| key.kind != Kind::Namespace;
        for (key, body) in old.without(new).filter(is_object) {
            if !new.get(key).is_some_and(|other| is_changeable(key.kind, body, other)) {
                plan.deletions.push(key.clone());
                plan.openings.insert(key.namespace.clone());
            }
        }
        for (key, body) in new.without(old).filter(is_object) {
            plan.write(old, key, body);
        }
        plan.settle_namespaces(old, new);
        plan
    }

    fn write(&mut self, old: &World, key: &Key, body: &Value) {
        let change = old.get(key).is_some_and(|old| is_changeable(key.kind, old, body));
        let write = if change { Write::Replace } else { Write::Create };
        self.writes.push(write(key.clone(), body.clone()));
        self.openings.insert(key.namespace.clone());
    }

    /// Opens the namespaces that come or are needed for a while, and closes those that are not to be.
    fn settle_namespaces(&mut self, old: &World, new: &World) {
        // It is there before anything else is.
        self.openings.remove("kube-system");
        self.openings.extend(new.namespaces().into_iter().map(str::to_owned));
        self.closings.extend(self.openings.iter().cloned());
        self.openings.retain(|name| !old.namespaces().contains(name.as_str()));
        self.closings.retain(|name| !new.namespaces().contains(name.as_str()));
    }
}

/// Whether the API lets one body become the other.
fn is_changeable(kind: Kind, old: &Value, new: &Value) -> bool {
    let same = |path: &str| old.pointer(path) == new.pointer(path);
    match kind {
        Kind::Namespace => true,
        // The node port that the API server chooses for a new port is now and then one that the Service has already.
        Kind::Service if old["spec"]["type"] == "NodePort" || old["spec"]["type"] == "LoadBalancer" => false,
        Kind::Service => [
            "/spec/type",
            "/spec/clusterIPs",
            "/spec/ipFamilies",
            "/spec/selector",
            "/spec/clusterIP",
        ]
        .into_iter()
        .all(same),
        Kind::EndpointSlice => same("/addressType"),
        Kind::ServiceImport => true,
        Kind::Pod => {
            same("/spec") && (same("/metadata/annotations") || old.pointer("/metadata/annotations") == Some(&json!({})))
        }
    }
}

/// Waits until the slices that the controller owes are there, and clears away those of Services that are gone, as the
/// garbage collector would.
async fn await_controller(client: &Client, world: &World) -> Result<()> {
    let expected = expected_slices(world);
    let start = Instant::now();
    loop {
        let slices = Slices::read(world, list(client, Kind::EndpointSlice).await?);
        if slices.orphans.is_empty() && slices.endpoints == expected {
            return Ok(());
        }
        ensure!(
            start.elapsed() < CONTROLLER_LIMIT,
            "the controller is to make these endpoints of the Pods: {expected:#?}, and has made these: {:#?}",
            slices.endpoints
        );
        write_all(client, slices.orphans.into_iter().map(Write::Delete)).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

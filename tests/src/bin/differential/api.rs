//! The API server as this program uses it: untyped objects, many calls at once.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::generate::pods::TERMINATING;
use crate::imports;
use crate::world::{Key, Kind};

/// How many calls are out at a time.
const CALLS: usize = 24;

/// What is done to an object.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// Makes it.
    Create(Key, Value),
    /// Puts another body into its place.
    Replace(Key, Value),
    /// Removes it, finalizers or not.
    Delete(Key),
}

impl Write {
    fn key(&self) -> &Key {
        match self {
            Write::Create(key, _) | Write::Replace(key, _) | Write::Delete(key) => key,
        }
    }
}

/// Does all of these, in any order.
pub(crate) async fn write_all(client: &Client, writes: impl IntoIterator<Item = Write>) -> Result<()> {
    let mut running = JoinSet::new();
    for write in writes {
        while running.len() >= CALLS {
            finish_one(&mut running).await?;
        }
        running.spawn(perform(client.clone(), write));
    }
    while !running.is_empty() {
        finish_one(&mut running).await?;
    }
    Ok(())
}

async fn finish_one(running: &mut JoinSet<Result<()>>) -> Result<()> {
    running.join_next().await.context("no call is out")??
}

async fn perform(client: Client, write: Write) -> Result<()> {
    let api = api_of(&client, write.key());
    let what = format!("{write:?}");
    let done = match write {
        Write::Create(key, body) => create(&api, &key, body).await,
        Write::Replace(key, body) => replace(&api, &key, body).await,
        Write::Delete(key) => delete(&api, &key).await,
    };
    done.with_context(|| format!("the API server refuses {what}"))
}

async fn create(api: &Api<DynamicObject>, key: &Key, body: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(body.clone())?;
    api.create(&PostParams::default(), &object).await?;
    if key.kind == Kind::Pod {
        write_status(api, key, &body).await?;
    }
    Ok(())
}

async fn replace(api: &Api<DynamicObject>, key: &Key, body: Value) -> Result<()> {
    if key.kind == Kind::ServiceImport {
        // Only what the API server defines itself can be replaced unseen.
        api.patch(&key.name, &PatchParams::default(), &Patch::Merge(body))
            .await?;
        return Ok(());
    }
    if key.kind == Kind::Pod {
        let metadata =
            json!({"metadata": {"labels": body["metadata"]["labels"], "annotations": body["metadata"]["annotations"]}});
        api.patch(&key.name, &PatchParams::default(), &Patch::Merge(metadata))
            .await?;
        return write_status(api, key, &body).await;
    }
    let object: DynamicObject = serde_json::from_value(body)?;
    api.replace(&key.name, &PostParams::default(), &object).await?;
    Ok(())
}

/// Writes a Pod's status as a kubelet does, and deletes the Pod if it is to be terminating: a finalizer keeps it.
async fn write_status(api: &Api<DynamicObject>, key: &Key, body: &Value) -> Result<()> {
    let mut status = body["status"].clone();
    for field in ["podIP", "podIPs"] {
        if status[field].as_array().is_some_and(Vec::is_empty) {
            status[field] = Value::Null;
        }
    }
    let status = json!({"status": status});
    api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    if !body["metadata"]["annotations"][TERMINATING].is_null() {
        api.delete(&key.name, &DeleteParams::default().grace_period(0)).await?;
    }
    Ok(())
}

async fn delete(api: &Api<DynamicObject>, key: &Key) -> Result<()> {
    match key.kind {
        Kind::Namespace => delete_namespace(api, key).await,
        Kind::Pod => {
            let free = json!({"metadata": {"finalizers": null}});
            api.delete(&key.name, &DeleteParams::default().grace_period(0)).await?;
            // Once its finalizers are gone, a deleted object is gone too.
            api.patch(&key.name, &PatchParams::default(), &Patch::Merge(free))
                .await?;
            Ok(())
        }
        _ => Ok(api.delete(&key.name, &DeleteParams::default()).await.map(drop)?),
    }
}

/// Deletes a Namespace in the place of its controller, which would empty it first: what is in it stays.
async fn delete_namespace(api: &Api<DynamicObject>, key: &Key) -> Result<()> {
    api.delete(&key.name, &DeleteParams::default()).await?;
    let finalized = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": key.name}, "spec": {"finalizers": []},
    });
    api.replace_subresource::<Value>("finalize", &key.name, &PostParams::default(), &finalized)
        .await?;
    Ok(())
}

/// All objects of a kind as the API server has them.
pub(crate) async fn list(client: &Client, kind: Kind) -> Result<Vec<Value>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(kind));
    let objects = api.list(&ListParams::default()).await?;
    objects
        .items
        .iter()
        .map(|object| Ok(serde_json::to_value(object)?))
        .collect()
}

fn api_of(client: &Client, key: &Key) -> Api<DynamicObject> {
    let resource = resource(key.kind);
    match key.kind {
        Kind::Namespace => Api::all_with(client.clone(), &resource),
        _ => Api::namespaced_with(client.clone(), &key.namespace, &resource),
    }
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::Namespace => ApiResource::erase::<Namespace>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::EndpointSlice => ApiResource::erase::<EndpointSlice>(&()),
        Kind::Pod => ApiResource::erase::<Pod>(&()),
        Kind::ServiceImport => imports::resource(),
    }
}

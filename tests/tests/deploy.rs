//! `deploy/`: a real API server takes every object as it is.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::TypeMeta;
use kxdns_tests::cluster::Cluster;
use kxdns_tests::node::Node;

#[test]
fn the_api_server_accepts_the_kustomize_base() -> Result<()> {
    let node = Node::open()?;
    let cluster = Cluster::start(&node)?;
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/base");
    let resources = resources_of(&base)?;
    assert!(!resources.is_empty());
    cluster.run(async |client| {
        for name in resources {
            let text = fs::read_to_string(base.join(&name)).with_context(|| name.clone())?;
            let object: DynamicObject = serde_saphyr::from_str(&text).with_context(|| name.clone())?;
            dry_run(client.clone(), &object).await.with_context(|| name.clone())?;
        }
        Ok(())
    })
}

/// The files that the kustomization lists.
fn resources_of(base: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(base.join("kustomization.yaml"))?;
    let kustomization: serde_json::Value = serde_saphyr::from_str(&text)?;
    let resources = kustomization["resources"]
        .as_array()
        .context("the kustomization lists no resources")?;
    Ok(resources
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect())
}

/// Applies on the server's side, with strict fields and no effect.
async fn dry_run(client: kube::Client, object: &DynamicObject) -> Result<()> {
    let TypeMeta { api_version, kind } = object.types.clone().context("no apiVersion and kind")?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let name = object.metadata.name.as_deref().context("no name")?;
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::apply("kxdns-tests").validation_strict()
    };
    api.patch(name, &parameters, &Patch::Apply(object)).await?;
    Ok(())
}

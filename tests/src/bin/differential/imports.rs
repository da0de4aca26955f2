//! The kind ServiceImport, which the API server does not define itself: as much of
//! `multicluster.x-k8s.io` (sigs.k8s.io/mcs-api 0.5) as DNS speaks of.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, PostParams};
use kube::{Api, Client};
use kxdns_tests::cluster::object;
use serde_json::json;

use crate::api::list;
use crate::world::Kind;

const GROUP: &str = "multicluster.x-k8s.io";
const VERSION: &str = "v1alpha1";
const PLURAL: &str = "serviceimports";
const LIMIT: Duration = Duration::from_secs(20);

/// Defines it, and waits until there is such a resource.
pub(crate) async fn define(client: &Client) -> Result<()> {
    let kind = Kind::ServiceImport.name();
    let port = json!({
        "type": "object",
        "required": ["port"],
        "properties": {
            "name": {"type": "string"},
            "port": {"type": "integer", "format": "int32"},
            "protocol": {"type": "string"},
        },
    });
    let spec = json!({
        "type": "object",
        "required": ["ports", "type"],
        "properties": {
            "type": {"type": "string", "enum": ["ClusterSetIP", "Headless"]},
            "ips": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
            "ports": {"type": "array", "items": port},
        },
    });
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
    let definition: CustomResourceDefinition = object(json!({
        "metadata": {
            "name": format!("{PLURAL}.{GROUP}"),
            // The API server asks for it where the group's name ends in `k8s.io`.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": PLURAL, "singular": "serviceimport"},
            "versions": [{"name": VERSION, "served": true, "storage": true, "schema": schema}],
        },
    }))?;
    Api::all(client.clone())
        .create(&PostParams::default(), &definition)
        .await?;
    let start = Instant::now();
    while let Err(error) = list(client, Kind::ServiceImport).await {
        ensure!(start.elapsed() < LIMIT, "there are no ServiceImports: {error:#}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Where the API has it.
pub(crate) fn resource() -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version: Kind::ServiceImport.api_version().to_owned(),
        kind: Kind::ServiceImport.name().to_owned(),
        plural: PLURAL.to_owned(),
    }
}

//! What is asked of the API server, and the parts of its replies that are not objects.

use http::Request;
use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Resource;
use super::pauses::jitter;

/// Objects of a page. A page is held as text while its objects are read one by one.
const PAGE: usize = 500;

/// After this time a watch is asked for anew, and after up to twice as much by chance; seconds.
const WATCH_SECONDS: u64 = 300;

/// The annotation of the bookmark that ends a streamed list.
const LIST_END: &str = "k8s.io/initial-events-end";

/// How the server gives lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// Object by object, ahead of a watch's events.
    Streamed,
    /// In pages.
    Paged,
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    pub(super) metadata: ListMeta,
    #[serde(borrow, default)]
    pub(super) items: Vec<&'a RawValue>,
}

/// What a list or a bookmark says of itself.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    pub(super) r#continue: String,
    annotations: std::collections::HashMap<String, String>,
}

/// An event that only tells how far the watch is.
#[derive(Deserialize)]
pub(super) struct Bookmark {
    pub(super) metadata: ListMeta,
}

/// Asks for the page after the one that gave this token, or for the first.
pub(super) fn page(resource: &Resource, token: &str) -> Result<Request<Vec<u8>>, kube::Error> {
    get(resource, &[("limit", &PAGE.to_string()), ("continue", token)])
}

/// Asks for what changes after this version; without one, for all objects and then what changes.
pub(super) fn watch(resource: &Resource, version: Option<&str>) -> Result<Request<Vec<u8>>, kube::Error> {
    let seconds = WATCH_SECONDS + jitter(std::time::Duration::from_secs(WATCH_SECONDS)).as_secs();
    let (seconds, always) = (
        seconds.to_string(),
        [("watch", "true"), ("allowWatchBookmarks", "true")],
    );
    let start = match version {
        Some(version) => [("resourceVersion", version), ("", "")],
        None => [("sendInitialEvents", "true"), ("resourceVersionMatch", "NotOlderThan")],
    };
    get(
        resource,
        &[&always[..], &start, &[("timeoutSeconds", &seconds)]].concat(),
    )
}

fn get(resource: &Resource, parameters: &[(&str, &str)]) -> Result<Request<Vec<u8>>, kube::Error> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let selector = ("labelSelector", resource.selector.as_str());
    for (name, value) in parameters.iter().chain([&selector]) {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    let uri = format!("{}?{}", resource.kind.path(), query.finish());
    let request = Request::get(uri).header(http::header::ACCEPT, "application/json");
    request.body(Vec::new()).map_err(kube::Error::HttpError)
}

impl<'a> Page<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, kube::Error> {
        serde_json::from_str(text).map_err(kube::Error::SerdeError)
    }
}

impl Bookmark {
    pub(super) fn parse(json: &str) -> Result<Self, kube::Error> {
        serde_json::from_str(json).map_err(kube::Error::SerdeError)
    }

    /// Whether the objects that came before it are all that there are.
    pub(super) fn ends_list(&self) -> bool {
        self.metadata
            .annotations
            .get(LIST_END)
            .is_some_and(|value| value == "true")
    }
}

/// Reads the status that an event of a kind of its own brings.
pub(super) fn status(json: &str) -> Status {
    serde_json::from_str(json).unwrap_or_default()
}

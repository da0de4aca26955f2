//! Objects from an API server: list and watch, the only verbs used, and the only place that knows the kube client.
//!
//! Each kind is listed and watched by itself. A list is asked for as a stream of the watch itself where the server offers
//! that (`sendInitialEvents`), else in pages, so that neither side ever holds a whole list as text. A watch that breaks is
//! resumed where it was; what cannot be resumed is listed anew, and so is, every few hours, what seems to be well: an
//! event that was lost would otherwise never be missed. Meanwhile what was last known stays in force.
//!
//! kube's own watcher is not used: it hides bookmarks, by which a watch that has nothing to tell shows that it lives, and
//! decodes a page as a whole.

mod client;
mod outage;
mod pauses;
mod reader;
mod request;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::AsyncBufReadExt as _;
use futures::future::join_all;
use kube::Client;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::client::{ApiServer, ApiSource, TlsFiles, client};
use self::outage::{Failure, Outage};
use self::pauses::{Pauses, jitter};
use self::reader::Reader;
use self::request::Listing;
use crate::cluster::Event;
use crate::cluster::object::{Kind, ObjectKey};
use crate::publish::Update;
use crate::sources::SourceMetrics;

/// The log filter's directives that silence the kube client, which repeats every failure at every try: what fails is
/// told by [`watch`].
pub const LOG_DIRECTIVES: &str = "kube_client=off";

/// Agents that start together ask for their first lists over this time.
const START: Duration = Duration::from_secs(1);

/// How often what seems to be well is listed anew; up to half as much is added by chance.
const RECONCILIATION: Duration = Duration::from_secs(3 * 60 * 60);

/// The code by which a server says that it has forgotten where a watch was.
const GONE: u16 = 410;

/// A kind of objects to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind.
    pub kind: Kind,
    /// Only the objects with these labels, as the API spells it; all if empty.
    pub selector: String,
}

/// Sends the objects of these kinds as they are listed, then what changes, until `shutdown` is cancelled or nobody
/// listens.
///
/// A server that cannot be reached is tried for ever, with growing and jittered pauses. What fails is told in one line
/// at first and every 30 s at most.
pub async fn watch(
    server: ApiServer,
    resources: Vec<Resource>,
    updates: mpsc::Sender<Update>,
    metrics: SourceMetrics,
    shutdown: CancellationToken,
) {
    let outage = Arc::new(Mutex::new(Outage::new(server.url)));
    let follow = |resource| Watch::new(server.client.clone(), resource, &updates, &metrics, &outage).run();
    let follow_all = async {
        // Drawn once: an agent knows nothing before it has listed every kind.
        sleep(jitter(START)).await;
        join_all(resources.into_iter().map(follow)).await;
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = follow_all => {}
    }
}

/// One kind's list and watch.
struct Watch {
    client: Client,
    resource: Resource,
    updates: mpsc::Sender<Update>,
    metrics: SourceMetrics,
    outage: Arc<Mutex<Outage>>,
    reader: Reader,
    pauses: Pauses,
    listing: Listing,
    /// Where to resume; nothing is to be resumed before everything was listed.
    version: Option<String>,
    /// How far the watch has told everything; unknown once it could not be resumed.
    told: Option<u64>,
    /// The keys that the list in progress has named so far.
    listed: Option<HashSet<ObjectKey>>,
    reconciliation: Duration,
    /// When everything is to be listed anew. It outlives a watch, which the server ends every few minutes.
    due: tokio::time::Instant,
}

/// Why a session with the server ended.
enum End {
    /// It is time for a fresh list.
    Due,
    /// Nobody takes updates any more.
    Unheard,
    /// It failed.
    Failed(Box<Failure>),
}

/// An event of a watch, as the API sends it.
#[derive(Deserialize)]
struct RawEvent<'a> {
    r#type: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl Watch {
    fn new(
        client: Client,
        resource: Resource,
        updates: &mpsc::Sender<Update>,
        metrics: &SourceMetrics,
        outage: &Arc<Mutex<Outage>>,
    ) -> Self {
        Self {
            client,
            reader: Reader::new(resource.kind, metrics.clone()),
            resource,
            updates: updates.clone(),
            metrics: metrics.clone(),
            outage: outage.clone(),
            pauses: Pauses::default(),
            listing: Listing::Streamed,
            version: None,
            told: None,
            listed: None,
            reconciliation: RECONCILIATION,
            due: tokio::time::Instant::now() + RECONCILIATION,
        }
    }

    /// Goes on until nobody listens.
    async fn run(mut self) {
        loop {
            match self.converse().await {
                Ok(()) => {}
                Err(End::Due) => self.version = None,
                Err(End::Unheard) => return,
                Err(End::Failed(failure)) => self.recover(&failure).await,
            }
        }
    }

    /// Lists what is not known, then goes on where it was, until the server has said all that it was asked for.
    async fn converse(&mut self) -> Result<(), End> {
        if self.version.is_none() && self.listing == Listing::Paged {
            self.list_pages().await?;
        }
        let started = Instant::now();
        self.follow().await?;
        // A server that hangs up at once is not asked again at once.
        if started.elapsed() < pauses::SHORTEST {
            sleep(pauses::SHORTEST).await;
        }
        Ok(())
    }

    async fn recover(&mut self, failure: &Failure) {
        self.listed = None;
        if failure.refuses_streamed_lists() && self.version.is_none() && self.listing == Listing::Streamed {
            self.listing = Listing::Paged;
            return;
        }
        self.metrics.fail(self.resource.kind);
        if failure.is_refusal() {
            (self.version, self.told) = (None, None);
        }
        let line = self.outage().fail(self.resource.kind, failure, Instant::now());
        line.inspect(|line| warn!("{line}"));
        sleep(self.pauses.next()).await;
    }

    fn succeed(&mut self) {
        self.pauses = Pauses::default();
        self.metrics.succeed(self.resource.kind);
        let line = self.outage().end();
        line.inspect(|line| info!("{line}"));
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn list_pages(&mut self) -> Result<(), End> {
        let started = Instant::now();
        self.listed = Some(HashSet::new());
        let mut token = String::new();
        loop {
            let request = request::page(&self.resource, &token).map_err(fail_listing)?;
            let text = self.client.request_text(request).await.map_err(fail_listing)?;
            let page = request::Page::parse(&text).map_err(fail_listing)?;
            for item in &page.items {
                self.apply(item.get()).await?;
            }
            token = page.metadata.r#continue;
            if token.is_empty() {
                return self.finish_list(page.metadata.resource_version, started).await;
            }
        }
    }

    /// Reads a watch's events until the server ends it; ahead of them come the objects of a list, if it is to be one.
    async fn follow(&mut self) -> Result<(), End> {
        let started = Instant::now();
        let is_list = self.version.is_none();
        let failed: fn(kube::Error) -> End = if is_list { fail_listing } else { fail_watching };
        let request = request::watch(&self.resource, self.version.as_deref()).map_err(failed)?;
        let mut stream = self.client.request_stream(request).await.map_err(failed)?;
        self.listed = is_list.then(HashSet::new);
        if !is_list {
            self.succeed();
        }
        let mut line = Vec::new();
        loop {
            line.clear();
            tokio::select! {
                // A watch that always has something to tell, or none, must not put it off.
                biased;
                () = sleep_until(self.due), if self.listed.is_none() => return Err(End::Due),
                read = stream.read_until(b'\n', &mut line) => match read {
                    Ok(0) => return self.end_of_stream(),
                    Ok(_) => self.take(&line, started).await?,
                    Err(error) => return Err(fail(Failure::Broken(error))),
                },
            }
        }
    }

    /// A watch may end; a list that ends before its end has failed.
    fn end_of_stream(&self) -> Result<(), End> {
        match self.listed {
            None => Ok(()),
            Some(_) => Err(fail(Failure::Broken(std::io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    async fn take(&mut self, line: &[u8], started: Instant) -> Result<(), End> {
        let event: RawEvent<'_> =
            serde_json::from_slice(line).map_err(|error| fail_watching(kube::Error::SerdeError(error)))?;
        let json = event.object.get();
        match event.r#type {
            "ADDED" | "MODIFIED" => self.apply(json).await,
            "DELETED" => self.delete(json).await,
            "BOOKMARK" => {
                let bookmark = request::Bookmark::parse(json).map_err(fail_watching)?;
                match self.listed.is_some() && bookmark.ends_list() {
                    true => self.finish_list(bookmark.metadata.resource_version, started).await,
                    false => {
                        self.reach(bookmark.metadata.resource_version);
                        Ok(())
                    }
                }
            }
            _ => Err(fail(Failure::Refused(Box::new(request::status(json))))),
        }
    }

    async fn apply(&mut self, json: &str) -> Result<(), End> {
        let received = Instant::now();
        let Some(read) = self.reader.read(json) else {
            return Ok(());
        };
        let version = read.version;
        // What a watch has told is known; a fresh list only repeats it.
        let known = self.listed.is_some()
            && self
                .told
                .is_some_and(|told| number(&version).is_some_and(|it| it <= told));
        match &mut self.listed {
            Some(listed) => drop(listed.insert(read.key)),
            None => self.reach(version),
        }
        let Some(event) = read.event else { return Ok(()) };
        self.send(Update { event, received, known }).await
    }

    async fn delete(&mut self, json: &str) -> Result<(), End> {
        let received = Instant::now();
        let Some((key, version)) = self.reader.forget(json) else {
            return Ok(());
        };
        match &mut self.listed {
            Some(listed) => drop(listed.remove(&key)),
            None => self.reach(version),
        }
        let event = Event::Delete(self.resource.kind, key);
        self.send(Update {
            event,
            received,
            known: false,
        })
        .await
    }

    async fn finish_list(&mut self, version: String, started: Instant) -> Result<(), End> {
        let listed = self.listed.take().unwrap_or_default();
        let (kind, count) = (self.resource.kind, listed.len());
        let update = Update {
            event: Event::Listed(kind, listed),
            received: Instant::now(),
            known: self.told.is_some(),
        };
        self.send(update).await?;
        info!("listed {count} {kind} in {:.3} s", started.elapsed().as_secs_f64());
        self.reach(version);
        self.due = tokio::time::Instant::now() + self.reconciliation + jitter(self.reconciliation / 2);
        self.succeed();
        Ok(())
    }

    fn reach(&mut self, version: String) {
        if !version.is_empty() {
            self.told = number(&version);
            self.version = Some(version);
        }
    }

    async fn send(&self, update: Update) -> Result<(), End> {
        self.updates.send(update).await.map_err(|_| End::Unheard)
    }
}

/// Resource versions of one resource are numbers that grow.
fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

fn fail(failure: Failure) -> End {
    End::Failed(Box::new(failure))
}

fn fail_listing(error: kube::Error) -> End {
    fail(Failure::List(error))
}

fn fail_watching(error: kube::Error) -> End {
    fail(Failure::Watch(error))
}

#[cfg(test)]
mod tests;

//! Objects from manifests instead of an API server, followed as the files change.
//!
//! What `kubectl apply -f` reads is read here: files of YAML documents or JSON, `List`s, and folders, whose `*.yaml`,
//! `*.yml` and `*.json` files count, those in folders below them or with a leading dot do not. Objects of other kinds are
//! ignored. There is no API server behind it: nothing assigns a cluster IP or makes EndpointSlices, manifests have to have
//! them. Namespaces exist where a manifest says so, and where an object is in one.
//!
//! Files are replaced best by renaming another over them, or by swapping `..data` as a ConfigMap's volume does; a file
//! written in place is read once its writer closes it.

mod document;
mod place;
mod set;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use self::place::Places;
pub use self::place::Texts;
pub use self::set::{ManifestSet, Reading};
use crate::cluster::Event;
use crate::publish::Update;
use crate::sources::SourceMetrics;
use crate::watch::Resource;

/// Manifests that are followed.
#[derive(Debug)]
pub struct Manifests {
    places: Places,
    set: ManifestSet,
    watcher: RecommendedWatcher,
    changed: Arc<Notify>,
}

impl Manifests {
    /// Opens these files and folders.
    ///
    /// # Errors
    ///
    /// One that names the path that does not exist or cannot be watched. Broken content is none: it is reported while
    /// [`Manifests::follow`] runs, and may be mended.
    pub fn open(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let places = Places::new(paths)?;
        let changed = Arc::new(Notify::new());
        let watcher = {
            let (places, changed) = (places.clone(), changed.clone());
            notify::recommended_watcher(move |event| {
                if places.concerns(event) {
                    changed.notify_one();
                }
            })
            .context("cannot watch files")?
        };
        let mut manifests = Self {
            places,
            set: ManifestSet::default(),
            watcher,
            changed,
        };
        let armed = manifests.arm();
        armed.map_err(|(folder, error)| anyhow!("--manifests: {}: {error}", folder.display()))?;
        Ok(manifests)
    }

    /// Sends all objects of these kinds once every file could be read, then what changes, until `shutdown` is cancelled or nobody listens.
    ///
    /// What cannot be read is told once and leaves its last good content in force; until every file has been good once,
    /// nothing is sent, since names would be denied that exist.
    pub async fn follow(
        mut self,
        resources: &[Resource],
        updates: mpsc::Sender<Update>,
        metrics: SourceMetrics,
        shutdown: CancellationToken,
    ) {
        let kinds: Vec<_> = resources.iter().map(|resource| resource.kind).collect();
        self.set = ManifestSet::new(kinds);
        let changed = self.changed.clone();
        loop {
            let events;
            (self, events) = match tokio::task::spawn_blocking(move || self.read()).await {
                Ok(read) => read,
                Err(error) => return error!("manifests are followed no more: {error}"),
            };
            for event in events {
                if let Event::Listed(kind, _) = event {
                    metrics.succeed(kind);
                }
                if updates.send(Update::new(event)).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = changed.notified() => {}
            }
        }
    }

    /// Reads everything again. Watching comes before, so that no change falls between the two.
    fn read(mut self) -> (Self, Vec<Event>) {
        let unwatched = self.arm();
        let mut texts = self.places.read();
        if let Err((folder, error)) = unwatched {
            texts.entry(folder).or_insert(Err(error));
        }
        let reading = self.set.update(texts);
        for complaint in reading.complaints {
            warn!("{complaint}");
        }
        (self, reading.events)
    }

    /// Watches the folders anew, since one may have been replaced; fails with the first that cannot be watched.
    fn arm(&mut self) -> Result<(), (PathBuf, String)> {
        self.places.folders().into_iter().try_for_each(|folder| {
            self.watcher
                .watch(&folder, RecursiveMode::NonRecursive)
                .map_err(|error| match error.kind {
                    notify::ErrorKind::MaxFilesWatch => (
                        folder,
                        "cannot be watched for changes: too many watches; raise fs.inotify.max_user_watches".into(),
                    ),
                    _ => (folder, format!("cannot be watched for changes: {error}")),
                })
        })
    }
}

#[cfg(test)]
mod testing {
    use crate::cluster::Event;
    use crate::cluster::object::{Kind, Object, ObjectKey, Reach, Service};

    /// The first events, with these Services in `default`, and their Namespace.
    pub(super) fn listed(services: &[(&str, u8)]) -> Vec<Event> {
        let services = services.iter().map(|(name, last)| service(name, *last));
        list(services.collect())
    }

    /// The first events, with a Service that has no address.
    pub(super) fn unaddressed(name: &str) -> Vec<Event> {
        let service = Service {
            reach: Reach::ClusterIps(vec![]),
            ports: vec![],
        };
        list(vec![Object::Service(key(name), service)])
    }

    fn list(services: Vec<Object>) -> Vec<Event> {
        let namespace = (!services.is_empty()).then(|| Object::Namespace("default".into()));
        let namespaces = Event::list(Kind::Namespace, namespace.into_iter().collect());
        namespaces.chain(Event::list(Kind::Service, services)).collect()
    }

    pub(super) fn apply(name: &str, last: u8) -> Event {
        Event::Apply(service(name, last))
    }

    pub(super) fn delete(name: &str) -> Event {
        Event::Delete(Kind::Service, key(name))
    }

    fn service(name: &str, last: u8) -> Object {
        let service = Service {
            reach: Reach::ClusterIps(vec![[10, 0, 0, last].into()]),
            ports: vec![],
        };
        Object::Service(key(name), service)
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            namespace: "default".into(),
            name: name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::Duration;

    use tempfile::TempDir;

    use super::testing::{apply, delete, listed};
    use super::*;
    use crate::cluster::object::Kind;

    #[tokio::test]
    async fn follows_a_file_through_writing_renaming_and_removal() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("web.yaml");
        fs::write(&path, manifest("web", 1)).unwrap();
        let mut followed = Followed::new(&[folder.path()]);
        followed.expect_list(1).await;

        fs::write(&path, manifest("web", 2)).unwrap();
        assert_eq!(followed.next().await, apply("web", 2));

        let draft = folder.path().join("web.draft");
        fs::write(&draft, manifest("web", 3)).unwrap();
        fs::rename(&draft, &path).unwrap();
        assert_eq!(followed.next().await, apply("web", 3));

        fs::write(folder.path().join("other.json"), r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other"}, "spec": {"clusterIP": "10.0.0.4"}}"#).unwrap();
        assert_eq!(followed.next().await, apply("other", 4));

        fs::remove_file(&path).unwrap();
        assert_eq!(followed.next().await, delete("web"));
    }

    #[tokio::test]
    async fn follows_a_single_file_that_is_replaced_by_renaming() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("web.yaml");
        fs::write(&path, manifest("web", 1)).unwrap();
        let mut followed = Followed::new(&[&path]);
        followed.expect_list(1).await;
        for last in 2..5 {
            let draft = folder.path().join("draft");
            fs::write(&draft, manifest("web", last)).unwrap();
            fs::rename(&draft, &path).unwrap();
            assert_eq!(followed.next().await, apply("web", last));
        }
    }

    #[tokio::test]
    async fn follows_a_config_map_volume() {
        let volume = TempDir::new().unwrap();
        let publish = |version: &str, last| {
            fs::create_dir(volume.path().join(version)).unwrap();
            fs::write(volume.path().join(version).join("web.yaml"), manifest("web", last)).unwrap();
            symlink(version, volume.path().join("..data_tmp")).unwrap();
            fs::rename(volume.path().join("..data_tmp"), volume.path().join("..data")).unwrap();
        };
        publish("..1", 1);
        let path = volume.path().join("web.yaml");
        symlink("..data/web.yaml", &path).unwrap();
        for (paths, last) in [([volume.path()], 1), ([&path], 2)] {
            let mut followed = Followed::new(&paths);
            followed.expect_list(last).await;
            publish(&format!("..{}", last + 1), last + 1);
            assert_eq!(followed.next().await, apply("web", last + 1));
        }
    }

    #[tokio::test]
    async fn keeps_the_last_good_state_while_a_folder_is_gone_and_follows_its_return() {
        let parent = TempDir::new().unwrap();
        let folder = parent.path().join("manifests");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("web.yaml"), manifest("web", 1)).unwrap();
        let mut followed = Followed::new(&[&folder]);
        followed.expect_list(1).await;

        let aside = parent.path().join("aside");
        fs::rename(&folder, &aside).unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("draft"), manifest("web", 2)).unwrap();
        fs::rename(folder.join("draft"), folder.join("web.yaml")).unwrap();
        // Between the two steps the folder may have been seen without its file.
        let mut event = followed.next().await;
        if event == delete("web") {
            event = followed.next().await;
        }
        assert_eq!(event, apply("web", 2));
        fs::write(folder.join("draft"), manifest("web", 3)).unwrap();
        fs::rename(folder.join("draft"), folder.join("web.yaml")).unwrap();
        assert_eq!(followed.next().await, apply("web", 3));
    }

    #[tokio::test]
    async fn ends_when_it_is_told_to() {
        let folder = TempDir::new().unwrap();
        let mut followed = Followed::new(&[folder.path()]);
        for kind in [Kind::Namespace, Kind::Service] {
            assert_eq!(followed.next().await, Event::Listed(kind, Default::default()));
        }
        followed.shutdown.cancel();
        followed.task.await.unwrap();
    }

    #[test]
    fn a_path_that_is_not_there_is_an_error() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("nowhere.yaml");
        let error = Manifests::open(std::slice::from_ref(&path)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("--manifests {}: no such file or folder", path.display())
        );
    }

    struct Followed {
        received: mpsc::Receiver<Update>,
        shutdown: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    impl Followed {
        fn new<P: AsRef<Path>>(paths: &[P]) -> Self {
            let paths: Vec<_> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
            let (updates, received) = mpsc::channel(8);
            let manifests = Manifests::open(&paths).unwrap();
            let shutdown = CancellationToken::new();
            let stop = shutdown.clone();
            let resources = [Kind::Namespace, Kind::Service].map(|kind| Resource {
                kind,
                selector: String::new(),
            });
            let following = async move {
                manifests
                    .follow(&resources, updates, SourceMetrics::default(), stop)
                    .await
            };
            Self {
                received,
                shutdown,
                task: tokio::spawn(following),
            }
        }

        async fn next(&mut self) -> Event {
            let received = tokio::time::timeout(Duration::from_secs(10), self.received.recv()).await;
            received.expect("no event came").expect("the follower has ended").event
        }

        /// Takes the first events: the Service `web` at this address, and its Namespace.
        async fn expect_list(&mut self, last: u8) {
            for event in listed(&[("web", last)]) {
                assert_eq!(self.next().await, event);
            }
        }
    }

    fn manifest(name: &str, last: u8) -> String {
        format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  clusterIP: 10.0.0.{last}\n")
    }
}

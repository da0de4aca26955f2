//! Where manifests are: the files and folders that were named, what is in them, and which file events concern them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind};

/// The link that a ConfigMap's volume swaps to publish all its files at once.
const CONFIG_MAP_LINK: &str = "..data";

/// What reading found, by path: a file's text, or why it, or a folder, cannot be read.
pub type Texts = BTreeMap<PathBuf, Result<String, String>>;

/// The files and folders that were named, as absolute paths.
#[derive(Clone, Debug)]
pub(super) struct Places(Vec<PathBuf>);

impl Places {
    /// Takes paths that exist.
    pub(super) fn new(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let places = paths.iter().map(|path| {
            fs::metadata(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    anyhow::anyhow!("--manifests {}: no such file or folder", path.display())
                }
                _ => anyhow::anyhow!("--manifests {}: {error}", path.display()),
            })?;
            std::path::absolute(path).with_context(|| format!("--manifests {}", path.display()))
        });
        Ok(Self(places.collect::<Result<_, _>>()?))
    }

    /// Reads every manifest that there is now.
    pub(super) fn read(&self) -> Texts {
        let mut texts = Texts::new();
        for place in &self.0 {
            match if place.is_dir() {
                list(place)
            } else {
                Ok(vec![place.clone()])
            } {
                Ok(files) => texts.extend(files.into_iter().map(|file| {
                    let text = fs::read_to_string(&file).map_err(|error| error.to_string());
                    (file, text)
                })),
                Err(error) => drop(texts.insert(place.clone(), Err(error.to_string()))),
            }
        }
        texts
    }

    /// The folders to watch: each place that is one, and the one that it stands in, where it may be replaced.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let parents = self.0.iter().filter_map(|place| place.parent().map(Path::to_owned));
        let mut folders: Vec<_> = parents
            .chain(self.0.iter().filter(|place| place.is_dir()).cloned())
            .collect();
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// Says whether what happened to a file may have changed a manifest.
    pub(super) fn concerns(&self, event: notify::Result<Event>) -> bool {
        // A failure to watch may have hidden something.
        let Ok(event) = event else { return true };
        event.need_rescan()
            || event
                .paths
                .iter()
                .any(|path| self.encloses(path) && is_settled(event.kind, path))
    }

    fn encloses(&self, path: &Path) -> bool {
        let is_link = path.file_name().is_some_and(|name| name == CONFIG_MAP_LINK);
        self.0
            .iter()
            .any(|place| path == place || path.parent() == Some(place) || (is_link && path.parent() == place.parent()))
    }
}

/// Says whether an event may leave a file complete. Reading while another writes would take half a manifest for the
/// whole, and reading because of our own reading would never end.
fn is_settled(kind: EventKind, path: &Path) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
        // A file that is created as such is written and closed next; a link is all there at once.
        EventKind::Create(CreateKind::File) => {
            fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink() || metadata.nlink() > 1)
        }
        _ => true,
    }
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| is_manifest(path)).collect())
}

fn is_manifest(path: &Path) -> bool {
    let is_hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let has_extension = path
        .extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
    has_extension && !is_hidden && !path.is_dir()
}

#[cfg(test)]
mod tests {
    use notify::event::{DataChange, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn reads_the_manifests_of_a_folder_and_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.yaml", "b.yml", "c.json", "d.txt", ".e.yaml", "f.yaml~", "README"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("below.yaml")).unwrap();
        let places = Places::new(&[folder.path().into()]).unwrap();
        let texts: Vec<_> = places.read().into_values().map(Result::unwrap).collect();
        assert_eq!(texts, ["a.yaml", "b.yml", "c.json"]);
    }

    #[test]
    fn a_file_that_was_named_may_have_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("services");
        fs::write(&path, "text").unwrap();
        let places = Places::new(std::slice::from_ref(&path)).unwrap();
        assert_eq!(places.read(), Texts::from([(path.clone(), Ok("text".into()))]));
        fs::remove_file(&path).unwrap();
        assert!(places.read()[&path].as_ref().unwrap_err().contains("No such file"));
    }

    #[test]
    fn is_concerned_by_finished_changes_in_its_places_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (within, file) = (folder.path().join("within"), folder.path().join("web.yaml"));
        fs::create_dir(&within).unwrap();
        fs::write(&file, "").unwrap();
        let places = Places::new(&[within.clone(), file.clone()]).unwrap();
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        let cases = [
            (closed, file.clone(), true, "written"),
            (closed, within.join("a.yaml"), true, "written in the folder"),
            (closed, folder.path().join("other.yaml"), false, "a neighbour"),
            (renamed, file.clone(), true, "replaced"),
            (renamed, within.clone(), true, "the folder replaced"),
            (renamed, folder.path().join("..data"), true, "a ConfigMap published"),
            (
                EventKind::Remove(RemoveKind::File),
                within.join("a.yaml"),
                true,
                "removed",
            ),
            (
                EventKind::Modify(ModifyKind::Data(DataChange::Any)),
                file.clone(),
                false,
                "still open",
            ),
            (EventKind::Create(CreateKind::File), file.clone(), false, "still open"),
            (
                EventKind::Access(AccessKind::Open(AccessMode::Any)),
                file.clone(),
                false,
                "we read it",
            ),
            (
                EventKind::Access(AccessKind::Close(AccessMode::Read)),
                file.clone(),
                false,
                "we have read it",
            ),
        ];
        for (kind, path, expected, reason) in cases {
            assert_eq!(
                places.concerns(Ok(Event::new(kind).add_path(path))),
                expected,
                "{reason}"
            );
        }
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert!(places.concerns(Ok(lost)), "events were lost");
    }
}

//! What all manifests say together: pure state, from texts to events and complaints.
//!
//! A file that is broken keeps its last good content in force, an object that stands in two places keeps its last good
//! state, and nothing else is held up by either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::document::{self, Placed};
use super::place::Texts;
use crate::cluster::Event;
use crate::cluster::object::{Invalid, Kind, Object, ObjectKey};

/// The manifests as they were read last.
#[derive(Debug, Default)]
pub struct ManifestSet {
    /// The kinds of objects that count.
    kinds: Vec<Kind>,
    files: BTreeMap<PathBuf, File>,
    in_force: Objects,
    synced: bool,
    told: BTreeSet<String>,
}

type Objects = BTreeMap<(Kind, ObjectKey), Object>;

/// What follows from reading the manifests again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What changed: nothing before every file was good once, then a list of each kind, then differences.
    pub events: Vec<Event>,
    /// What is wrong and was not, each in one line.
    pub complaints: Vec<String>,
}

#[derive(Debug, Default)]
struct File {
    /// What `content` or `error` was made of.
    text: Option<String>,
    /// The last good content.
    content: Option<Vec<Placed>>,
    error: Option<String>,
}

impl ManifestSet {
    /// No manifest yet; objects of these kinds count.
    pub fn new(kinds: Vec<Kind>) -> Self {
        Self {
            kinds,
            ..Self::default()
        }
    }

    /// Takes the present texts in.
    pub fn update(&mut self, texts: Texts) -> Reading {
        // The files of a folder that cannot be read are not gone.
        self.files
            .retain(|path, _| texts.contains_key(path) || path.parent().is_some_and(|it| texts.contains_key(it)));
        for (path, text) in texts {
            self.files.entry(path.clone()).or_default().take(path, text);
        }
        let mut complaints = self.broken_files();
        let wanted = self.merge(&mut complaints);
        let events = self.advance(wanted);
        let fresh = complaints.difference(&self.told).cloned().collect();
        self.told = complaints;
        Reading {
            events,
            complaints: fresh,
        }
    }

    fn broken_files(&self) -> BTreeSet<String> {
        let complain = |(path, file): (&PathBuf, &File)| {
            let is_known = || file.content.is_some() || self.files.keys().any(|it| it.parent() == Some(path));
            let consequence = match self.synced {
                _ if is_known() => "what was last read of it stays in force",
                false => "nothing is answered before every manifest has been read once",
                true => "it is left out",
            };
            file.error.as_ref().map(|error| format!("{error}; {consequence}"))
        };
        self.files.iter().filter_map(complain).collect()
    }

    /// Puts the contents of all files together.
    fn merge(&self, complaints: &mut BTreeSet<String>) -> Objects {
        let mut claims = BTreeMap::<(Kind, &ObjectKey), (&Placed, Option<&Placed>)>::new();
        let contents = self.files.values().filter_map(|file| file.content.as_ref());
        for placed in contents.flatten().filter(|placed| self.kinds.contains(&placed.kind)) {
            let claim = claims
                .entry((placed.kind, &placed.key))
                .and_modify(|(_, again)| *again = Some(placed));
            claim.or_insert((placed, None));
        }
        let mut wanted = Objects::new();
        for ((kind, key), (claim, again)) in claims {
            complaints.extend(complain(claim, again));
            let object = match again {
                None => claim.object.clone(),
                Some(_) => self.in_force.get(&(kind, key.clone())).cloned(),
            };
            wanted.extend(object.map(|object| ((kind, key.clone()), object)));
        }
        wanted.extend(namespaces(&wanted));
        wanted
    }

    /// Moves on to a new state and says by which events.
    fn advance(&mut self, wanted: Objects) -> Vec<Event> {
        let mut events = Vec::new();
        if self.synced {
            let gone = self.in_force.keys().filter(|key| !wanted.contains_key(key));
            events.extend(gone.map(|(kind, key)| Event::Delete(*kind, key.clone())));
            let changed = wanted
                .iter()
                .filter(|(key, object)| self.in_force.get(key) != Some(object));
            events.extend(changed.map(|(_, object)| Event::Apply(object.clone())));
        } else if self.files.values().all(|file| file.content.is_some()) {
            self.synced = true;
            for kind in &self.kinds {
                let of_kind = wanted.values().filter(|object| object.kind() == *kind);
                events.extend(Event::list(*kind, of_kind.cloned().collect()));
            }
        } else {
            return events;
        }
        self.in_force = wanted;
        events
    }
}

/// The Namespaces of the objects: an API server would have refused an object whose Namespace does not exist.
fn namespaces(objects: &Objects) -> Objects {
    let names = objects
        .keys()
        .map(|(_, key)| &key.namespace)
        .filter(|name| !name.is_empty());
    let namespace = |name: &String| {
        let object = Object::Namespace(name.clone());
        ((Kind::Namespace, object.key()), object)
    };
    names.map(namespace).collect()
}

impl File {
    fn take(&mut self, path: PathBuf, text: Result<String, String>) {
        let text = match text {
            Ok(text) if self.text.as_ref() == Some(&text) => return,
            Ok(text) => text,
            Err(error) => {
                *self = Self {
                    text: None,
                    content: self.content.take(),
                    error: Some(format!("{}: {error}", path.display())),
                };
                return;
            }
        };
        match document::read(path, &text) {
            Ok(content) => (self.content, self.error) = (Some(content), None),
            Err(broken) => self.error = Some(broken.to_string()),
        }
        self.text = Some(text);
    }
}

/// Says what is wrong with an object, given the first place that describes it and another, if there is one.
fn complain(claim: &Placed, again: Option<&Placed>) -> Option<String> {
    let Placed {
        key,
        place,
        kind,
        remark,
        ..
    } = claim;
    match (again, remark) {
        (Some(Placed { place: other, .. }), _) => Some(format!(
            "one of the {kind}, {key}, is in {place} and in {other}; remove one: until then neither changes anything"
        )),
        (None, Some(Invalid::NoAddress)) => {
            let consequence = "no API server is there to assign one, so it has no addresses";
            Some(format!("{place}: Service {key} has no spec.clusterIP; {consequence}"))
        }
        (None, Some(remark)) => Some(format!("{place}: one of the {kind}, {key}: {remark}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{apply, delete, listed, unaddressed};
    use super::*;

    #[test]
    fn starts_with_a_reset_and_goes_on_by_difference() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        assert_eq!(
            set.events(&[("a", &web(1)), ("b", &other(2))]),
            listed(&[("other", 2), ("web", 1)])
        );
        assert_eq!(set.events(&[("a", &web(1)), ("b", &other(2))]), []);
        assert_eq!(set.events(&[("a", &web(3)), ("b", &other(2))]), [apply("web", 3)]);
        assert_eq!(set.events(&[("b", &other(2))]), [delete("web")]);
    }

    #[test]
    fn a_broken_file_keeps_its_last_good_content_and_holds_up_no_other() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        set.events(&[("a", &web(1)), ("b", &other(1))]);
        let update = set.update(texts(&[("a", "kind: ["), ("b", &other(2))]));
        assert_eq!(update.events, [apply("other", 2)]);
        let [complaint] = update.complaints.as_slice() else {
            panic!("one complaint: {update:?}")
        };
        assert!(complaint.starts_with("a, document 1: line 1, column "), "{complaint}");
        assert!(
            complaint.ends_with("; what was last read of it stays in force"),
            "{complaint}"
        );
        assert_eq!(set.events(&[("a", &web(2)), ("b", &other(2))]), [apply("web", 2)]);
    }

    #[test]
    fn tells_an_error_once_until_it_changes() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        let mut complaints = |text: &str| set.update(texts(&[("a", text)])).complaints.len();
        assert_eq!(
            [complaints("kind: ["), complaints("kind: ["), complaints("kind: {")],
            [1, 0, 1]
        );
        assert_eq!([complaints(""), complaints("kind: [")], [0, 1]);
    }

    #[test]
    fn sends_nothing_before_every_file_was_good_once() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        let update = set.update(texts(&[("a", &web(1)), ("b", "kind: [")]));
        assert_eq!(update.events, []);
        assert!(update.complaints[0].ends_with("; nothing is answered before every manifest has been read once"));
        let update = set.update(texts(&[("a", "kind: ["), ("b", &other(1))]));
        assert_eq!(update.events, listed(&[("other", 1), ("web", 1)]));
        let update = set.update(texts(&[("a", &web(1)), ("b", &other(1)), ("c", "kind: [")]));
        assert_eq!(update.events, []);
        assert!(update.complaints[0].ends_with("; it is left out"), "{update:?}");
    }

    #[test]
    fn an_object_in_two_places_keeps_its_last_good_state() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        let twice = format!("{}---\n{}", web(1), web(2));
        let update = set.update(texts(&[("a", &twice)]));
        assert_eq!(update.events, listed(&[]));
        let places = "one of the Services, default/web, is in a, document 1 and in a, document 2; remove one: until then neither changes anything";
        assert_eq!(update.complaints, [places]);

        assert_eq!(set.events(&[("a", &web(1))])[1..], [apply("web", 1)]);
        let update = set.update(texts(&[("a", &web(1)), ("b", &web(2))]));
        assert_eq!(update.events, []);
        assert!(
            update.complaints[0].contains("is in a, document 1 and in b, document 1"),
            "{update:?}"
        );
        assert_eq!(set.events(&[("b", &web(2))]), [apply("web", 2)]);
    }

    #[test]
    fn an_object_may_move_to_another_file() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        set.events(&[("a", &web(1)), ("b", "")]);
        assert_eq!(set.update(texts(&[("a", ""), ("b", &web(1))])), Reading::default());
    }

    #[test]
    fn the_files_of_a_folder_that_cannot_be_read_stay_in_force() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        set.events(&[("folder/a", &web(1)), ("b", &other(1))]);
        let lost = Texts::from([
            ("folder".into(), Err("No such file".into())),
            ("b".into(), Ok(other(2))),
        ]);
        let update = set.update(lost);
        assert_eq!(update.events, [apply("other", 2)]);
        assert_eq!(
            update.complaints,
            ["folder: No such file; what was last read of it stays in force"]
        );
        assert_eq!(set.events(&[("b", &other(2))]), [delete("web")]);
    }

    #[test]
    fn says_that_a_service_without_address_is_not_answered() {
        let mut set = ManifestSet::new(vec![Kind::Namespace, Kind::Service]);
        let text = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {}";
        let update = set.update(texts(&[("a", text)]));
        assert_eq!(update.events, unaddressed("web"));
        assert!(
            update.complaints[0].starts_with("a, document 1: Service default/web has no spec.clusterIP"),
            "{update:?}"
        );
    }

    impl ManifestSet {
        fn events(&mut self, files: &[(&str, &str)]) -> Vec<Event> {
            let update = self.update(texts(files));
            assert_eq!(update.complaints, Vec::<String>::new());
            update.events
        }
    }

    fn texts(files: &[(&str, &str)]) -> Texts {
        files
            .iter()
            .map(|(path, text)| (path.into(), Ok((*text).into())))
            .collect()
    }

    fn web(last: u8) -> String {
        manifest("web", last)
    }

    fn other(last: u8) -> String {
        manifest("other", last)
    }

    fn manifest(name: &str, last: u8) -> String {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: 10.0.0.{last}}}\n")
    }
}

//! Manifests, as YAML and as JSON.

use dns_userspace::cluster::object::Kind;
use dns_userspace::cluster::{Cluster, Event};
use dns_userspace::manifests::{ManifestSet, Reading};

/// The names that the manifest goes by; what it is read as follows from them.
const FILES: [&str; 2] = ["a.yaml", "a.json"];

/// The name of a manifest that is good, and its content.
const NEIGHBOUR: (&str, &str) = (
    "neighbour.yaml",
    "{apiVersion: v1, kind: Service, metadata: {name: neighbour, namespace: beside}, spec: {clusterIP: 10.0.0.1}}",
);

/// No object, in YAML and in JSON.
const NOTHING: &str = "null";

/// A manifest is read the same each time, and once for all; what is wrong with it has a place that is in it, is told in one
/// line and spoils no other manifest; its end leaves nothing behind. What is read both as YAML and as JSON is the same.
pub fn manifests(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let [yaml, json] = FILES.map(|file| {
        let (mut set, reading) = read(&[(file, text)]);
        assert_eq!(reading, read(&[(file, text)]).1, "read twice");
        assert_eq!(update(&mut set, &[(file, text)]), Reading::default(), "nothing is new");
        reading
            .complaints
            .iter()
            .for_each(|line| check_complaint(file, text, line));
        check_life(file, text);
        reading.events
    });
    if !yaml.is_empty() && !json.is_empty() {
        assert_eq!(yaml, json, "as YAML and as JSON");
    }
}

/// Reads these manifests as the first ones.
fn read(files: &[(&str, &str)]) -> (ManifestSet, Reading) {
    let mut set = ManifestSet::new(Kind::ALL.to_vec());
    let reading = update(&mut set, files);
    (set, reading)
}

fn update(set: &mut ManifestSet, files: &[(&str, &str)]) -> Reading {
    let texts = files.iter().map(|(file, text)| (file.into(), Ok((*text).to_owned())));
    set.update(texts.collect())
}

fn check_complaint(file: &str, text: &str, complaint: &str) {
    assert!(!complaint.contains(char::is_control), "{complaint:?} is not one line");
    let (_, place) = complaint.split_once(&format!("{file}, document ")).unwrap_or_default();
    assert!(is_within(text, place), "{complaint:?} is not in the file");
}

/// Whether a text has this place: the number of a document, and the line and column where a parser stopped.
fn is_within(text: &str, place: &str) -> bool {
    let Some((document, rest)) = read_number(place) else {
        return false;
    };
    let is_line = |(line, column): (usize, usize)| {
        let found = line.checked_sub(1).and_then(|line| text.split('\n').nth(line));
        found.is_some_and(|found| column <= found.len() + 1)
    };
    // A carriage return alone ends a line in YAML, but neither in JSON nor in an editor.
    let has_other_lines = text.replace("\r\n", "").contains('\r');
    (1..=text.matches("---").count() + 1).contains(&document)
        && (has_other_lines || read_position(rest).is_none_or(is_line))
}

fn read_position(text: &str) -> Option<(usize, usize)> {
    let (line, rest) = read_number(text.strip_prefix(": line ")?)?;
    let (column, _) = read_number(rest.strip_prefix(", column ")?)?;
    Some((line, column))
}

fn read_number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    Some((number.parse().ok()?, rest))
}

/// A manifest comes beside another one that changes with it, and goes again.
fn check_life(file: &str, text: &str) {
    let (mut set, empty) = read(&[(file, NOTHING), (NEIGHBOUR.0, NOTHING)]);
    let (mut before, mut cluster) = (Cluster::default(), Cluster::default());
    apply(&mut before, empty.events.clone());
    apply(&mut cluster, empty.events);

    let both = [(file, text), NEIGHBOUR];
    let came = update(&mut set, &both);
    let is_neighbour = |event: &Event| matches!(event, Event::Apply(object) if object.key().namespace == "beside");
    // Unless it is in two places.
    assert!(
        came.events.iter().any(is_neighbour) || text.contains("beside"),
        "the neighbour is spoilt"
    );
    apply(&mut cluster, came.events);

    let at_once = read(&both).1.events;
    if !at_once.is_empty() {
        let mut other = Cluster::default();
        apply(&mut other, at_once);
        assert_eq!(cluster, other, "step by step and at once");
    }

    let gone = update(&mut set, &[(file, NOTHING), (NEIGHBOUR.0, NOTHING)]);
    apply(&mut cluster, gone.events);
    assert_eq!(cluster, before, "nothing is left");
}

fn apply(cluster: &mut Cluster, events: Vec<Event>) {
    for event in events {
        cluster.apply(event);
    }
}

//! From a manifest's text to objects: every document, every object of a list.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::cluster::object::{self, Invalid, Kind, Object, ObjectKey};

/// Where an object is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: Arc<Path>,
    /// Counts from 1.
    document: usize,
    /// Counts from 0, in a list.
    item: Option<usize>,
}

/// An object and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) kind: Kind,
    pub(super) key: ObjectKey,
    /// `None` where nobody can ask for it.
    pub(super) object: Option<Object>,
    /// Why it is not answered, though nothing is wrong with it.
    pub(super) remark: Option<Invalid>,
    pub(super) place: Place,
}

/// Why a manifest cannot be used.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{place}: {cause}")]
pub(super) struct Broken {
    place: Place,
    cause: Cause,
}

#[derive(Debug, PartialEq, Eq, Error)]
enum Cause {
    #[error("line {line}, column {column}: {message}")]
    Syntax {
        line: usize,
        column: usize,
        message: String,
    },
    #[error("no object: it takes a mapping with apiVersion and kind")]
    NoObject,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not a string")]
    NoString(&'static str),
    #[error("items is not a list of objects")]
    NoList,
    #[error("{0}")]
    Object(#[from] Invalid),
}

/// Reads the objects of a manifest: JSON where the path ends so, else YAML.
pub(super) fn read(path: PathBuf, text: &str) -> Result<Vec<Placed>, Broken> {
    let documents = match path.extension().is_some_and(|extension| extension == "json") {
        true => vec![Document::json(text).parse_json()],
        false => split(text).iter().map(Document::parse_yaml).collect(),
    };
    let path: Arc<Path> = path.into();
    let mut objects = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let place = Place {
            path: path.clone(),
            document: index + 1,
            item: None,
        };
        match document {
            Ok(Value::Null) => {}
            Ok(object) => collect(&object, place, &mut objects)?,
            Err(cause) => return Err(Broken { place, cause }),
        }
    }
    Ok(objects)
}

/// Takes the objects that count out of one that may be a list.
fn collect(object: &Value, place: Place, objects: &mut Vec<Placed>) -> Result<(), Broken> {
    let field = |name| text(object, name).map_err(|cause| place.blame(cause));
    let (api_version, kind) = (field("apiVersion")?, field("kind")?);
    if (api_version, kind) == ("v1", "List") {
        return each_item(object, &place, |item, place| collect(item, place, objects));
    }
    // The items of a typed list do not repeat what they are.
    if let Some(kind) = kind.strip_suffix("List").and_then(|kind| find_kind(api_version, kind)) {
        return each_item(object, &place, |item, place| take(kind, item, place, objects));
    }
    match find_kind(api_version, kind) {
        Some(kind) => take(kind, object, place, objects),
        None => Ok(()),
    }
}

fn find_kind(api_version: &str, kind: &str) -> Option<Kind> {
    match (api_version, kind) {
        ("v1", "Namespace") => Some(Kind::Namespace),
        ("v1", "Service") => Some(Kind::Service),
        ("v1", "Pod") => Some(Kind::Pod),
        ("discovery.k8s.io/v1", "EndpointSlice") => Some(Kind::EndpointSlice),
        ("multicluster.x-k8s.io/v1alpha1", "ServiceImport") => Some(Kind::ServiceImport),
        _ => None,
    }
}

fn take(kind: Kind, object: &Value, place: Place, objects: &mut Vec<Placed>) -> Result<(), Broken> {
    let json = object.to_string();
    objects.push(read_object(kind, &json, &place)?);
    if kind == Kind::EndpointSlice {
        let imported = read_object(Kind::ImportedSlice, &json, &place)?;
        objects.extend(Some(imported).filter(|imported| imported.object.is_some()));
    }
    Ok(())
}

fn read_object(kind: Kind, json: &str, place: &Place) -> Result<Placed, Broken> {
    let placed = |key, object, remark| Placed {
        kind,
        key,
        object,
        remark,
        place: place.clone(),
    };
    match object::read(kind, json) {
        Ok(mut read) => match read.flaws.pop() {
            Some(flaw) if flaw != Invalid::NoAddress => Err(place.blame(flaw.into())),
            remark => Ok(placed(read.key, read.object, remark)),
        },
        // Somebody else's slice, or nobody's.
        Err(unlabelled @ Invalid::NoLabel(_)) => match object::identify(json) {
            Some((key, _)) => Ok(placed(key, None, Some(unlabelled))),
            None => Err(place.blame(unlabelled.into())),
        },
        Err(invalid) => Err(place.blame(invalid.into())),
    }
}

fn text<'v>(object: &'v Value, name: &'static str) -> Result<&'v str, Cause> {
    let object = object.as_object().ok_or(Cause::NoObject)?;
    let value = object.get(name).ok_or(Cause::Missing(name))?;
    value.as_str().ok_or(Cause::NoString(name))
}

fn each_item(
    list: &Value,
    place: &Place,
    mut visit: impl FnMut(&Value, Place) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let items = match list.get("items") {
        None => return Ok(()),
        Some(items) => items.as_array().ok_or_else(|| place.blame(Cause::NoList))?,
    };
    let place = |index| Place {
        item: Some(index),
        ..place.clone()
    };
    items
        .iter()
        .enumerate()
        .try_for_each(|(index, item)| visit(item, place(index)))
}

/// One document of a file.
struct Document<'a> {
    text: &'a str,
    /// How many lines of the file stand before it.
    lines_before: usize,
}

impl<'a> Document<'a> {
    fn json(text: &'a str) -> Self {
        Self { text, lines_before: 0 }
    }

    fn parse_json(&self) -> Result<Value, Cause> {
        serde_json::from_str(self.text).map_err(|error| self.blame(error.line(), error.column(), &error.to_string()))
    }

    fn parse_yaml(&self) -> Result<Value, Cause> {
        serde_saphyr::from_str_with_options(self.text, options()).map_err(|error| {
            let location = error.location().unwrap_or(serde_saphyr::Location::UNKNOWN);
            self.blame(location.line() as usize, location.column() as usize, &error.to_string())
        })
    }

    /// Makes a parser's error one of the file: the parsers count lines in the document, and say so at the message's end.
    fn blame(&self, line: usize, column: usize, message: &str) -> Cause {
        let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        Cause::Syntax {
            line: self.lines_before + line,
            column,
            message,
        }
    }

    /// Says whether nothing but comments, blanks and directives is in it.
    fn is_preamble(&self) -> bool {
        self.text
            .lines()
            .all(|line| line.trim_start().is_empty() || line.trim_start().starts_with(['#', '%']))
    }
}

/// The parser's limits, raised so that a `List` of every Service of a large cluster fits.
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_nodes: 20_000_000, max_events: 40_000_000 },
        // `n` is a name.
        strict_booleans: true,
        with_snippet: false,
    }
}

/// Splits YAML at its document markers, which keep their lines; a comment ahead of the first is no document.
///
/// The parser could do it too, but skips empty documents, so that nobody could count along.
fn split(text: &str) -> Vec<Document<'_>> {
    let text = text.trim_start_matches('\u{feff}');
    let (mut documents, mut start, mut offset, mut lines_before) = (Vec::new(), 0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) && offset > start {
            documents.push(Document {
                text: &text[start..offset],
                lines_before,
            });
            (start, lines_before) = (offset, number);
        }
        offset += line.len();
    }
    documents.push(Document {
        text: &text[start..],
        lines_before,
    });
    if documents[0].is_preamble() {
        documents.remove(0);
    }
    documents
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

impl Place {
    fn blame(&self, cause: Cause) -> Broken {
        Broken {
            place: self.clone(),
            cause,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}", self.path.display(), self.document)?;
        self.item.map_or(Ok(()), |item| write!(f, ", items[{item}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_service_of_every_document() {
        let text = "# a comment\n---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.0.0.1}\n\
            ---\n# nothing but a comment\n--- # a Deployment\napiVersion: apps/v1\nkind: Deployment\nspec: [1]\n---\n\
            apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: not-ours}\n--- {kind: Service, \
            apiVersion: v1, metadata: {name: flow, namespace: other}, spec: {clusterIP: None}}\n";
        assert_eq!(
            places(text, "a.yaml"),
            ["default/web a.yaml, document 1", "other/flow a.yaml, document 5"]
        );
    }

    #[test]
    fn reads_the_items_of_lists() {
        let service =
            |name: &str, head: &str| format!("{{{head} \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": {{}}}}");
        let head = "\"apiVersion\": \"v1\", \"kind\": \"Service\",";
        let other = "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"data\": {\"spec\": \"x\"}}";
        let list = format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{other}, {}, {{\"apiVersion\": \"v1\", \"kind\": \"List\", \
             \"items\": []}}]}}",
            service("web", head)
        );
        let typed = format!(
            "{{\"apiVersion\": \"v1\", \"kind\": \"ServiceList\", \"items\": [{}]}}",
            service("web", "")
        );
        for path in ["a.json", "a.yaml"] {
            assert_eq!(
                places(&list, path),
                [format!("default/web {path}, document 1, items[1]")]
            );
            assert_eq!(
                places(&typed, path),
                [format!("default/web {path}, document 1, items[0]")]
            );
        }
    }

    #[test]
    fn says_where_a_manifest_is_broken() {
        let good = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\n";
        let cases = [
            (
                "a.yaml",
                "kind: [",
                "a.yaml, document 1: line 1, column 7: unclosed bracket '['",
            ),
            (
                "a.yaml",
                &format!("{good}kind: Service\n bad: x\n"),
                "a.yaml, document 2: line 6, column 5: mapping values are not allowed in this context",
            ),
            (
                "a.yaml",
                &format!("{good}just text"),
                "a.yaml, document 2: no object: it takes a mapping with apiVersion and kind",
            ),
            (
                "a.yaml",
                &format!("{good}metadata: {{}}"),
                "a.yaml, document 2: apiVersion is missing",
            ),
            ("a.yaml", "apiVersion: v1", "a.yaml, document 1: kind is missing"),
            (
                "a.yaml",
                "apiVersion: 1\nkind: Service",
                "a.yaml, document 1: apiVersion is not a string",
            ),
            (
                "a.yaml",
                "apiVersion: v1\nkind: Service",
                "a.yaml, document 1: metadata.name is missing",
            ),
            (
                "a.yaml",
                &format!(
                    "{good}apiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {{clusterIP: 10.0.0.300}}"
                ),
                "a.yaml, document 2: spec.clusterIP \"10.0.0.300\" is no IP address",
            ),
            (
                "a.yaml",
                "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Service}]",
                "a.yaml, document 1, items[0]: metadata.name is missing",
            ),
            (
                "a.yaml",
                "apiVersion: v1\nkind: List\nitems: none",
                "a.yaml, document 1: items is not a list of objects",
            ),
            (
                "a.json",
                "{\n\"kind\": }",
                "a.json, document 1: line 2, column 9: expected value",
            ),
            (
                "a.json",
                "",
                "a.json, document 1: line 1, column 0: EOF while parsing a value",
            ),
        ];
        for (path, text, expected) in cases {
            let error = read(path.into(), text).unwrap_err().to_string();
            assert_eq!(error, expected, "{text:?}");
        }
    }

    #[test]
    fn reads_every_kind_that_dns_is_made_of() {
        let text = "{apiVersion: v1, kind: Namespace, metadata: {name: n}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: p}, \
            status: {podIP: 10.0.0.1}}\n---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, labels: \
            {kubernetes.io/service-name: a, multicluster.kubernetes.io/service-name: b}}}\n---\n{apiVersion: \
            multicluster.x-k8s.io/v1alpha1, kind: ServiceImport, metadata: {name: i}}\n---\n{apiVersion: \
            discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: nobodys}}\n";
        let objects = read("a.yaml".into(), text).unwrap();
        let kinds: Vec<_> = objects
            .iter()
            .map(|placed| (placed.kind, placed.object.is_some()))
            .collect();
        let expected = [
            (Kind::Namespace, true),
            (Kind::Pod, true),
            (Kind::EndpointSlice, true),
            (Kind::ImportedSlice, true),
            (Kind::ServiceImport, true),
            (Kind::EndpointSlice, false),
        ];
        assert_eq!(kinds, expected);
        let remark = objects[5].remark.as_ref().map(Invalid::to_string);
        assert!(
            remark
                .unwrap()
                .starts_with("label kubernetes.io/service-name is missing")
        );
    }

    #[test]
    fn a_document_may_be_larger_than_the_parser_expects() {
        let spec = "0,".repeat(260_000);
        let text =
            format!("{{apiVersion: v1, kind: ServiceList, items: [{{metadata: {{name: web, odd: [{spec}]}}}}]}}");
        assert_eq!(places(&text, "a.yaml"), ["default/web a.yaml, document 1, items[0]"]);
    }

    #[test]
    fn an_empty_file_is_no_error() {
        for text in [
            "",
            "\n",
            "---\n",
            "# only a comment\n",
            "---\n---\n",
            "%YAML 1.2\n---\n...\n",
            "\u{feff}",
        ] {
            assert_eq!(read("a.yaml".into(), text), Ok(vec![]), "{text:?}");
        }
    }

    #[test]
    fn carriage_returns_and_quoted_markers_do_not_confuse_it() {
        let text = "apiVersion: v1\r\nkind: ConfigMap\r\ndata:\r\n  a: |\r\n    ---\r\n    x\r\n---\r\napiVersion: v1\r\n\
            kind: Service\r\nmetadata:\r\n  name: web\r\n";
        assert_eq!(places(text, "a.yml"), ["default/web a.yml, document 2"]);
    }

    fn places(text: &str, path: &str) -> Vec<String> {
        let objects = read(path.into(), text).unwrap();
        objects
            .iter()
            .map(|placed| format!("{} {}", placed.key, placed.place))
            .collect()
    }
}

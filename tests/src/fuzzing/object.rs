//! Objects of the API in JSON, and what the agent's state makes of them.

use dns_userspace::cluster::object::{Kind, read};
use dns_userspace::cluster::{Cluster, Event};

const KINDS: [Kind; 6] = [
    Kind::Namespace,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Pod,
    Kind::ServiceImport,
    Kind::ImportedSlice,
];

/// An object, of the kind that the first byte names, is read the same each time, changes the state once, and leaves
/// nothing behind when it is deleted.
pub fn object(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    let kind = KINDS[usize::from(*kind) % KINDS.len()];
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    match (read(kind, text), read(kind, text)) {
        (Ok(Some(object)), Ok(again)) => {
            assert_eq!(Some(&object), again.as_ref());
            assert!(!object.key().name.is_empty());
            check_life(kind, &Event::Apply(object.clone()), Event::Delete(kind, object.key()));
            check_life(kind, &Event::Reset(kind, vec![object]), Event::Reset(kind, Vec::new()));
        }
        (Ok(None), Ok(None)) => assert_eq!(kind, Kind::Pod, "only a Pod can be one that nobody asks for"),
        (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
        (one, other) => unreachable!("{one:?} and {other:?} of one text"),
    }
}

/// The state after an object's end is the state before its beginning; that its kind is synced is all that may remain.
fn check_life(kind: Kind, beginning: &Event, end: Event) {
    let mut before = Cluster::default();
    if matches!(beginning, Event::Reset(..)) {
        before.apply(Event::Reset(kind, Vec::new()));
    }
    let mut cluster = Cluster::default();
    assert!(cluster.apply(beginning.clone()), "it changes something");
    assert!(!cluster.apply(beginning.clone()), "but not twice");
    assert!(cluster.apply(end), "its end changes something");
    assert_eq!(cluster, before);
}

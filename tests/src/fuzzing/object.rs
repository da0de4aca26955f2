//! Objects of the API in JSON, and what the agent's state makes of them.

use std::collections::HashSet;

use dns_userspace::cluster::object::{Invalid, Kind, Object, read};
use dns_userspace::cluster::{Cluster, Event};

/// An object, of the kind that the first byte names, is read the same each time, changes the state once, and leaves
/// nothing behind when it is deleted.
pub fn object(data: &[u8]) {
    let Some((kind, text)) = data.split_first() else {
        return;
    };
    let kind = Kind::ALL[usize::from(*kind) % Kind::ALL.len()];
    let Ok(text) = str::from_utf8(text) else {
        return;
    };
    match (read(kind, text), read(kind, text)) {
        (Ok(one), Ok(again)) => {
            assert_eq!(one, again);
            assert!(!one.key.name.is_empty());
            one.flaws.iter().for_each(check_line);
            if let Some(object) = one.object {
                assert_eq!((object.kind(), object.key()), (kind, one.key.clone()));
                check_life(&object, Event::Delete(kind, one.key));
                check_life(&object, Event::Listed(kind, HashSet::new()));
            }
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            check_line(&one);
        }
        (one, other) => unreachable!("{one:?} and {other:?} of one text"),
    }
}

/// What is wrong is told in one line.
fn check_line(flaw: &Invalid) {
    assert!(!flaw.to_string().contains(char::is_control), "{flaw:?}");
}

/// The state after an object's end is the state of a cluster that never had it.
fn check_life(object: &Object, end: Event) {
    let (mut before, mut cluster) = (Cluster::default(), Cluster::default());
    before.apply(end.clone());
    assert!(cluster.apply(Event::Apply(object.clone())).any, "it changes something");
    assert!(!cluster.apply(Event::Apply(object.clone())).any, "but not twice");
    assert!(cluster.apply(end).any, "its end changes something");
    assert_eq!(cluster, before);
}

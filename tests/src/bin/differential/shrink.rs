//! Reduces a cluster to the fewest objects that still make two servers differ at a question, and in the same.

use anyhow::Result;

use crate::compare;
use crate::round::{Plan, ask_once, differ, forget};
use crate::stage::Server;
use crate::world::{Key, World};
use crate::writer::Writer;
use kxdns_tests::question::Question;

/// Leaves objects out, all at first and one at a time at last, as long as the difference stays. The cluster is
/// as before afterwards.
pub(crate) fn shrink<'a>(
    mut servers: [Server<'a>; 2],
    writer: &mut Writer<'_>,
    plan: &Plan<'_>,
    world: &World,
    (question, aspects): (&Question, &[&str]),
) -> Result<([Server<'a>; 2], World)> {
    let mut least = world.clone();
    // At first without any: many differences have nothing to do with the objects.
    let mut size = world.len();
    while size > 0 {
        let keys: Vec<Key> = least.keys().cloned().collect();
        for left_out in keys.chunks(size) {
            let trial = without(&least, left_out);
            writer.write(&trial)?;
            servers = forget(servers, plan)?;
            writer.settle(&mut servers, plan.corefile)?;
            let replies = ask_once(&mut servers, plan, question)?;
            let [coredns, other] = &replies;
            if differ(plan, question, &replies) && compare::aspects(coredns, other) == aspects {
                least = trial;
            }
        }
        size /= 2;
    }
    writer.write(world)?;
    servers = forget(servers, plan)?;
    writer.settle(&mut servers, plan.corefile)?;
    Ok((servers, least))
}

fn without(world: &World, keys: &[Key]) -> World {
    let mut rest = world.clone();
    for key in keys {
        rest.remove(key);
    }
    rest
}

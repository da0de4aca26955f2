//! How an upstream's reply comes to its client: late, cut, after another one, spoilt, or not at all.

use std::time::Duration;

use anyhow::{Context, Result};
use domain::base::{Message, ToName};

use super::reply::{Extent, write};
use super::script::{LATE, Place, Script};

const SMALLEST_LIMIT: u16 = 512;
const DELAY: Duration = Duration::from_millis(300);
const HEADER: usize = 12;
/// What is sent in the place of a message.
const GARBAGE: &[u8] = b"no message";

/// What is sent to a query.
pub(crate) struct Delivery {
    pub(crate) delay: Duration,
    pub(crate) messages: Vec<Vec<u8>>,
}

/// What an upstream sends to a query.
pub(crate) fn deliver(query: &[u8], place: Place, is_tcp: bool) -> Result<Delivery> {
    let query = Message::from_octets(query).context("shorter than a header")?;
    let name = query.sole_question()?.qname().to_name::<Vec<u8>>();
    let script = Script::of(&name, place);
    if script.says("silent") {
        return Ok(Delivery {
            delay: Duration::ZERO,
            messages: Vec::new(),
        });
    }
    let reply = fit(&query, &script, is_tcp)?;
    let question = HEADER..HEADER + name.as_slice().len() + 4;
    let reply = spoil(&script, reply, question);
    let messages = if script.says("wrongid") {
        vec![with_another_id(&reply), reply]
    } else {
        vec![reply]
    };
    let delay = if script.says(LATE) { DELAY } else { Duration::ZERO };
    Ok(Delivery { delay, messages })
}

/// The reply, with as much as may be sent at once.
fn fit(query: &Message<&[u8]>, script: &Script, is_tcp: bool) -> Result<Vec<u8>> {
    let allowed = query
        .opt()
        .map_or(SMALLEST_LIMIT, |opt| opt.udp_payload_size().max(SMALLEST_LIMIT));
    let limit = usize::from(if is_tcp { u16::MAX } else { allowed });
    let extent = match is_tcp {
        false if script.says("cut") => Extent::Nothing,
        false if script.says("part") => Extent::Start,
        _ => Extent::Whole,
    };
    let reply = write(query, script, extent)?;
    if reply.len() <= limit {
        return Ok(reply);
    }
    write(query, script, Extent::Nothing)
}

/// Makes of a reply what its words ask for.
fn spoil(script: &Script, mut reply: Vec<u8>, question: std::ops::Range<usize>) -> Vec<u8> {
    let first_letter = HEADER + 1;
    if script.says("garbage") {
        return GARBAGE.to_vec();
    }
    if script.says("query") {
        reply[2] &= 0x7f;
    }
    if script.says("wrongname") {
        reply[first_letter] ^= 1;
    }
    if script.says("capitals") {
        reply[question.start..question.end - 4].make_ascii_uppercase();
    }
    if script.says("noquestion") {
        reply[5] = 0;
        reply.drain(question);
    }
    if script.says("short") {
        reply.truncate(reply.len() - 3);
    }
    if script.says("tail") {
        reply.extend([0; 5]);
    }
    reply
}

fn with_another_id(reply: &[u8]) -> Vec<u8> {
    let mut other = reply.to_vec();
    other[0] ^= 0x55;
    other
}

//! What a hostile client writes to a TCP connection: messages behind each other, and ends that are none.

use super::message;
use super::random::Random;

/// The longest conversation, in messages.
const MAX_MESSAGES: usize = 6;

/// Everything that a client says on one connection.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The messages, each to be framed by its length.
    pub messages: Vec<Vec<u8>>,
    /// How it ends.
    pub ending: Ending,
}

/// How a client ends what it says.
#[derive(Clone, Debug)]
pub enum Ending {
    /// By a good query, whose reply tells that the connection is still open.
    Probe(Vec<u8>),
    /// By these bytes, which are no whole message, and the end of the stream.
    Finish(Vec<u8>),
}

impl Conversation {
    /// A single message, and the good query behind it.
    pub fn of(message: Vec<u8>, probe: Vec<u8>) -> Conversation {
        Conversation {
            messages: vec![message],
            ending: Ending::Probe(probe),
        }
    }

    /// Makes the conversation number `number` of a seed: messages of that seed, silent ones and empty ones in between.
    pub fn make(seed: u64, number: u16, known: &str) -> Conversation {
        let mut random = Random::new(!seed ^ (u64::from(number) << 32));
        let first = number.wrapping_mul(MAX_MESSAGES as u16 + 1);
        let count = random.below(MAX_MESSAGES + 1) as u16;
        let messages = (0..count)
            .map(|at| one(&mut random, seed, first.wrapping_add(at), known))
            .collect();
        let probe = message::plain_query(known, first.wrapping_add(count).wrapping_mul(2) | 1);
        let ending = if random.once_in(2) {
            Ending::Probe(probe)
        } else {
            Ending::Finish(tail(&mut random, &probe))
        };
        Conversation { messages, ending }
    }

    /// The messages on the wire, without the ending.
    pub fn bytes(&self) -> Vec<u8> {
        self.messages.iter().flat_map(|message| frame(message)).collect()
    }

    /// The messages and what is left of one at the end, but no good query.
    pub fn all_bytes(&self) -> Vec<u8> {
        match &self.ending {
            Ending::Probe(_) => self.bytes(),
            Ending::Finish(tail) => [&self.bytes()[..], tail].concat(),
        }
    }
}

/// A message behind its length (RFC 1035, 4.2.2).
pub fn frame(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

fn one(random: &mut Random, seed: u64, number: u16, known: &str) -> Vec<u8> {
    let id = number.wrapping_mul(2);
    match random.below(6) {
        0 => Vec::new(),
        1 => {
            let mut response = message::plain_query(known, id);
            response[2] |= 0x80;
            response
        }
        2 | 3 => message::plain_query(known, id),
        _ => message::make(seed, number),
    }
}

/// What is left when a client stops in the middle of a message: nothing, half a length, a length that promises more.
fn tail(random: &mut Random, message: &[u8]) -> Vec<u8> {
    let whole = frame(message);
    match random.below(5) {
        0 => Vec::new(),
        1 => whole[..1].to_vec(),
        2 => whole[..2].to_vec(),
        3 => whole[..2 + random.below(message.len())].to_vec(),
        _ => [&[0xff, 0xff], message].concat(),
    }
}

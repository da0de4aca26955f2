//! Replies that an upstream should not send, each to questions for names that begin with its own.

use super::names::QUESTION_AT;

/// What is made of a right reply; nothing is sent where that is `None`.
type Bend = fn(Vec<u8>) -> Option<Vec<u8>>;

/// The oddities by name.
const ODDITIES: [(&str, Bend); 19] = [
    ("silent", |_| None),
    ("short", |reply| Some(reply[..5].to_vec())),
    ("header-only", |reply| Some(reply[..QUESTION_AT].to_vec())),
    ("cut", |reply| Some(reply[..reply.len() - 3].to_vec())),
    ("surplus", |reply| Some([&reply[..], b"surplus"].concat())),
    ("wrong-id", |reply| Some(change(reply, 1, 0x55))),
    ("query", |reply| Some(change(reply, 2, 0x80))),
    ("other-opcode", |reply| Some(change(reply, 2, 0x10))),
    ("truncated", |reply| Some(without_records(change(reply, 2, 0x02)))),
    ("truncated-with-records", |reply| Some(change(reply, 2, 0x02))),
    ("other-case", |reply| Some(change(reply, QUESTION_AT + 1, 0x20))),
    ("other-name", |reply| Some(change(reply, QUESTION_AT + 1, 0x01))),
    ("no-question", |reply| Some(without_question(change(reply, 3, 0)))),
    ("bare-servfail", |reply| Some(without_question(change(reply, 3, 2)))),
    ("nxdomain", |reply| Some(without_records(change(reply, 3, 3)))),
    ("refused", |reply| Some(without_records(change(reply, 3, 5)))),
    ("formerr", |reply| Some(without_records(change(reply, 3, 1)))),
    ("large", |reply| Some(with_text(reply, 3))),
    ("larger", |reply| Some(with_text(reply, 12))),
];

/// The names of all oddities.
pub fn names() -> impl Iterator<Item = &'static str> {
    ODDITIES.iter().map(|(name, _)| *name)
}

/// Makes of a right reply what its question asks for: nothing else for most.
pub fn bend(reply: Vec<u8>) -> Option<Vec<u8>> {
    let label = reply.get(QUESTION_AT + 1..)?.get(..usize::from(reply[QUESTION_AT]))?;
    match ODDITIES.iter().find(|(name, _)| name.as_bytes() == label) {
        Some((_, bend)) => bend(reply),
        None => Some(reply),
    }
}

fn change(mut reply: Vec<u8>, at: usize, bits: u8) -> Vec<u8> {
    reply[at] ^= bits;
    reply
}

/// The header, and all its counts 0.
fn without_question(reply: Vec<u8>) -> Vec<u8> {
    [&reply[..4], &[0; 8]].concat()
}

/// The header and the question.
fn without_records(mut reply: Vec<u8>) -> Vec<u8> {
    let name = reply[QUESTION_AT..].iter().position(|&byte| byte == 0);
    reply.truncate(QUESTION_AT + name.unwrap_or_default() + 5);
    reply[6..QUESTION_AT].fill(0);
    reply
}

/// The header, the question, and so many records of 255 bytes of text.
fn with_text(reply: Vec<u8>, count: u8) -> Vec<u8> {
    let mut reply = without_records(reply);
    reply[7] = count;
    for number in 0..count {
        reply.extend([0xc0, QUESTION_AT as u8, 0, 16, 0, 1, 0, 0, 0, 60, 1, 0, 255]);
        reply.extend([b'a' + number; 255]);
    }
    reply
}

//! Aliases that lead out of a zone: what stands at their target is asked for like any other question, and put behind them.

use domain::base::iana::Rcode;
use domain::base::name::ToName;
use domain::base::rdata::ComposeRecordData as _;
use domain::base::record::ParsedRecord;
use domain::base::wire::ParseError;
use domain::base::{Message, Name, ParsedName};
use domain::rdata::AllRecordData;

use super::message::{Data, Record};
use super::reply::Body;

/// Adds the answer of the reply for the target. Where that has none, or an error, the aliases stand alone.
pub(super) fn complete(body: &mut Body, reply: &[u8]) {
    let Ok(message) = Message::from_slice(reply) else {
        return;
    };
    if let Ok(records) = read(message) {
        body.answer.extend(records);
        body.truncated |= message.header().tc();
    }
}

fn read(message: &Message<[u8]>) -> Result<Vec<Record>, ParseError> {
    match message.header().rcode() {
        Rcode::NOERROR | Rcode::NXDOMAIN => message.answer()?.map(|record| copy(&record?)).collect(),
        _ => Ok(Vec::new()),
    }
}

fn copy(record: &ParsedRecord<'_, [u8]>) -> Result<Record, ParseError> {
    let owner: Name<Vec<u8>> = record.owner().to_name();
    let data = record.to_any_record::<AllRecordData<_, ParsedName<_>>>()?;
    let mut bytes = Vec::new();
    // Writing to a vector cannot fail.
    let Ok(()) = data.data().compose_rdata(&mut bytes);
    Ok(Record {
        owner: owner.as_slice().to_vec(),
        ttl: record.ttl().as_secs(),
        data: Data::Other {
            rtype: record.rtype().to_int(),
            class: record.class().to_int(),
            bytes,
        },
    })
}

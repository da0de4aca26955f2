//! `any`: answers questions for records of all types with next to nothing (RFC 8482).

use domain::base::iana::{OptRcode, Rtype};

use super::{Next, Plugin, Serving, reply};
use crate::server::message::Record;
use crate::server::query::Query;
use crate::server::rdata::Data;
use crate::server::reply::status;

const NAME: &str = "any";

/// The TTL of the answer, in seconds.
const TTL: u32 = 8482;

/// Two character strings, as RFC 8482, 4.2 proposes.
const HOST_INFORMATION: &[u8] = b"\x0dANY obsoleted\x0cSee RFC 8482";

/// Answers what asks for everything.
pub(super) struct Any;

impl Plugin for Any {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        if query.message.question.qtype != Rtype::ANY {
            return next.serve(query);
        }
        let mut message = status(query, OptRcode::NOERROR);
        message.answer.push(Record {
            owner: query.qname().clone(),
            ttl: TTL,
            data: Data::of_bytes(Rtype::HINFO, HOST_INFORMATION),
        });
        reply(NAME, message)
    }
}

#[cfg(test)]
mod tests {
    use crate::server::testing::*;

    #[tokio::test]
    async fn who_asks_for_everything_gets_host_information() {
        let responder = responder("any\nkubernetes cluster.local");
        let asked = query("Any.example.org", 255);
        let record = b"\xc0\x0c\0\x0d\0\x01\0\0\x21\x22\0\x1b\x0dANY obsoleted\x0cSee RFC 8482";
        let mut expected = [&asked[..], record].concat();
        (expected[2], expected[7]) = (0x81, 1);
        assert_eq!(responder.respond(&asked, UDP).await, Some(expected));
        let other = responder.respond(&query("any.example.org", 1), UDP).await.unwrap();
        assert_eq!(other[3] & 0xf, 2, "no plugin answers it");
    }
}

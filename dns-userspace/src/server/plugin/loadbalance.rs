//! `loadbalance`: the addresses of an answer in random order.

use domain::base::iana::{OptRcode, Rtype};
use rand::seq::SliceRandom as _;

use super::{Next, Plugin, Serving};
use crate::server::message::{Message, Record};
use crate::server::query::Query;

/// Puts addresses, and mail exchanges, into random order behind what leads to them.
pub(super) struct LoadBalance;

impl Plugin for LoadBalance {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        Box::pin(async move { next.serve(query).await.map(shuffle) })
    }
}

fn shuffle(mut reply: Message) -> Message {
    let is_transfer = matches!(reply.question.qtype, Rtype::AXFR | Rtype::IXFR);
    if reply.rcode == OptRcode::NOERROR && !is_transfer {
        reply
            .sections_mut()
            .into_iter()
            .for_each(|section| shuffle_section(section));
    }
    reply
}

/// Each sort of records keeps its place: aliases, others, addresses, mail exchanges.
fn shuffle_section(records: &mut [Record]) {
    let sort = |record: &Record| match record.data.rtype {
        Rtype::CNAME => 0,
        Rtype::A | Rtype::AAAA => 2,
        Rtype::MX => 3,
        _ => 1,
    };
    records.sort_by_key(sort);
    let addresses = records.partition_point(|record| sort(record) < 2);
    let exchanges = records.partition_point(|record| sort(record) < 3);
    let (before, mail) = records.split_at_mut(exchanges);
    before[addresses..].shuffle(&mut rand::rng());
    mail.shuffle(&mut rand::rng());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use domain::base::Header;
    use domain::base::iana::Class;

    use super::*;
    use crate::server::message::Question;
    use crate::server::rdata::Data;

    /// A reply with this code and a record of each of these types, told apart by their TTLs.
    fn reply(rcode: OptRcode, types: &[Rtype]) -> Message {
        let question = Question {
            name: b"\x01a\0".to_vec(),
            qtype: Rtype::A,
            class: Class::IN,
        };
        let mut reply = Message::new(Header::new(), rcode, question);
        reply.answer = (0..)
            .zip(types)
            .map(|(ttl, rtype)| Record {
                owner: b"\x01a\0".to_vec(),
                ttl,
                data: Data::of_bytes(*rtype, b""),
            })
            .collect();
        reply
    }

    #[test]
    fn sorts_keep_their_places_and_addresses_come_in_random_order() {
        let mut types = vec![Rtype::MX, Rtype::A, Rtype::TXT, Rtype::CNAME];
        types.extend([Rtype::A; 10]);
        let mut orders = HashSet::new();
        for _ in 0..20 {
            let shuffled = shuffle(reply(OptRcode::NOERROR, &types)).answer;
            let found: Vec<_> = shuffled.iter().map(|record| record.data.rtype).collect();
            assert_eq!((found[0], found[1], found[13]), (Rtype::CNAME, Rtype::TXT, Rtype::MX));
            orders.insert(shuffled.iter().map(|record| record.ttl).collect::<Vec<_>>());
        }
        assert!(orders.len() > 10);
    }

    #[test]
    fn an_error_stays_as_it_is() {
        let types = [Rtype::A, Rtype::CNAME, Rtype::A, Rtype::A];
        let before = reply(OptRcode::NXDOMAIN, &types);
        assert_eq!(shuffle(before.clone()), before);
    }
}

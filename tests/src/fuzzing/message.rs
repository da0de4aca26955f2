//! DNS messages, as the agent's server reads and writes them.

use std::sync::{Arc, LazyLock, RwLock};

use dns_userspace::cluster::Event;
use dns_userspace::cluster::object::Kind;
use dns_userspace::corefile::Fallthrough;
use dns_userspace::kernel::zones::KernelZone;
use dns_userspace::server::{Transport, reply_to, rewrite};
use dns_userspace::zone::SharedZoneTable;
use domain::base::Message;
use domain::base::iana::Rcode;

use super::rules::{objects, options};
use crate::tables::zone_table;

const HEADER_LEN: usize = 12;
/// What goes into a datagram for a client that says nothing of it.
const UDP_LEN: usize = 512;
const MAX_LEN: usize = 65535;

/// Everything is known of these zones.
pub(super) static ZONES: LazyLock<SharedZoneTable> = LazyLock::new(|| KNOWN.0.clone());

/// The same, and the zones that the kernel answers from.
pub(super) static KNOWN: LazyLock<(SharedZoneTable, Vec<KernelZone>)> = LazyLock::new(|| {
    let kinds = [Kind::Namespace, Kind::Service, Kind::EndpointSlice];
    let zones = ["cluster.local", "in-addr.arpa", "ip6.arpa"];
    let (mut table, kernel_zones) = zone_table(&zones, options(0), Fallthrough::None, &kinds);
    for kind in kinds {
        for event in Event::list(kind, objects(kind)) {
            table.update(event, 1);
        }
    }
    (Arc::new(RwLock::new(table)), kernel_zones)
});

/// A message that is read means the same when it is written; what is replied can be read by others, answers this message
/// and is no longer than its sender takes.
///
/// The first byte says whether the message comes over UDP, the rest is the message.
pub fn message(data: &[u8]) {
    let Some((&first, message)) = data.split_first() else {
        return;
    };
    if let Some(written) = rewrite(message, MAX_LEN) {
        assert_eq!(rewrite(&written, MAX_LEN).as_ref(), Some(&written));
    }
    let transport = if first % 2 == 0 { Transport::Udp } else { Transport::Tcp };
    if let Some(reply) = reply_to(message, transport, &ZONES) {
        check_reply(message, &reply, transport);
    }
}

fn check_reply(message: &[u8], reply: &[u8], transport: Transport) {
    assert_eq!(reply[..2], message[..2], "the ID");
    let Ok(read) = Message::from_slice(reply) else {
        unreachable!("a reply has a header");
    };
    assert!(read.header().qr(), "a reply");
    let records = read.iter().filter(|record| record.is_ok()).count();
    let counts = read.header_counts();
    let promised = counts.ancount() + counts.nscount() + counts.arcount();
    assert_eq!(records, usize::from(promised), "others can read every record");
    let Some(asked) = rewrite(message, HEADER_LEN) else {
        let refused = [Rcode::FORMERR, Rcode::NOTIMP, Rcode::SERVFAIL];
        assert!(
            refused.contains(&read.header().rcode()) && records == 0,
            "it cannot be read"
        );
        return;
    };
    if counts.qdcount() == 1 {
        let end = reply[HEADER_LEN..]
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or_default();
        assert_eq!(
            reply[HEADER_LEN..HEADER_LEN + end],
            asked[HEADER_LEN..HEADER_LEN + end],
            "the name asked for"
        );
    }
    let size = read.opt().map_or(0, |opt| usize::from(opt.udp_payload_size()));
    let limit = match transport {
        Transport::Udp => size.max(UDP_LEN),
        Transport::Tcp => MAX_LEN,
    };
    // Question and options are always in it.
    assert!(reply.len() <= limit.max(asked.len()), "{} of {limit}", reply.len());
}

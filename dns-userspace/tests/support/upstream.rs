//! The upstream of the recorded CoreDNS: a few names, and NXDOMAIN with the root's SOA for all others.

use anyhow::{Context as _, Result};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::ToName as _;
use domain::base::{Message, MessageBuilder, Name, Serial, Ttl};
use domain::rdata::{A, Aaaa, Soa};

/// The reply to a query.
pub(crate) fn answer(query: &[u8]) -> Result<Vec<u8>> {
    let query = Message::from_slice(query).context("no message")?;
    let question = query.sole_question()?;
    let name: Name<Vec<u8>> = question.qname().to_name();
    let text = name.to_string().to_lowercase();
    let rcode = match text.trim_end_matches('.') {
        "www.example.com" | "short.example.com" => Rcode::NOERROR,
        "sf.example.com" => Rcode::SERVFAIL,
        _ => Rcode::NXDOMAIN,
    };
    let mut builder = MessageBuilder::new_vec().start_answer(query, rcode)?;
    builder.header_mut().set_ra(true);
    match (text.trim_end_matches('.'), question.qtype()) {
        ("www.example.com", Rtype::A) => builder.push((&name, 300, A::from_octets(93, 184, 216, 34)))?,
        ("www.example.com", Rtype::AAAA) => builder.push((&name, 120, Aaaa::new("2606:2800::1".parse()?)))?,
        ("short.example.com", Rtype::A) => builder.push((&name, 1, A::from_octets(1, 1, 1, 1)))?,
        _ => {}
    }
    let mut builder = builder.authority();
    if rcode == Rcode::NXDOMAIN && text.trim_end_matches('.') != "nosoa.example.com" {
        let [mname, rname] = ["a.root-servers.net", "n"].map(|name| name.parse::<Name<Vec<u8>>>());
        let seconds = Ttl::from_secs;
        let soa = Soa::new(
            mname?,
            rname?,
            Serial(1),
            seconds(1800),
            seconds(900),
            seconds(604_800),
            seconds(86_400),
        );
        builder.push((Name::root_slice(), Class::IN, 86_400, soa))?;
    }
    let mut builder = builder.additional();
    if let Some(opt) = query.opt() {
        builder.opt(|reply| {
            reply.set_udp_payload_size(opt.udp_payload_size());
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

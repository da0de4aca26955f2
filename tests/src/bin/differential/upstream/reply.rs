//! An upstream's reply: the records that its words ask for.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, anyhow};
use domain::base::iana::{OptRcode, OptionCode, Rcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, AuthorityBuilder};
use domain::base::opt::UnknownOptData;
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName};
use domain::rdata::{A, Aaaa, Cname, Mx, Ns, Ptr, Soa, Srv, Txt, ZoneRecordData};

use super::script::Script;

/// The UDP size that an upstream advertises itself, and that of one with an odd mind.
const OWN_SIZE: u16 = 1232;
const ODD_SIZE: u16 = 100;

/// How much of a reply is written; less than all has the TC bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// The answer but its last record.
    Start,
    Nothing,
}

type Names = Name<Vec<u8>>;

/// Writes the reply to a query.
pub(crate) fn write(query: &Message<&[u8]>, script: &Script, extent: Extent) -> Result<Vec<u8>> {
    let question = query.sole_question()?;
    let mut builder = MessageBuilder::new_vec().start_answer(query, script.rcode())?;
    write_header(&mut builder, query, script, extent);
    let records = match extent {
        Extent::Nothing => Vec::new(),
        _ => answer(query, script, &question.qname().to_name(), question.qtype())?,
    };
    let written = records.len() - usize::from(extent == Extent::Start && !records.is_empty());
    for (number, (owner, data)) in (0..).zip(&records[..written]) {
        builder.push((owner, question.qclass(), script.ttl(number), data))?;
    }
    let reaches = records.iter().any(|(_, data)| !matches!(data, Data::Cname(_)));
    let mut builder = builder.authority();
    if extent == Extent::Whole && !reaches && denies(script) {
        let soa = soa(script)?;
        builder.push((Name::root_ref(), question.qclass(), script.ttl(9), soa))?;
    }
    let glue = extent == Extent::Whole && script.says("glue");
    if glue {
        push_name_servers(&mut builder, script)?;
    }
    let mut builder = builder.additional();
    if glue {
        builder.push((host("ns.example")?, script.ttl(3), A::new(Ipv4Addr::new(192, 0, 2, 53))))?;
    }
    push_opt(&mut builder, query, script)?;
    Ok(builder.finish())
}

fn write_header(builder: &mut AnswerBuilder<Vec<u8>>, query: &Message<&[u8]>, script: &Script, extent: Extent) {
    let header = builder.header_mut();
    header.set_ra(!script.says("nora"));
    header.set_aa(script.says("aa"));
    header.set_ad(script.says("ad"));
    header.set_z(script.says("z"));
    header.set_cd(query.header().cd());
    header.set_tc(extent != Extent::Whole);
}

type Data = ZoneRecordData<Vec<u8>, Names>;

/// The records of the answer, with their owners.
fn answer(query: &Message<&[u8]>, script: &Script, name: &Names, rtype: Rtype) -> Result<Vec<(Names, Data)>> {
    let denied = !matches!(script.rcode(), Rcode::NOERROR) || script.says("nodata");
    if denied {
        return Ok(Vec::new());
    }
    let (mut records, owner) = aliases(script, name)?;
    if !script.says("loose") && rtype != Rtype::CNAME {
        let owner = if script.says("stranger") {
            host("stranger.example")?
        } else {
            owner
        };
        let data = data(query, script, &owner, rtype)?;
        records.extend(data.into_iter().map(|data| (owner.clone(), data)));
    }
    Ok(records)
}

/// The aliases that a name begins with, and the name that they lead to.
fn aliases(script: &Script, name: &Names) -> Result<(Vec<(Names, Data)>, Names)> {
    let targets: &[&str] = if script.says("chain") {
        &["one.example.com", "two.example.org", "www.example.com"]
    } else if script.says_any(&["alias", "loose"]) {
        &["www.example.com"]
    } else {
        &[]
    };
    let mut owner = name.clone();
    let mut records = Vec::new();
    for target in targets {
        let target = host(target)?;
        records.push((owner, Cname::new(target.clone()).into()));
        owner = target;
    }
    Ok((records, owner))
}

fn data(query: &Message<&[u8]>, script: &Script, owner: &Names, rtype: Rtype) -> Result<Vec<Data>> {
    let (target, number) = (host("www.example.com")?, script.place.number);
    let ipv4 = |last| A::new(Ipv4Addr::new(198, 51, 99 + number, last)).into();
    let ipv6 = |last| Aaaa::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, u16::from(number), last)).into();
    Ok(match rtype {
        Rtype::A if !script.says("v6") => (0..script.number()).map(ipv4).collect(),
        Rtype::AAAA if !script.says("v4") => (0..u16::from(script.number())).map(ipv6).collect(),
        Rtype::TXT => vec![text(&text_of(query, script))?.into()],
        Rtype::MX => vec![Mx::new(10, target).into(), Mx::new(20, owner.clone()).into()],
        Rtype::SRV => vec![Srv::new(1, 2, 80, target).into()],
        Rtype::PTR if script.is_known_address() => vec![Ptr::new(target).into()],
        _ => Vec::new(),
    })
}

fn text(told: &str) -> Result<Txt<Vec<u8>>> {
    Txt::build_from_slice(told.as_bytes()).map_err(|_| anyhow!("too long a text"))
}

/// What a TXT record tells: the name, or of the query all that a server on the way may have changed.
fn text_of(query: &Message<&[u8]>, script: &Script) -> String {
    if !script.says("echo") {
        return format!("Text of {}", script.label);
    }
    let header = query.header();
    let bits = format!(
        "RD {} AD {} CD {} Z {}",
        header.rd(),
        header.ad(),
        header.cd(),
        header.z()
    );
    let Some(opt) = query.opt() else {
        return format!("{bits}, no OPT");
    };
    let options = opt.opt().iter::<UnknownOptData<_>>().flatten();
    let options: Vec<String> = options
        .map(|option| format!("{} {:02x?}", option.code().to_int(), option.as_slice()))
        .collect();
    format!(
        "{bits}, size {} DO {} options {options:?}",
        opt.udp_payload_size(),
        opt.dnssec_ok()
    )
}

/// Whether the authority tells how long it is that there is nothing.
fn denies(script: &Script) -> bool {
    matches!(script.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) && !script.says("bare")
}

fn soa(script: &Script) -> Result<Soa<Names>> {
    let (name, time) = (host("root.example")?, script.minimum());
    Ok(Soa::new(name.clone(), name, 7.into(), time, time, time, time))
}

fn push_name_servers(builder: &mut AuthorityBuilder<Vec<u8>>, script: &Script) -> Result<()> {
    builder.push((Name::root_ref(), script.ttl(2), Ns::new(host("ns.example")?)))?;
    Ok(())
}

fn host(name: &str) -> Result<Names> {
    Ok(Name::vec_from_str(name)?)
}

fn push_opt(builder: &mut AdditionalBuilder<Vec<u8>>, query: &Message<&[u8]>, script: &Script) -> Result<()> {
    let asked = query.opt();
    if script.says("noopt") || asked.is_none() && !script.says("unasked") {
        return Ok(());
    }
    let (odd, rcode) = (script.says("options"), script.rcode());
    builder.opt(|reply| {
        reply.set_udp_payload_size(if odd { ODD_SIZE } else { OWN_SIZE });
        reply.set_dnssec_ok(asked.is_some_and(|opt| opt.dnssec_ok()));
        if script.says("badcookie") && rcode == Rcode::NOERROR {
            reply.set_rcode(OptRcode::BADCOOKIE);
        }
        if odd {
            for (code, data) in [(OptionCode::NSID, &b"us"[..]), (OptionCode::EXTENDED_ERROR, &[0, 3])] {
                reply.push_raw_option(code, data.len() as u16, |target| {
                    target.extend_from_slice(data);
                    Ok(())
                })?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

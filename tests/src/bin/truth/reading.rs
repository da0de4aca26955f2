//! What a reply says, and whether it has the form that every reply has.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use domain::base::Rtype;
use domain::base::iana::OptRcode;
use kxdns_tests::meaning::{Fact, Meaning, Reply};

use crate::rules::Said;
use crate::subject::{Asked, Extra};

const TTL: u32 = 30;

/// How many replies are remembered at most.
const REMEMBERED: usize = 50_000;

/// Reads replies, most of which are the same as another one but for their ID.
#[derive(Default)]
pub(crate) struct Reader {
    read: HashMap<Vec<u8>, (Asked, Rc<Said>)>,
}

impl Reader {
    /// Reads a reply. Fails where it has not the form that it should have whatever it says.
    pub(crate) fn read(&mut self, asked: &Asked, message: &[u8]) -> Result<Rc<Said>> {
        let content = message.get(2..).unwrap_or_default();
        match self.read.get(content) {
            Some((former, said)) if former == asked => Ok(Rc::clone(said)),
            _ => self.read_anew(asked, message),
        }
    }

    fn read_anew(&mut self, asked: &Asked, message: &[u8]) -> Result<Rc<Said>> {
        if self.read.len() >= REMEMBERED {
            self.read.clear();
        }
        let said = Rc::new(read(asked, message)?);
        self.read.insert(message[2..].to_vec(), (*asked, Rc::clone(&said)));
        Ok(said)
    }
}

fn read(asked: &Asked, message: &[u8]) -> Result<Said> {
    let reply = Reply::read(message);
    let meaning = reply.meaning().with_context(|| reply.to_string())?;
    said(asked, meaning)
}

fn said(asked: &Asked, meaning: &Meaning) -> Result<Said> {
    ensure!(meaning.flags == "QR AA RD" && !meaning.truncated, "its flags");
    let [question] = &meaning.question[..] else {
        bail!("its questions")
    };
    ensure!(
        *question == format!("{} IN {}", asked.name(), asked.rtype),
        "its question"
    );
    ensure!(meaning.opt.as_deref() == opt(asked.extra), "its OPT record");
    let all = meaning.sections.iter().flatten();
    ensure!(all.clone().all(|fact| fact.ttl == TTL), "a TTL");
    match (meaning.rcode, meaning.answer()) {
        (OptRcode::NOERROR, []) => denied(asked, meaning).map(|()| Said::NoData),
        (OptRcode::NXDOMAIN, []) => denied(asked, meaning).map(|()| Said::NxDomain),
        (OptRcode::NOERROR, _) => records(meaning),
        _ => bail!("its rcode"),
    }
}

/// What CoreDNS echoes of the OPT record.
fn opt(extra: Extra) -> Option<&'static str> {
    match extra {
        Extra::Nothing => None,
        Extra::Edns => Some("size 1232 version and flags 000000 options []"),
        Extra::Cookie => {
            Some("size 1232 version and flags 000000 options [\"COOKIE(10) [01, 02, 03, 04, 05, 06, 07, 08]\"]")
        }
    }
}

fn denied(asked: &Asked, meaning: &Meaning) -> Result<()> {
    let [_, authority, additional] = &meaning.sections;
    let is_soa = |fact: &Fact| fact.rtype == Rtype::SOA && fact.owner == asked.zone();
    ensure!(
        matches!(&authority[..], [soa] if is_soa(soa)) && additional.is_empty(),
        "its SOA record"
    );
    Ok(())
}

fn records(meaning: &Meaning) -> Result<Said> {
    let [answer, authority, additional] = &meaning.sections;
    ensure!(authority.is_empty(), "its authority section");
    Ok(Said::Records {
        answer: texts(answer)?,
        additional: texts(additional)?,
    })
}

fn texts(facts: &[Fact]) -> Result<BTreeSet<String>> {
    let text = |fact: &Fact| format!("{} {} {}", fact.owner, fact.rtype, fact.data.trim_end_matches('.'));
    let texts: BTreeSet<String> = facts.iter().map(text).collect();
    ensure!(texts.len() == facts.len(), "a record that it has twice");
    Ok(texts)
}

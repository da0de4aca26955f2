//! `file`: answers from zone files.
//!
//! A zone is replaced as a whole: a file that has changed is read aside, and queries are answered from the zone as it was until
//! the new one is complete. A file that will not do leaves the zone as it was.

mod lookup;
mod zone;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use domain::base::iana::{Opcode, OptRcode, Rtype};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::lookup::{Asked, Content, Found, Sort};
use self::zone::{LoadError, Zone};
use super::{Failure, Next, Outcome, Plugin, Serving, at_once};
use crate::corefile::{Fallthrough, ZoneFile, describe_duration};
use crate::name::Name;
use crate::server::Context;
use crate::server::journal::{Journal, Level};
use crate::server::query::Query;
use crate::server::reply::status;
use crate::server::zonefile::Error;

const NAME: &str = "file";

/// The `file` directives of a server block.
pub(super) struct File {
    zones: Vec<Arc<Loaded>>,
    /// As in CoreDNS, the last that is given counts for all.
    fallthrough: Fallthrough,
    journal: Journal,
    /// Whether the files are being looked at.
    follows: AtomicBool,
}

/// A zone, and the file that it comes from.
struct Loaded {
    origin: Name,
    path: PathBuf,
    reload: Option<Duration>,
    /// Whether the file's time says that it has changed, and not the zone's serial.
    by_time: bool,
    /// `None` as long as there was no file.
    zone: RwLock<Option<Arc<Zone>>>,
    /// The time that the file had when it was read.
    time: Mutex<Option<SystemTime>>,
    journal: Journal,
}

impl File {
    /// Loads the zones.
    ///
    /// # Errors
    ///
    /// A file that is wrong, or that cannot be read and is not looked at again.
    pub(super) fn new(files: &[ZoneFile], context: &Context) -> Result<Self> {
        let mut zones = Vec::new();
        for file in files {
            for origin in &file.zones {
                zones.push(Arc::new(Loaded::new(file, origin, context)?));
            }
        }
        let mut given = files.iter().map(|file| &file.fallthrough);
        let last = given.rfind(|fallthrough| **fallthrough != Fallthrough::None);
        Ok(Self {
            zones,
            fallthrough: last.cloned().unwrap_or(Fallthrough::None),
            journal: context.journal.clone(),
            follows: AtomicBool::new(false),
        })
    }

    /// The zone with the longest name that holds this one; of several of one name the last.
    fn zone_of(&self, name: &Name) -> Option<&Arc<Loaded>> {
        let holding = self.zones.iter().filter(|zone| name.is_within(&zone.origin));
        holding.max_by_key(|zone| zone.origin.as_wire().len())
    }

    fn drop_notice<'a>(&self, query: &Query, zone: &Loaded) -> Serving<'a> {
        let (client, origin) = (query.client.address.ip(), &zone.origin);
        let line = format!("plugin/file: Dropping notify from {client} for {origin}");
        self.journal.write(Level::Info, &line);
        at_once(Outcome::Silence)
    }
}

impl Plugin for File {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let Some(zone) = self.zone_of(query.name()) else {
            // Nobody else is there to know the name.
            return match next.is_last() {
                true => fail(OptRcode::REFUSED, None),
                false => next.serve(query),
            };
        };
        let qtype = query.message.question.qtype;
        if [Rtype::AXFR, Rtype::IXFR].contains(&qtype) {
            return fail(OptRcode::REFUSED, None);
        }
        if query.message.header.opcode() == Opcode::NOTIFY {
            return self.drop_notice(query, zone);
        }
        let Some(zone) = zone.current() else {
            return fail(OptRcode::SERVFAIL, None);
        };
        let signed = query.edns().is_some_and(|edns| edns.wants_signatures());
        let asked = Asked::new(query.name(), qtype, signed);
        match zone.look_up(&asked) {
            Found::Elsewhere { answer, target } => Box::pin(async move {
                let rest = next.resolve(query, target).await;
                reply(query, zone.complete(&asked, answer, rest))
            }),
            Found::Content(content) if is_nothing(&content) && self.fallthrough.takes(query.name()) => {
                match next.is_last() {
                    true => fail(OptRcode::SERVFAIL, Some("plugin/file: no next plugin found")),
                    false => next.serve(query),
                }
            }
            Found::Content(content) => at_once(reply(query, content)),
        }
    }

    fn start(&self, _address: SocketAddr) {
        if self.follows.swap(true, Ordering::Relaxed) {
            return;
        }
        for zone in &self.zones {
            let Some(period) = zone.reload else { continue };
            // Whoever serves by it keeps it; its file is looked at for as long.
            let zone = Arc::downgrade(zone);
            tokio::spawn(async move {
                let mut ticks = interval_at(Instant::now() + period, period);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    let Some(zone) = zone.upgrade() else { return };
                    // Reading may take long, and is no business of the threads that serve.
                    let _ = tokio::task::spawn_blocking(move || zone.refresh()).await;
                }
            });
        }
    }
}

impl Loaded {
    fn new(file: &ZoneFile, origin: &Name, context: &Context) -> Result<Self> {
        let loaded = Self {
            origin: origin.clone(),
            path: file.path.clone(),
            reload: file.reload,
            by_time: file.by_time,
            zone: RwLock::default(),
            time: Mutex::default(),
            journal: context.journal.clone(),
        };
        match (loaded.load(None), file.reload) {
            (Ok(_), _) => {}
            (Err(LoadError::File(error @ Error::Unreadable { .. })), Some(reload)) => {
                let (error, reload) = (error.to_string(), describe_duration(reload));
                let line = format!("plugin/file: Failed to open {error:?}: trying again in {reload}");
                context.journal.write(Level::Warning, &line);
            }
            (Err(error), _) => return Err(anyhow!("{}: {error}", file.span)),
        }
        Ok(loaded)
    }

    fn current(&self) -> Option<Arc<Zone>> {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads the file unless its serial is this; the serial that it then has.
    fn load(&self, known: Option<u32>) -> Result<Option<u32>, LoadError> {
        let time = self.file_time().ok();
        let Some(zone) = Zone::load(&self.path, &self.origin, known)? else {
            return Ok(None);
        };
        let serial = zone.serial;
        let new = Some(Arc::new(zone));
        let old = {
            let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *zone, new)
        };
        // Outside of the lock: taking a large zone apart takes long.
        drop(old);
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = time;
        Ok(Some(serial))
    }

    fn file_time(&self) -> io::Result<SystemTime> {
        std::fs::metadata(&self.path)?.modified()
    }

    /// Loads the file if it has changed, and tells of it.
    fn refresh(&self) {
        let known = self.current().map(|zone| zone.serial);
        let known = match self.by_time {
            true if self.is_as_old() => return,
            true => None,
            false => known,
        };
        let (origin, path) = (&self.origin, self.path.display());
        match self.load(known) {
            Ok(None) => {}
            Ok(Some(serial)) => {
                let line = format!(
                    "plugin/file: Successfully reloaded zone \"{origin}\" in \"{path}\" with {serial} SOA serial"
                );
                self.journal.write(Level::Info, &line);
            }
            Err(LoadError::File(error @ Error::Unreadable { .. })) => {
                let line = format!("plugin/file: Failed to open zone \"{origin}\" in \"{path}\": {error}");
                self.journal.write(Level::Error, &line);
            }
            Err(error) => {
                let line = format!("plugin/file: Parsing zone \"{origin}\": {error}");
                self.journal.write(Level::Error, &line);
            }
        }
    }

    /// Whether the file has the time that it was read with.
    fn is_as_old(&self) -> bool {
        let time = *self.time.lock().unwrap_or_else(PoisonError::into_inner);
        time.is_some() && self.file_time().ok() == time
    }
}

/// Whether there is no answer, and no reason for that but that the name has no records.
fn is_nothing(content: &Content) -> bool {
    content.answer.is_empty() && matches!(content.sort, Sort::Success | Sort::NameError)
}

fn reply(query: &Query, content: Content) -> Outcome {
    let rcode = match content.sort {
        Sort::Success | Sort::NoData | Sort::Delegation => OptRcode::NOERROR,
        Sort::NameError => OptRcode::NXDOMAIN,
        Sort::Failure => OptRcode::SERVFAIL,
        Sort::TooLong => OptRcode::YXDOMAIN,
    };
    if content.answer.is_empty() && content.sort == Sort::Failure {
        return Outcome::Failure(Failure { rcode, error: None });
    }
    let mut message = status(query, rcode);
    let is_referral = content.answer.is_empty() && content.sort == Sort::Delegation;
    message.header.set_aa(!is_referral);
    message.answer = content.answer;
    message.authority = content.authority;
    message.additional = content.additional;
    Outcome::Reply(super::Reply { message, source: NAME })
}

fn fail<'a>(rcode: OptRcode, error: Option<&str>) -> Serving<'a> {
    let error = error.map(str::to_owned);
    at_once(Outcome::Failure(Failure { rcode, error }))
}

#[cfg(test)]
mod tests;

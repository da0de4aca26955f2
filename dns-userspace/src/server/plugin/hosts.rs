//! `hosts`: addresses by name and names by address, from a file such as `/etc/hosts` and from the Corefile.
//!
//! The file is read anew when its time or size has changed, which is looked at every so often. While it is not there, what it
//! said last stays in force, as in CoreDNS.

mod metrics;
mod table;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use anyhow::{Result, anyhow};
use domain::base::iana::{OptRcode, Rtype};
use tokio::time::{Instant, interval_at};

pub(in crate::server) use self::metrics::HostsMetrics;
use self::table::Table;
use super::{Failure, Next, Outcome, Plugin, Serving, at_once, reply};
use crate::corefile;
use crate::corefile::HostEntry;
use crate::rules::reverse_address;
use crate::server::Context;
use crate::server::journal::Level;
use crate::server::message::Record;
use crate::server::query::Query;
use crate::server::rdata::Data;
use crate::server::reply::status;

const NAME: &str = "hosts";

/// The `hosts` of a server block.
pub(super) struct Hosts {
    shared: Arc<Shared>,
    /// Whether the file is being looked at.
    follows: AtomicBool,
}

struct Shared {
    config: corefile::Hosts,
    inline: Table,
    file: RwLock<Table>,
    /// The time and size that the file had when it was read.
    read: Mutex<Option<(SystemTime, u64)>>,
    metrics: HostsMetrics,
}

impl Hosts {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// It cannot be said whether there is one.
    pub(super) fn new(config: &corefile::Hosts, context: &Context) -> Result<Self> {
        let shared = Shared {
            inline: Table::new(config, config.inline.iter().cloned()),
            file: RwLock::default(),
            read: Mutex::default(),
            metrics: context.metrics.hosts.clone(),
            config: config.clone(),
        };
        if let Some(warning) = shared.check()? {
            context
                .journal
                .write(Level::Warning, &format!("plugin/hosts: {warning}"));
        }
        Ok(Self {
            shared: Arc::new(shared),
            follows: AtomicBool::new(false),
        })
    }
}

impl Plugin for Hosts {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let shared = &self.shared;
        let qtype = query.message.question.qtype;
        if !shared.config.takes(query.name()) && qtype != Rtype::PTR {
            return next.serve(query);
        }
        match qtype {
            Rtype::PTR => match shared.pointers(query) {
                pointers if pointers.is_empty() => next.serve(query),
                pointers => answer(query, pointers, shared.config.ttl),
            },
            Rtype::A | Rtype::AAAA => match shared.addresses(query, qtype) {
                addresses if addresses.is_empty() => shared.answer_nothing(query, next),
                addresses => answer(query, addresses, shared.config.ttl),
            },
            _ if shared.config.fallthrough_unsupported && shared.config.fallthrough.takes(query.name()) => {
                next.serve(query)
            }
            _ => shared.answer_nothing(query, next),
        }
    }

    fn start(&self, _address: SocketAddr) {
        let Some(period) = self.shared.config.reload else {
            return;
        };
        if self.follows.swap(true, Ordering::Relaxed) {
            return;
        }
        // Whoever serves by it keeps it; it is followed for as long.
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            let mut ticks = interval_at(Instant::now() + period, period);
            loop {
                ticks.tick().await;
                let Some(shared) = shared.upgrade() else { return };
                // What cannot be read leaves what was read in force.
                let _ = shared.refresh();
            }
        });
    }
}

impl Shared {
    /// Reads the file for the first time, and returns what is to be told of it, in CoreDNS's words where it has some.
    fn check(&self) -> Result<Option<String>> {
        let path = self.config.path().display();
        let is_given = self.config.file.is_some();
        let warning = match fs::metadata(self.config.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(is_given.then(|| format!("File does not exist: {path}")));
            }
            Err(error) if is_given => {
                let span = &self.config.span;
                return Err(anyhow!("{span}: unable to access hosts file '{path}': {error}"));
            }
            Ok(metadata) if metadata.is_dir() => Some(format!("Hosts file \"{path}\" is a directory")),
            Ok(_) | Err(_) => None,
        };
        let unread = self.refresh().err();
        Ok(warning.or(unread.map(|error| format!("cannot read {path}: {error}"))))
    }

    /// Reads the file if it is another than before.
    fn refresh(&self) -> io::Result<()> {
        let path = self.config.path();
        let metadata = fs::metadata(path)?;
        let (time, size) = (metadata.modified()?, metadata.len());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == Some((time, size)) {
            return Ok(());
        }
        // A device such as /dev/null has no entries, and a pipe might never end.
        let bytes = if metadata.is_file() {
            fs::read(path)?
        } else {
            Vec::new()
        };
        let text = String::from_utf8_lossy(&bytes);
        let table = Table::new(&self.config, text.lines().filter_map(HostEntry::of_line));
        self.metrics.tell(path, self.inline.len() + table.len(), time);
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = table;
        *read = Some((time, size));
        Ok(())
    }

    /// What the file and the Corefile have, one behind the other.
    fn collect<T: Clone>(&self, find: impl Fn(&Table) -> &[T]) -> Vec<T> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        [find(&file), find(&self.inline)].concat()
    }

    fn addresses(&self, query: &Query, qtype: Rtype) -> Vec<Data> {
        let addresses = self.collect(|table| table.addresses(query.name(), qtype));
        addresses.into_iter().map(Data::of_address).collect()
    }

    fn pointers(&self, query: &Query) -> Vec<Data> {
        let Some(address) = reverse_address(query.name()) else {
            return Vec::new();
        };
        let names = self.collect(|table| table.names(address));
        let names = names.iter().map(|name| name.as_wire().to_vec());
        names.map(|name| Data::of_name(Rtype::PTR, &name)).collect()
    }

    /// Says that a name has nothing of what is asked for. A name without addresses falls through or fails: there is no SOA
    /// record to deny it with.
    fn answer_nothing<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        let exists = [Rtype::A, Rtype::AAAA].iter().any(|qtype| {
            let addresses = self.collect(|table| table.addresses(query.name(), *qtype));
            !addresses.is_empty()
        });
        match exists {
            true => answer(query, Vec::new(), self.config.ttl),
            false if self.config.fallthrough.takes(query.name()) => next.serve(query),
            false => at_once(Outcome::Failure(Failure {
                rcode: OptRcode::SERVFAIL,
                error: None,
            })),
        }
    }
}

/// The reply with these.
fn answer<'a>(query: &Query, data: Vec<Data>, ttl: u32) -> Serving<'a> {
    let mut message = status(query, OptRcode::NOERROR);
    message.header.set_aa(true);
    let owner = query.name().as_wire();
    message.answer = data
        .into_iter()
        .map(|data| Record {
            owner: owner.to_vec(),
            ttl,
            data,
        })
        .collect();
    reply(NAME, message)
}

#[cfg(test)]
mod tests;

//! The options of an OPT record, while they are changed.

use domain::base::iana::{Class, OptionCode};

use crate::corefile::rewrite::EdnsAction;
use crate::server::edns::{self, read_options, write_option};
use crate::server::message::Record;

/// The size that a query advertises whose OPT record is made here, in bytes.
const PAYLOAD_SIZE: u16 = 4096;

/// The codes of the options that CoreDNS's library knows. It takes those of other codes alone for what `local` means.
const KNOWN: [u16; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 19];

/// An OPT record, its options apart.
pub(super) struct Options {
    payload_size: Class,
    bits: u32,
    options: Vec<Opt>,
}

struct Opt {
    code: u16,
    data: Vec<u8>,
    /// Whether rules for `local` options see it.
    is_local: bool,
}

/// Which option a rule means.
#[derive(Clone, Copy)]
pub(super) struct Meant {
    pub(super) code: u16,
    pub(super) is_local: bool,
    /// Whether it is added though there is one.
    pub(super) repeats: bool,
}

/// What undoes a change of an option.
pub(super) enum Undo {
    /// The first of this code goes.
    Remove(u16),
    /// The first of this code gets this.
    Restore(u16, Vec<u8>),
}

impl Options {
    /// Those of an OPT record.
    pub(super) fn of(opt: &Record) -> Self {
        let options = read_options(opt.data.as_bytes()).map(|(code, data)| Opt {
            code: code.to_int(),
            data: data.to_vec(),
            is_local: !KNOWN.contains(&code.to_int()),
        });
        Self {
            payload_size: opt.data.class,
            bits: opt.ttl,
            options: options.collect(),
        }
    }

    /// Those of a query that had no OPT record.
    pub(super) fn new() -> Self {
        Self::of(&edns::opt(PAYLOAD_SIZE, 0, &[]))
    }

    /// Changes an option; `None` where the rule does not apply, and else what undoes it, if anything does.
    pub(super) fn change(&mut self, meant: Meant, action: EdnsAction, data: Vec<u8>) -> Option<Option<Undo>> {
        let Meant {
            code,
            is_local,
            repeats,
        } = meant;
        let mut options = self.options.iter_mut();
        let found = options.find(|option| (option.code, option.is_local) == (code, is_local));
        match (action, found) {
            (EdnsAction::Unset, _) => {
                self.options.retain(|option| option.code != code);
                Some(None)
            }
            (EdnsAction::Set | EdnsAction::Replace, Some(option)) => {
                let old = std::mem::replace(&mut option.data, data);
                Some(Some(Undo::Restore(code, old)))
            }
            (EdnsAction::Replace, None) => None,
            (EdnsAction::Append, Some(_)) if !repeats => None,
            (EdnsAction::Set | EdnsAction::Append, _) => {
                self.options.push(Opt { code, data, is_local });
                Some(Some(Undo::Remove(code)))
            }
        }
    }

    /// Undoes a change, where there is such an option.
    pub(super) fn undo(&mut self, undo: &Undo) {
        let (Undo::Remove(code) | Undo::Restore(code, _)) = undo;
        let Some(at) = self.options.iter().position(|option| option.code == *code) else {
            return;
        };
        match undo {
            Undo::Remove(_) => drop(self.options.remove(at)),
            Undo::Restore(_, data) => self.options[at].data.clone_from(data),
        }
    }

    /// Makes an OPT record of them.
    pub(super) fn write(&self) -> Record {
        let mut data = Vec::new();
        for option in &self.options {
            write_option(&mut data, OptionCode::from_int(option.code), &option.data);
        }
        let mut opt = edns::opt(self.payload_size.to_int(), 0, &data);
        opt.ttl = self.bits;
        opt
    }
}

//! What can keep a program off a link, told in one line with the way out.

use std::io;

use aya::programs::{ProgramError, loaded_programs, tc::TcError, xdp::XdpError};
use rustix::{
    io::Errno,
    thread::{CapabilitySet, capabilities},
};
use thiserror::Error;

use super::{hook::Refusal, link};

/// Why a program is not on a link.
#[derive(Debug, Error)]
pub enum AttachError {
    /// No hook suits the link.
    #[error(transparent)]
    Unsuitable(#[from] Refusal),
    /// The kernel cannot be asked about the link.
    #[error("cannot learn what it can do: {0}")]
    Unknown(#[from] io::Error),
    /// The link is gone.
    #[error("the link is gone")]
    Gone,
    /// The agent may attach to no link at all.
    #[error(transparent)]
    Privilege(#[from] MissingPrivilege),
    /// Someone else's XDP program is on the link.
    #[error("it already has XDP program {0}; kxdns does not replace it: detach it, or use --attach tcx")]
    ForeignXdp(String),
    /// The kernel takes the program on no link.
    #[error("the kernel refuses program {0}")]
    Program(String),
    /// The kernel or the driver refuses the program on this link.
    #[error("{error}; {way_out}")]
    Refused {
        /// What the kernel says.
        error: String,
        /// What to do about it.
        way_out: &'static str,
    },
}

/// The agent lacks a privilege without which nothing can be attached anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "kxdns needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON to answer from the kernel ({missing}): run it as root, add them to \
     its container, or use --attach none"
)]
pub struct MissingPrivilege {
    missing: String,
}

impl MissingPrivilege {
    /// Fails if this process lacks a capability without which no program gets onto any link.
    pub fn check() -> Result<(), Self> {
        match missing_capabilities().as_slice() {
            [] => Ok(()),
            missing => Err(Self::of(missing)),
        }
    }

    /// Makes the error if `refusal`, which the kernel gave to a load or an attach, can come from a missing capability.
    ///
    /// Without CAP_PERFMON the verifier refuses pointer arithmetic, so its EACCES counts when a capability is missing.
    pub fn behind(refusal: Option<Errno>) -> Option<Self> {
        let missing = missing_capabilities();
        match refusal? {
            Errno::PERM | Errno::ACCESS if !missing.is_empty() => Some(Self::of(&missing)),
            Errno::PERM => Some(Self {
                missing: "it has them, but the kernel still refuses".into(),
            }),
            _ => None,
        }
    }

    fn of(missing: &[&str]) -> Self {
        Self {
            missing: format!("missing: {}", missing.join(", ")),
        }
    }
}

fn missing_capabilities() -> Vec<&'static str> {
    // That it cannot be read is as good as an answer: nothing is known to be missing.
    let held = capabilities(None).map_or(CapabilitySet::all(), |sets| sets.effective);
    let lacks = |capability, stand_in| !held.intersects(capability | stand_in);
    [
        ("CAP_BPF", lacks(CapabilitySet::BPF, CapabilitySet::SYS_ADMIN)),
        ("CAP_NET_ADMIN", lacks(CapabilitySet::NET_ADMIN, CapabilitySet::empty())),
        ("CAP_PERFMON", lacks(CapabilitySet::PERFMON, CapabilitySet::SYS_ADMIN)),
    ]
    .into_iter()
    .filter_map(|(name, lacking)| lacking.then_some(name))
    .collect()
}

/// Explains why a program cannot be loaded.
pub(super) fn explain_load(name: &str, error: ProgramError) -> AttachError {
    if let Some(privilege) = MissingPrivilege::behind(error_number(&error)) {
        return privilege.into();
    }
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            tracing::debug!("the verifier on {name}:\n{log}");
            AttachError::Program(format!("{name}: {io_error} ({})", verdict(&log)))
        }
        error => AttachError::Program(format!("{name}: {:#}", anyhow::Error::from(error))),
    }
}

/// Picks the line of a verifier's log that says what is wrong: the last, but for the statistics.
fn verdict(log: &str) -> &str {
    const STATISTICS: [&str; 3] = ["processed ", "verification time ", "stack depth "];
    let says_more = |line: &&str| !line.is_empty() && !STATISTICS.iter().any(|start| line.starts_with(start));
    let mut lines = log.lines().map(str::trim).filter(says_more);
    lines.next_back().unwrap_or("the verifier says nothing")
}

/// Explains why a classifier cannot be attached.
pub(super) fn explain_classifier(error: ProgramError) -> AttachError {
    explain(
        error,
        "see `tc filter show dev LINK ingress` for who has the place, or use another --attach",
    )
}

/// Explains why an XDP program cannot be attached to the link with this index.
pub(super) fn explain_xdp(index: u32, error: ProgramError) -> AttachError {
    let way_out = match error_number(&error) {
        // The second is the kernel's word for a program that is there in the other mode, native or generic.
        Some(Errno::BUSY | Errno::EXIST) => return explain_occupied(index),
        Some(Errno::RANGE) => "lower its peer's MTU, or use --attach tcx",
        Some(Errno::NOSPC) => {
            "give it as many receive queues as its peer has transmit queues (`ethtool -L`), or use --attach tcx"
        }
        Some(Errno::OPNOTSUPP) => "its driver has no native XDP: use --attach xdp-generic",
        _ => "use --attach tcx or xdp-generic",
    };
    explain(error, way_out)
}

fn explain_occupied(index: u32) -> AttachError {
    match link::get(index) {
        Ok(Some(link)) => AttachError::ForeignXdp(link.xdp_program.map_or("of unknown id".into(), name_program)),
        Ok(None) => AttachError::Gone,
        Err(error) => AttachError::ForeignXdp(format!("of unknown id ({error})")),
    }
}

/// Writes a program as its id and, where the agent may read it (CAP_SYS_ADMIN), its name.
fn name_program(id: u32) -> String {
    let program = loaded_programs()
        .map_while(Result::ok)
        .find(|program| program.id() == id);
    match program.as_ref().and_then(|program| program.name_as_str()) {
        Some(name) => format!("{id} `{name}`"),
        None => id.to_string(),
    }
}

/// Tells a missing link or privilege from a refusal that `way_out` leads around.
fn explain(error: ProgramError, way_out: &'static str) -> AttachError {
    match error_number(&error) {
        Some(Errno::NODEV | Errno::NXIO) => AttachError::Gone,
        number => match MissingPrivilege::behind(number) {
            Some(missing) => missing.into(),
            None => AttachError::Refused {
                error: format!("{:#}", anyhow::Error::from(error)),
                way_out,
            },
        },
    }
}

/// Digs the system's error number out of an error.
pub(super) fn error_number(error: &ProgramError) -> Option<Errno> {
    let from_io = |error: &io::Error| error.raw_os_error();
    let number = match error {
        ProgramError::LoadError { io_error, .. } => from_io(io_error),
        ProgramError::SyscallError(error) => from_io(&error.io_error),
        ProgramError::IOError(error) | ProgramError::TcError(TcError::IoError(error)) => from_io(error),
        ProgramError::NetlinkError(error)
        | ProgramError::TcError(TcError::NetlinkError(error))
        | ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    };
    number.map(Errno::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_verdict_before_the_statistics() {
        let log = "0: R1=ctx()\nR1 pointer -= pointer prohibited\nverification time 9 usec\nstack depth 0\nprocessed 3 insns\n\n";
        assert_eq!(verdict(log), "R1 pointer -= pointer prohibited");
        assert_eq!(verdict(""), "the verifier says nothing");
    }
}

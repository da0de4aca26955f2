//! The clsact qdisc under a classifier: added where it is missing, removed again when the agent added it and it is empty.

use std::io;

use aya::programs::TcAttachType;
use aya::programs::tc::{TcError, qdisc_add_clsact, qdisc_detach_program};
use netlink_packet_core::NLM_F_DUMP;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;

use super::netlink::{Message, read_u32, request};

const RTM_DELQDISC: u16 = 37;
const RTM_GETTFILTER: u16 = 46;
const CLSACT: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_fff2;
const EGRESS: u32 = 0xffff_fff3;

/// A clsact qdisc that the agent added; dropping it removes the qdisc unless others have put filters there.
#[derive(Debug)]
pub(super) struct AddedQdisc {
    index: u32,
}

/// Makes sure that the link has a clsact qdisc. Returns the qdisc if this added it, `None` if it was there.
pub(super) fn ensure(index: u32) -> Result<Option<AddedQdisc>, TcError> {
    match qdisc_add_clsact(index) {
        Ok(()) => Ok(Some(AddedQdisc { index })),
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(Errno::EXIST.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes this program's filters off the link, which an agent that was killed has left there, and the qdisc with them
/// unless others use it. Returns whether there were any: what is attached by other hooks goes with its owner.
pub(super) fn sweep(index: u32, program: &str) -> Result<bool, TcError> {
    match qdisc_detach_program(index, TcAttachType::Ingress.into(), program) {
        Ok(()) => {
            drop(AddedQdisc { index });
            Ok(true)
        }
        Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for AddedQdisc {
    fn drop(&mut self) {
        if let Err(error) = remove_if_empty(self.index) {
            // A link that is gone took its qdisc along.
            if Errno::from_io_error(&error) != Some(Errno::NODEV) {
                tracing::warn!("cannot remove the clsact qdisc from link {}: {error}", self.index);
            }
        }
    }
}

fn remove_if_empty(index: u32) -> io::Result<()> {
    if has_filter(index, INGRESS)? || has_filter(index, EGRESS)? {
        return Ok(());
    }
    request(NETLINK_ROUTE, message(RTM_DELQDISC, index, CLSACT), 0).map(drop)
}

fn has_filter(index: u32, parent: u32) -> io::Result<bool> {
    let filters = request(NETLINK_ROUTE, message(RTM_GETTFILTER, index, parent), NLM_F_DUMP)?;
    Ok(filters
        .iter()
        .any(|filter| filter.payload.get(4..).and_then(read_u32) == Some(index)))
}

/// Builds a message with nothing but its `struct tcmsg`.
fn message(kind: u16, index: u32, parent: u32) -> Message {
    let fields = [0, index, 0, parent, 0];
    Message::new(kind, &fields.map(u32::to_ne_bytes).concat(), &[])
}

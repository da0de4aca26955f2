//! What a link's driver can do with XDP, asked of the kernel's `netdev` generic netlink family (Linux 6.3 and later).
//!
//! On a veth the answer also tells, from the host's side, whether the other end can receive redirected frames.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use rustix::io::Errno;

use super::netlink::{Message, attribute, request};

const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;

/// The XDP features of one link, as the kernel's `enum netdev_xdp_act` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures(pub u64);

impl XdpFeatures {
    const BASIC: u64 = 1 << 0;
    const NDO_XMIT: u64 = 1 << 2;

    /// Tells whether the driver runs XDP programs natively, `XDP_TX` included.
    pub fn runs_programs(self) -> bool {
        self.0 & Self::BASIC != 0
    }

    /// Tells whether frames redirected to the link go out; on a veth, whether its peer has NAPI to receive them.
    pub fn sends_redirected(self) -> bool {
        self.0 & Self::NDO_XMIT != 0
    }
}

/// The `netdev` family of the running kernel.
#[derive(Clone, Copy, Debug)]
pub struct Netdev {
    family: Option<u16>,
}

impl Netdev {
    /// Looks the family up. That the kernel has none is no error: then no link's features are known.
    pub fn find() -> io::Result<Self> {
        let get = generic(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, (CTRL_ATTR_FAMILY_NAME, b"netdev\0"));
        let family = match request(NETLINK_GENERIC, get, 0) {
            Ok(replies) => find_value(&replies, CTRL_ATTR_FAMILY_ID).map(u16::from_ne_bytes),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        Ok(Self { family })
    }

    /// Returns the features of the link with this index, or `None` where the kernel does not tell or the link is gone.
    pub fn xdp_features(&self, index: u32) -> io::Result<Option<XdpFeatures>> {
        let Some(family) = self.family else {
            return Ok(None);
        };
        let get = generic(family, NETDEV_CMD_DEV_GET, (NETDEV_A_DEV_IFINDEX, &index.to_ne_bytes()));
        match request(NETLINK_GENERIC, get, 0) {
            Ok(replies) => Ok(find_value(&replies, NETDEV_A_DEV_XDP_FEATURES)
                .map(u64::from_ne_bytes)
                .map(XdpFeatures)),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Builds a generic netlink message with one attribute.
fn generic(family: u16, command: u8, attribute: (u16, &[u8])) -> Message {
    const VERSION: u8 = 1;
    Message::new(family, &[command, VERSION, 0, 0], &[attribute])
}

fn find_value<const SIZE: usize>(replies: &[Message], kind: u16) -> Option<[u8; SIZE]> {
    const HEADER_LENGTH: usize = 4;
    let value = attribute(replies.first()?.payload.get(HEADER_LENGTH..)?, kind)?;
    value.try_into().ok()
}

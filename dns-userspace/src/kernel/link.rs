//! The network links of the agent's namespace: a list of them, and the changes to it (rtnetlink, `RTNLGRP_LINK`).

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NetlinkPayload};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

use super::{
    hook::LinkKind,
    netlink::{Message, attribute, decode, read_string, read_u32, request},
};

const RTMGRP_LINK: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;

const HEADER_LENGTH: usize = 16;
const AF_UNSPEC: u8 = 0;
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_XDP: u16 = 43;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_XDP_PROG_ID: u16 = 4;

/// One link, as the kernel described it last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index, unique in its network namespace for as long as it lives.
    pub index: u32,
    /// Its name, which may change.
    pub name: String,
    /// What sort of device it is.
    pub kind: LinkKind,
    /// Whether its frames start with an Ethernet header.
    pub ethernet: bool,
    /// Whether its other end is in another network namespace.
    pub crosses_namespaces: bool,
    /// The id of the XDP program on it, in whatever mode.
    pub xdp_program: Option<u32>,
}

impl Link {
    /// Tells whether this is the host's side of a pod's link.
    pub fn is_pod_link(&self) -> bool {
        matches!(self.kind, LinkKind::Veth | LinkKind::Netkit) && self.crosses_namespaces
    }

    /// Reads an `RTM_NEWLINK` payload; `None` if it lacks what every link has.
    fn read(payload: &[u8]) -> Option<Self> {
        let (header, attributes) = payload.split_at_checked(HEADER_LENGTH)?;
        let layer = u16::from_ne_bytes(*header[2..].first_chunk()?);
        let nested = |outer, inner| attribute(attribute(attributes, outer)?, inner);
        Some(Self {
            index: read_u32(&header[4..])?,
            name: read_string(attribute(attributes, IFLA_IFNAME)?),
            kind: match nested(IFLA_LINKINFO, IFLA_INFO_KIND).map(read_string).as_deref() {
                Some("veth") => LinkKind::Veth,
                Some("netkit") => LinkKind::Netkit,
                Some("bridge") => LinkKind::Bridge,
                None if layer != ARPHRD_LOOPBACK => LinkKind::Physical,
                _ => LinkKind::Virtual,
            },
            ethernet: matches!(layer, ARPHRD_ETHER | ARPHRD_LOOPBACK),
            crosses_namespaces: attribute(attributes, IFLA_LINK_NETNSID).is_some(),
            xdp_program: nested(IFLA_XDP, IFLA_XDP_PROG_ID)
                .and_then(read_u32)
                .filter(|&id| id != 0),
        })
    }
}

/// Lists every link of the calling thread's network namespace.
pub fn list() -> io::Result<Vec<Link>> {
    let replies = request(
        NETLINK_ROUTE,
        Message::new(RTM_GETLINK, &[0; HEADER_LENGTH], &[]),
        NLM_F_DUMP,
    )?;
    Ok(replies.iter().filter_map(|reply| Link::read(&reply.payload)).collect())
}

/// Returns the link with this index as it is now, or `None` if it is gone.
pub fn get(index: u32) -> io::Result<Option<Link>> {
    let mut header = [0; HEADER_LENGTH];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    match request(NETLINK_ROUTE, Message::new(RTM_GETLINK, &header, &[]), 0) {
        Ok(replies) => Ok(replies.first().and_then(|reply| Link::read(&reply.payload))),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What happened to a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The link is new or has changed.
    Set(Link),
    /// The link with this index is gone.
    Gone(u32),
    /// Changes were lost, so what is known must be listed anew.
    Lost,
}

/// The kernel's notices of changes to links.
pub struct Changes(TokioSocket);

impl Changes {
    /// Subscribes to the changes from now on, in the calling thread's network namespace.
    pub fn subscribe() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, RTMGRP_LINK))?;
        Ok(Self(socket))
    }

    /// Waits for the next changes. Dropping the future loses none.
    pub async fn next(&mut self) -> io::Result<Vec<Change>> {
        match self.0.recv_from_full().await {
            Ok((datagram, _)) => Ok(decode(&datagram)?
                .into_iter()
                .filter_map(|message| read_change(message.payload))
                .collect()),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => Ok(vec![Change::Lost]),
            Err(error) => Err(error),
        }
    }
}

fn read_change(payload: NetlinkPayload<Message>) -> Option<Change> {
    let message = match payload {
        NetlinkPayload::InnerMessage(message) => message,
        NetlinkPayload::Overrun(_) => return Some(Change::Lost),
        _ => return None,
    };
    // A bridge tells in the same group, with its own address family, that a port left it: that link is not gone.
    let family = *message.payload.first()?;
    match message.kind {
        RTM_NEWLINK if family == AF_UNSPEC => Link::read(&message.payload).map(Change::Set),
        RTM_DELLINK if family == AF_UNSPEC => read_u32(message.payload.get(4..)?).map(Change::Gone),
        _ => None,
    }
}

//! Netlink, as much of it as the agent needs: one request with all of its replies, and the attributes in a reply.
//!
//! Payloads stay bytes, and a reader picks the few attributes that it wants. Decoding whole messages would lose a link to
//! any attribute that a newer kernel adds or widens.

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_HEADER_SIZE, NLM_F_ACK, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_sys::{Socket, SocketAddr};

/// A message of any netlink family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// What the family calls this message: its number in the netlink header.
    pub(super) kind: u16,
    /// All that follows the netlink header.
    pub(super) payload: Vec<u8>,
}

impl Message {
    /// Builds a message of the family's fixed `header` and attributes of (type, value).
    pub(super) fn new(kind: u16, header: &[u8], attributes: &[(u16, &[u8])]) -> Self {
        let attributes: Vec<_> = attributes
            .iter()
            .map(|(kind, value)| DefaultNla::new(*kind, value.to_vec()))
            .collect();
        let attributes = attributes.as_slice();
        let mut payload = header.to_vec();
        payload.resize(header.len() + attributes.buffer_len(), 0);
        attributes.emit(&mut payload[header.len()..]);
        Self { kind, payload }
    }
}

/// Sends one request and returns its replies, in the calling thread's network namespace.
///
/// The kernel replies while it takes the request, so this does not block for longer than the work itself.
pub(super) fn request(protocol: isize, message: Message, flags: u16) -> io::Result<Vec<Message>> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&encode(message, flags), 0)?;

    let mut replies = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        for message in decode(&datagram)? {
            match message.payload {
                NetlinkPayload::InnerMessage(reply) => replies.push(reply),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(replies),
                _ => {}
            }
        }
    }
}

/// Splits one datagram into its messages.
pub(super) fn decode(mut datagram: &[u8]) -> io::Result<Vec<NetlinkMessage<Message>>> {
    let mut messages = Vec::new();
    while !datagram.is_empty() {
        let message = NetlinkMessage::<Message>::deserialize(datagram).map_err(io::Error::other)?;
        let length = (message.header.length as usize).next_multiple_of(4);
        datagram = datagram.get(length..).unwrap_or_default();
        messages.push(message);
    }
    Ok(messages)
}

/// Walks the attributes in `bytes` as (type without flags, value), up to the first malformed one.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let (kind, end) = (attribute.kind(), usize::from(attribute.length()));
        (
            kind,
            attribute.into_inner().get(NLA_HEADER_SIZE..end).unwrap_or_default(),
        )
    })
}

/// Finds the value of the first attribute of type `kind`.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// Reads a 32-bit number in the machine's byte order from the front of `bytes`.
pub(super) fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().copied().map(u32::from_ne_bytes)
}

/// Reads a string that may end in a zero byte.
pub(super) fn read_string(bytes: &[u8]) -> String {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn encode(message: Message, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.payload);
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self {
            kind: header.message_type,
            payload: payload.to_vec(),
        })
    }
}

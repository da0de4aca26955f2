//! Frames and messages, byte by byte, for tests that hand them to the program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The pod that asks, in both families.
pub const POD: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 244, 1, 5),
    Ipv6Addr::new(0xfd00, 0x244, 0, 0, 0, 0, 1, 5),
);
/// The cluster's DNS Service, in both families.
pub const DNS_SERVICE: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 96, 0, 10),
    Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 0xa),
);
/// The port that the pod asks from.
pub const POD_PORT: u16 = 40_000;

const POD_MAC: [u8; 6] = [2, 0, 0, 0, 1, 5];
const NODE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A name in wire form: labels separated by dots, a trailing dot optional.
pub fn wire_name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8);
        wire.extend(label.bytes());
    }
    wire.push(0);
    wire
}

/// A DNS query, to be bent as a test needs it.
#[derive(Clone, Debug)]
pub struct Query {
    /// The header's ID.
    pub id: u16,
    /// The header's flags; RD by default.
    pub flags: u16,
    /// QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT.
    pub counts: [u16; 4],
    /// The question's name in wire form.
    pub name: Vec<u8>,
    /// The question's type.
    pub qtype: u16,
    /// The question's class.
    pub class: u16,
    /// What follows the question.
    pub rest: Vec<u8>,
}

impl Query {
    /// A plain query.
    pub fn new(name: &str, qtype: u16) -> Self {
        Self {
            id: 0x1234,
            flags: 0x0100,
            counts: [1, 0, 0, 0],
            name: wire_name(name),
            qtype,
            class: 1,
            rest: vec![],
        }
    }

    /// The query with an OPT record of this size and these flags and options.
    pub fn with_opt(mut self, udp_size: u16, flags: u16, options: &[u8]) -> Self {
        self.counts[3] += 1;
        self.rest.extend([0, 0, 41]);
        self.rest.extend(udp_size.to_be_bytes());
        self.rest.extend([0, 0]);
        self.rest.extend(flags.to_be_bytes());
        self.rest.extend((options.len() as u16).to_be_bytes());
        self.rest.extend(options);
        self
    }

    /// The message.
    pub fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend(self.id.to_be_bytes());
        message.extend(self.flags.to_be_bytes());
        self.counts.iter().for_each(|count| message.extend(count.to_be_bytes()));
        message.extend(&self.name);
        message.extend(self.qtype.to_be_bytes());
        message.extend(self.class.to_be_bytes());
        message.extend(&self.rest);
        message
    }

    /// The message in a frame from the pod to the DNS Service, without VLAN tags.
    pub fn frame(&self, family: Family) -> Vec<u8> {
        frame(family, &[], &self.message())
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The pod's and the DNS Service's addresses.
    pub fn addresses(self) -> [IpAddr; 2] {
        match self {
            Self::V4 => [POD.0.into(), DNS_SERVICE.0.into()],
            Self::V6 => [POD.1.into(), DNS_SERVICE.1.into()],
        }
    }

    /// Length of the IP header.
    pub fn header_len(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }
}

/// A frame from the pod to port 53 of the DNS Service, with these VLAN tags' EtherTypes and correct checksums.
pub fn frame(family: Family, vlans: &[u16], message: &[u8]) -> Vec<u8> {
    let mut frame = [NODE_MAC, POD_MAC].concat();
    for (id, ether_type) in vlans.iter().enumerate() {
        frame.extend(ether_type.to_be_bytes());
        frame.extend((100 + id as u16).to_be_bytes());
    }
    let [pod, service] = family.addresses();
    let mut udp = Vec::new();
    udp.extend(POD_PORT.to_be_bytes());
    udp.extend(53u16.to_be_bytes());
    udp.extend((8 + message.len() as u16).to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(message);
    let checksum = udp_checksum(pod, service, &udp);
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(ip_header(pod, service, udp.len() as u16));
    frame.extend(udp);
    frame
}

/// EtherType and IP header of a UDP packet.
fn ip_header(source: IpAddr, destination: IpAddr, udp_len: u16) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header = vec![0x45, 0];
            header.extend((20 + udp_len).to_be_bytes());
            header.extend([0xab, 0xcd, 0x40, 0, 63, 17, 0, 0]);
            header.extend(source.octets());
            header.extend(destination.octets());
            let checksum = !ones_sum(&header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            [&[8, 0], &header[..]].concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = vec![0x86, 0xdd, 0x60, 0, 0, 0];
            header.extend(udp_len.to_be_bytes());
            header.extend([17, 63]);
            header.extend(source.octets());
            header.extend(destination.octets());
            header
        }
        _ => unreachable!("a frame has one family"),
    }
}

/// The UDP checksum of a datagram whose field holds 0.
pub fn udp_checksum(source: IpAddr, destination: IpAddr, udp: &[u8]) -> u16 {
    match !ones_sum(&[&pseudo_header(source, destination, udp.len() as u16)[..], udp].concat()) {
        0 => 0xffff,
        checksum => checksum,
    }
}

/// The pseudo-header of a UDP datagram.
pub fn pseudo_header(source: IpAddr, destination: IpAddr, udp_len: u16) -> Vec<u8> {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    [
        &octets(source)[..],
        &octets(destination),
        &[0, 17],
        &udp_len.to_be_bytes(),
    ]
    .concat()
}

/// Whether the UDP checksum of a well-formed frame is its pseudo-header's sum, for a device to complete.
pub fn is_left_to_device(frame: &[u8]) -> bool {
    let mut at = 12;
    while [[0x81, 0], [0x88, 0xa8]].contains(&[frame[at], frame[at + 1]]) {
        at += 4;
    }
    let packet = &frame[at + 2..];
    let (addresses, udp) = match packet[0] >> 4 {
        4 => (&packet[12..20], &packet[20..]),
        _ => (&packet[8..40], &packet[40..]),
    };
    let length = (udp.len() as u16).to_be_bytes();
    udp[6..8] == ones_sum(&[addresses, &[0, 17], &length].concat()).to_be_bytes()
}

/// The one's complement sum of bytes, padded to an even length.
pub fn ones_sum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Checks everything of a reply's frame up to its message against the query's, and returns the message.
///
/// Panics, naming the difference, unless addresses and ports are swapped, tags kept, lengths right and checksums
/// correct (or, for IPv4, absent).
pub fn open_reply<'a>(query: &[u8], reply: &'a [u8]) -> &'a [u8] {
    assert_eq!(reply[..6], query[6..12], "destination MAC");
    assert_eq!(reply[6..12], query[..6], "source MAC");
    let mut at = 12;
    while [[0x81, 0], [0x88, 0xa8]].contains(&[query[at], query[at + 1]]) {
        at += 4;
    }
    at += 2;
    assert_eq!(reply[12..at], query[12..at], "VLAN tags and EtherType");
    let (query, reply) = (&query[at..], &reply[at..]);
    let (source, destination, udp) = match reply[0] >> 4 {
        4 => open_ipv4(query, reply),
        _ => open_ipv6(query, reply),
    };
    let query_udp = &query[query.len() - (udp.len() - (reply.len() - query.len()))..];
    assert_eq!(udp[..2], query_udp[2..4], "source port");
    assert_eq!(udp[2..4], query_udp[..2], "destination port");
    assert_eq!(
        usize::from(u16::from_be_bytes([udp[4], udp[5]])),
        udp.len(),
        "UDP length"
    );
    if udp[6..8] != [0, 0] || source.is_ipv6() {
        let sum = ones_sum(&[&pseudo_header(source, destination, udp.len() as u16)[..], udp].concat());
        assert_eq!(sum, 0xffff, "UDP checksum");
        assert_ne!(udp[6..8], [0, 0], "UDP checksum");
    }
    &udp[8..]
}

fn open_ipv4<'a>(query: &[u8], reply: &'a [u8]) -> (IpAddr, IpAddr, &'a [u8]) {
    assert_eq!(reply[12..16], query[16..20], "source address");
    assert_eq!(reply[16..20], query[12..16], "destination address");
    assert_eq!(
        usize::from(u16::from_be_bytes([reply[2], reply[3]])),
        reply.len(),
        "total length"
    );
    assert_eq!(ones_sum(&reply[..20]), 0xffff, "IPv4 header checksum");
    assert_eq!(reply[8], 64, "TTL");
    let address = |at: usize| IpAddr::from([reply[at], reply[at + 1], reply[at + 2], reply[at + 3]]);
    (address(12), address(16), &reply[20..])
}

fn open_ipv6<'a>(query: &[u8], reply: &'a [u8]) -> (IpAddr, IpAddr, &'a [u8]) {
    assert_eq!(reply[8..24], query[24..40], "source address");
    assert_eq!(reply[24..40], query[8..24], "destination address");
    assert_eq!(
        usize::from(u16::from_be_bytes([reply[4], reply[5]])) + 40,
        reply.len(),
        "payload length"
    );
    assert_eq!(reply[7], 64, "hop limit");
    let address = |at: usize| {
        let octets: [u8; 16] = std::array::from_fn(|index| reply[at + index]);
        IpAddr::from(octets)
    };
    (address(8), address(24), &reply[40..])
}

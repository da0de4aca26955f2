//! What exists only inside the kernel.

mod frames;
mod maps;
mod programs;

/// The core's header layouts are those of the network-types crate.
const _: () = {
    use core::mem::offset_of;

    use dns_ebpf::headers::{Ipv4, Ipv6, Udp};
    use network_types::ip::{Ipv4Hdr, Ipv6Hdr};
    use network_types::udp::UdpHdr;

    assert!(offset_of!(Ipv4, protocol) == offset_of!(Ipv4Hdr, proto));
    assert!(offset_of!(Ipv4, destination) == offset_of!(Ipv4Hdr, dst_addr));
    assert!(offset_of!(Ipv6, next_header) == offset_of!(Ipv6Hdr, next_hdr));
    assert!(offset_of!(Ipv6, destination) == offset_of!(Ipv6Hdr, dst_addr));
    assert!(offset_of!(Udp, checksum) == offset_of!(UdpHdr, check));
    assert!(size_of::<Ipv4>() == Ipv4Hdr::LEN && size_of::<Ipv6>() == Ipv6Hdr::LEN && size_of::<Udp>() == UdpHdr::LEN);
};

/// GPL-compatible, which the helpers that the programs call ask for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

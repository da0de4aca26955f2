//! The clock that leases are counted by, for the agent: a program that returns it and is only ever run by the agent.
//!
//! It counts the kernel's ticks. The programs read it by one load, where the coarse clock costs some 30 ns a packet; no
//! system call tells it.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod clock {
    use aya_ebpf::helpers::bpf_jiffies64;
    use aya_ebpf::macros::xdp;
    use aya_ebpf::programs::XdpContext;

    /// Returns the lower half of the clock.
    #[xdp]
    fn kxdns_clock(_context: XdpContext) -> u32 {
        // SAFETY: the helper takes nothing and returns a number.
        unsafe { bpf_jiffies64() as u32 }
    }

    /// GPL-compatible, as that of the programs.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}

#[cfg(target_arch = "bpf")]
use dns_ebpf as _;

#[cfg(not(target_arch = "bpf"))]
fn main() {}

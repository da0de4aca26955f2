//! Frames as the hooks hand them over.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{bpf_redirect, bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::{TcContext, XdpContext};
use dns_ebpf::packet::{Frame, NoRoom, Packet, PacketMut};

/// Sends the frame out of the device of this index, and returns the action that says so.
#[inline(always)]
pub(super) fn redirect(interface: u32) -> i64 {
    // SAFETY: the helper takes two numbers and touches no memory of ours.
    unsafe { bpf_redirect(interface, 0) }
}

/// A frame at an XDP hook.
pub(super) struct XdpFrame {
    context: XdpContext,
}

impl XdpFrame {
    /// Takes the hook's context.
    #[inline(always)]
    pub(super) fn new(context: XdpContext) -> Self {
        Self { context }
    }

    /// Index of the device that the frame came in by.
    #[inline(always)]
    pub(super) fn interface(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }
}

impl EbpfContext for XdpFrame {
    fn as_ptr(&self) -> *mut c_void {
        self.context.as_ptr()
    }
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn packet(&self) -> Packet<'_> {
        // SAFETY: the kernel keeps `data..data_end` readable for as long as the program runs and does not resize the
        // frame, which takes `&mut self`.
        unsafe { Packet::new(self.context.data(), self.context.data_end()) }
    }

    #[inline(always)]
    fn packet_mut(&mut self) -> PacketMut<'_> {
        // SAFETY: as in `packet`, and XDP owns the frame alone: it may write.
        unsafe { PacketMut::new(self.context.data(), self.context.data_end()) }
    }

    /// At the end where the driver left room, at the beginning otherwise: native XDP on a veth has as little as none
    /// behind a frame, and always some 200 bytes before it.
    #[inline(always)]
    fn grow(&mut self, by: usize) -> Result<usize, NoRoom> {
        let context = self.context.ctx;
        // SAFETY: `context` is the pointer that the kernel gave; no packet borrowed from `self` is alive.
        if unsafe { bpf_xdp_adjust_tail(context, by as i32) } == 0 {
            return Ok(0);
        }
        // SAFETY: as above.
        if unsafe { bpf_xdp_adjust_head(context, -(by as i32)) } == 0 {
            return Ok(by);
        }
        Err(NoRoom)
    }

    /// Never: a native frame loses the mark that asks for it, and generic XDP transmits without completing it, which a
    /// receiver on the same machine accepts.
    const MAY_WAIT_FOR_CHECKSUM: bool = false;

    #[inline(always)]
    fn waits_for_checksum(&mut self, _at: usize) -> bool {
        false
    }
}

/// A frame at a tc hook.
pub(super) struct SkbFrame {
    context: TcContext,
}

impl SkbFrame {
    /// Takes the hook's context.
    #[inline(always)]
    pub(super) fn new(context: TcContext) -> Self {
        Self { context }
    }

    /// Index of the device that the frame came in by.
    #[inline(always)]
    pub(super) fn interface(&self) -> u32 {
        let context = self.context.as_ptr().cast::<__sk_buff>();
        // SAFETY: the context is the kernel's `__sk_buff`, readable for as long as the program runs.
        unsafe { (*context).ifindex }
    }
}

impl EbpfContext for SkbFrame {
    fn as_ptr(&self) -> *mut c_void {
        self.context.as_ptr()
    }
}

impl Frame for SkbFrame {
    #[inline(always)]
    fn packet(&self) -> Packet<'_> {
        // SAFETY: the kernel keeps `data..data_end` readable until the frame is resized, which takes `&mut self`.
        unsafe { Packet::new(self.context.data(), self.context.data_end()) }
    }

    #[inline(always)]
    fn packet_mut(&mut self) -> PacketMut<'_> {
        // SAFETY: as in `packet`; the kernel makes the frame writable before a program that writes runs, and again
        // when it is resized.
        unsafe { PacketMut::new(self.context.data(), self.context.data_end()) }
    }

    #[inline(always)]
    fn grow(&mut self, by: usize) -> Result<usize, NoRoom> {
        let len = self.context.len() + by as u32;
        self.context.skb.change_tail(len, 0).map_err(|_| NoRoom)?;
        Ok(0)
    }

    const MAY_WAIT_FOR_CHECKSUM: bool = true;

    /// Asks by trying: the kernel changes the field for a changed payload only where nobody completes it later.
    #[inline(always)]
    fn waits_for_checksum(&mut self, at: usize) -> bool {
        const TWO_BYTES: u64 = 2;
        if self.context.l4_csum_replace(at, 0, 1, TWO_BYTES).is_err() {
            return false;
        }
        self.packet().read(at) == Some([0, 0])
    }
}

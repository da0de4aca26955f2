//! Frames as the hooks hand them over.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::{
    bpf_check_mtu, bpf_redirect, bpf_redirect_peer, bpf_skb_change_type, bpf_skb_store_bytes, bpf_xdp_adjust_head,
    bpf_xdp_adjust_tail, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use dns_ebpf::packet::{Frame, NoRoom, Packet, PacketMut, Stored, hide};

use super::maps::{SCRATCH_LEN, scratch};

/// The type of a frame that is addressed to whoever receives it (`include/uapi/linux/if_packet.h`).
const PACKET_HOST: u32 = 0;

/// Sends the frame out of the device of this index, and returns the action that says so.
#[inline(always)]
pub(super) fn redirect(interface: u32) -> i64 {
    // SAFETY: the helper takes two numbers and touches no memory of ours.
    unsafe { bpf_redirect(interface, 0) }
}

/// Asks the device that the frame came in by, out of which it goes again.
#[inline(always)]
fn fits_link(context: *mut c_void, by: usize) -> bool {
    const THIS_DEVICE: u32 = 0;
    // The frame's own length, and not one that is given.
    let mut mtu = 0;
    // SAFETY: the context is the pointer that the kernel gave, and the number is ours to write to.
    unsafe { bpf_check_mtu(context, THIS_DEVICE, &mut mtu, by as i32, 0) == 0 }
}

/// Bytes as a helper takes them; it would refuse none.
#[inline(always)]
fn helper_argument(bytes: Stored<'_>) -> Option<(*mut c_void, u32)> {
    let len = helper_len(bytes.len(), Stored::LEN_MASK)?;
    Some((bytes.as_ptr().cast_mut().cast(), len))
}

/// A length that a helper takes: more than 0, and at most `mask` + 1.
///
/// Verifier: bounded here, where it is used, and without a comparison: Linux 6.1 does not learn from `len != 0` that it is
/// more than 0.
#[inline(always)]
fn helper_len(len: usize, mask: usize) -> Option<u32> {
    if len == 0 {
        return None;
    }
    Some((hide(len.wrapping_sub(1)) & mask) as u32 + 1)
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

    /// Moves `len` bytes from byte `from` on to the beginning of the frame, by way of memory of this CPU's own.
    #[inline(always)]
    fn move_to_front(&mut self, from: usize, len: usize) -> Option<()> {
        let scratch = scratch()?;
        let len = helper_len(len, SCRATCH_LEN - 1)?;
        // SAFETY: `context` is the pointer that the kernel gave; no packet borrowed from `self` is alive; the scratch memory
        // has as many bytes as `len` can say.
        unsafe {
            let read = bpf_xdp_load_bytes(self.context.ctx, from as u32, scratch, len);
            let written = bpf_xdp_store_bytes(self.context.ctx, 0, scratch, len);
            (read == 0 && written == 0).then_some(())
        }
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
    fn grow(&mut self, by: usize, keep: usize) -> Result<(), NoRoom> {
        let context = self.context.ctx;
        // SAFETY: `context` is the pointer that the kernel gave; no packet borrowed from `self` is alive.
        if unsafe { bpf_xdp_adjust_tail(context, by as i32) } == 0 {
            return Ok(());
        }
        // SAFETY: as above.
        if unsafe { bpf_xdp_adjust_head(context, -(by as i32)) } != 0 {
            return Err(NoRoom);
        }
        if self.move_to_front(by, keep).is_none() {
            // SAFETY: as above.
            unsafe { bpf_xdp_adjust_head(context, by as i32) };
            return Err(NoRoom);
        }
        Ok(())
    }

    #[inline(always)]
    fn link_takes(&mut self, by: usize) -> bool {
        fits_link(self.as_ptr(), by)
    }

    #[inline(always)]
    fn store(&mut self, at: usize, bytes: Stored<'_>) -> Option<()> {
        let (from, len) = helper_argument(bytes)?;
        // SAFETY: `context` is the pointer that the kernel gave; no packet borrowed from `self` is alive; `Stored` promises
        // that as many bytes are readable.
        (unsafe { bpf_xdp_store_bytes(self.context.ctx, at as u32, from, len) } == 0).then_some(())
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

    /// Hands the frame to the other end of the link that it came in by, and returns the action that says so.
    ///
    /// As addressed to that end: a bridge's port receives what is addressed to the bridge, and until Linux 6.15 the frame
    /// would still be called so.
    #[inline(always)]
    pub(super) fn hand_to_peer(&self) -> i64 {
        let context = self.context.as_ptr().cast::<__sk_buff>();
        // SAFETY: as in `interface`; the helpers take numbers besides and touch no memory of ours.
        unsafe {
            if (*context).pkt_type != PACKET_HOST {
                bpf_skb_change_type(context, PACKET_HOST);
            }
            bpf_redirect_peer((*context).ifindex, 0)
        }
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
    fn grow(&mut self, by: usize, _keep: usize) -> Result<(), NoRoom> {
        let len = self.context.len() + by as u32;
        self.context.skb.change_tail(len, 0).map_err(|_| NoRoom)
    }

    #[inline(always)]
    fn link_takes(&mut self, by: usize) -> bool {
        fits_link(self.as_ptr(), by)
    }

    #[inline(always)]
    fn store(&mut self, at: usize, bytes: Stored<'_>) -> Option<()> {
        let (from, len) = helper_argument(bytes)?;
        // SAFETY: `context` is the pointer that the kernel gave; no packet borrowed from `self` is alive; `Stored` promises
        // that as many bytes are readable.
        (unsafe { bpf_skb_store_bytes(self.context.as_ptr().cast(), at as u32, from, len, 0) } == 0).then_some(())
    }

    const MAY_WAIT_FOR_CHECKSUM: bool = true;

    /// Asks by trying: the kernel changes the field for a changed payload only where nobody completes it later.
    #[inline(always)]
    fn waits_for_checksum(&mut self, at: usize) -> bool {
        const TWO_BYTES: u64 = 2;
        if self.context.l4_csum_replace(at, 0, 1, TWO_BYTES).is_err() {
            return false;
        }
        self.packet().read(at) == Some([0u8, 0])
    }
}

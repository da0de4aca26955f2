//! The entry points.

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::bindings::xdp_action::{XDP_PASS, XDP_TX};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use aya_ebpf::{EbpfContext, Global};
use aya_log_ebpf::info;
use dns_ebpf::answer;
use dns_ebpf::outcome::Outcome;
use dns_ebpf::packet::Frame;

use super::frames::{SkbFrame, XdpFrame, redirect};
use super::maps::KernelMaps;

/// Not 0: each outcome is logged. Set when the object is loaded; at 0 the verifier removes the code.
#[unsafe(no_mangle)]
static TRACE: Global<u32> = Global::new(0);

/// tc, by tcx or clsact: answers by redirecting the frame out of the device that it came in by.
#[classifier]
pub(super) fn kxdns_tc(context: TcContext) -> i32 {
    let mut frame = SkbFrame::new(context);
    match visit(&mut frame) {
        Outcome::Answered(..) => redirect(frame.interface()) as i32,
        // To tcx the same as "next"; to clsact, "go on with the next filter".
        Outcome::Pass(_) => TC_ACT_UNSPEC,
    }
}

/// tc on the node's side of a pod's link: answers by handing the frame to the pod's side.
///
/// That spares the reply a queue, a softirq and the programs that look at what goes to the pod, which would see a reply to a
/// question that they have not seen. The kernel drops what it is to hand over within one network namespace.
#[classifier]
pub(super) fn kxdns_tc_pod(context: TcContext) -> i32 {
    let mut frame = SkbFrame::new(context);
    match visit(&mut frame) {
        Outcome::Answered(..) => frame.hand_to_peer() as i32,
        Outcome::Pass(_) => TC_ACT_UNSPEC,
    }
}

/// XDP on NICs, and generic XDP on any device: answers by transmitting.
#[xdp(frags)]
pub(super) fn kxdns_xdp(context: XdpContext) -> u32 {
    match visit(&mut XdpFrame::new(context)) {
        Outcome::Answered(..) => XDP_TX,
        Outcome::Pass(_) => XDP_PASS,
    }
}

/// Native XDP on a veth: answers by redirecting to the device itself.
///
/// Transmitting (`XDP_TX`) does not wake a peer that polls because of GRO alone, and the frame is lost; redirecting does.
#[xdp(frags)]
pub(super) fn kxdns_xdp_veth(context: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(context);
    match visit(&mut frame) {
        Outcome::Answered(..) => redirect(frame.interface()) as u32,
        Outcome::Pass(_) => XDP_PASS,
    }
}

#[inline(always)]
fn visit<F: Frame + EbpfContext>(frame: &mut F) -> Outcome {
    let outcome = answer(frame, &KernelMaps);
    KernelMaps.count(outcome);
    if TRACE.load() != 0 {
        trace(frame, outcome);
    }
    outcome
}

#[inline(always)]
fn trace(context: &impl EbpfContext, outcome: Outcome) {
    match outcome {
        Outcome::Answered(kind, rcode) => info!(context, "answered {} {}", kind.label(), rcode.label()),
        Outcome::Pass(reason) => info!(context, "passed: {}", reason.label()),
    }
}

//! Which hook a link gets, and why: a pure decision over what was asked for and what the link and the kernel can do.
//!
//! tcx is first choice on virtual links: it keeps the pod's segmentation offload, needs nothing inside the pod and stands
//! beside the network plugin's programs. XDP is first choice on NICs. Native XDP on a veth is never chosen unasked: it takes
//! the pod's offloads away and delivers nothing unless the pod's end has NAPI.

use std::fmt;

use clap::ValueEnum;
use thiserror::Error;

use super::netdev::XdpFeatures;

/// How to attach to links, as `--attach` says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AttachMode {
    /// Native XDP on NICs whose driver has it, else tcx (clsact where the kernel has no tcx)
    #[default]
    Auto,
    /// At the head of the link's tcx ingress chain (Linux 6.6 and later)
    Tcx,
    /// A classifier on the link's clsact qdisc, for kernels without tcx
    Clsact,
    /// Native XDP on NICs whose driver has it, generic XDP elsewhere
    Xdp,
    /// Generic XDP, which every link has
    XdpGeneric,
    /// Native XDP; on a veth only while the pod's end can receive (`ethtool -K eth0 gro on`)
    XdpNative,
    /// Attach to nothing
    None,
}

/// Where on a link the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// The head of the tcx ingress chain.
    Tcx,
    /// A classifier of priority 1 at the clsact qdisc's ingress.
    Clsact,
    /// XDP after the kernel has built a socket buffer.
    XdpGeneric,
    /// XDP in the driver.
    XdpNative,
}

impl Hook {
    /// Every hook, for metrics that name them all.
    pub const ALL: [Self; 4] = [Self::Tcx, Self::Clsact, Self::XdpGeneric, Self::XdpNative];

    /// The hook's name, as `--attach`, metrics and status write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::XdpGeneric => "xdp-generic",
            Self::XdpNative => "xdp-native",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What sort of device a link is, as far as attaching goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// One end of a veth pair.
    Veth,
    /// One end of a netkit pair.
    Netkit,
    /// A bridge.
    Bridge,
    /// A NIC: the kernel knows no software kind for it.
    Physical,
    /// Any other software device, the loopback among them.
    Virtual,
}

/// What the choice of a hook depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFacts {
    /// What sort of device the link is.
    pub kind: LinkKind,
    /// Whether its frames start with an Ethernet header.
    pub ethernet: bool,
    /// What it can do with XDP; `None` where the kernel does not tell.
    pub xdp_features: Option<XdpFeatures>,
    /// Whether the kernel has tcx.
    pub kernel_has_tcx: bool,
}

/// The hook for a link, and why it is this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The hook.
    pub hook: Hook,
    /// Why, in a few words.
    pub reason: &'static str,
}

/// Why no hook fits a link; the text names the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The programs read Ethernet frames.
    #[error("its frames have no Ethernet header, so kxdns cannot read them; leave it out of --interface")]
    NotEthernet,
    /// `--attach tcx` on an older kernel.
    #[error("this kernel has no tcx (Linux 6.6 and later have); use --attach clsact or --attach auto")]
    NoTcx,
    /// `--attach xdp-native` on a link whose driver does not run XDP.
    #[error("its driver has no native XDP; use --attach xdp-generic")]
    NoNativeXdp,
    /// `--attach xdp-native` on a veth whose other end would lose every reply.
    #[error(
        "veth's peer cannot receive redirected frames: no NAPI; turn GRO on in the pod (`ethtool -K eth0 gro on`), or use \
         --attach tcx"
    )]
    PeerCannotReceive,
    /// `--attach xdp-native` on a veth of a kernel that cannot say whether replies would arrive.
    #[error(
        "this kernel does not tell whether veth's peer can receive redirected frames (Linux 6.3 does); use --attach tcx"
    )]
    PeerUnknown,
    /// `--attach none`.
    #[error("--attach none")]
    AttachNone,
}

/// Chooses the hook for a link.
pub fn choose(mode: AttachMode, facts: &LinkFacts) -> Result<Choice, Refusal> {
    let chosen = |hook, reason| Ok(Choice { hook, reason });
    match mode {
        AttachMode::None => Err(Refusal::AttachNone),
        _ if !facts.ethernet => Err(Refusal::NotEthernet),
        AttachMode::Auto => Ok(choose_any(facts)),
        AttachMode::Tcx if !facts.kernel_has_tcx => Err(Refusal::NoTcx),
        AttachMode::Tcx => chosen(Hook::Tcx, "--attach tcx"),
        AttachMode::Clsact => chosen(Hook::Clsact, "--attach clsact"),
        AttachMode::Xdp => Ok(choose_xdp(facts)),
        AttachMode::XdpGeneric => chosen(Hook::XdpGeneric, "--attach xdp-generic"),
        AttachMode::XdpNative => choose_native_xdp(facts),
    }
}

/// Native XDP for NICs that have it, else a classifier. Generic XDP is never the better choice: it copies what a
/// classifier leaves in place, and sends checksums that are still to be completed as they are.
fn choose_any(facts: &LinkFacts) -> Choice {
    let (native, kind) = match (facts.kind, facts.xdp_features) {
        (LinkKind::Physical, Some(features)) => (features.runs_programs(), "NIC without native XDP"),
        (LinkKind::Physical, None) => (false, "NIC whose driver does not tell whether it has native XDP"),
        _ => (false, "virtual link"),
    };
    let (hook, reason) = match (native, facts.kernel_has_tcx) {
        (true, _) => (Hook::XdpNative, "its driver has native XDP"),
        (false, true) => (Hook::Tcx, kind),
        (false, false) => (Hook::Clsact, "this kernel has no tcx"),
    };
    Choice { hook, reason }
}

fn choose_xdp(facts: &LinkFacts) -> Choice {
    let (hook, reason) = match (facts.kind, facts.xdp_features) {
        (LinkKind::Physical, Some(features)) if features.runs_programs() => {
            (Hook::XdpNative, "its driver has native XDP")
        }
        (LinkKind::Physical, Some(_)) => (Hook::XdpGeneric, "its driver has no native XDP"),
        (LinkKind::Physical, None) => (
            Hook::XdpGeneric,
            "this kernel does not tell whether its driver has native XDP",
        ),
        _ => (Hook::XdpGeneric, "native XDP would slow a virtual link's other traffic"),
    };
    Choice { hook, reason }
}

fn choose_native_xdp(facts: &LinkFacts) -> Result<Choice, Refusal> {
    let native = |reason| {
        Ok(Choice {
            hook: Hook::XdpNative,
            reason,
        })
    };
    match (facts.kind, facts.xdp_features) {
        (LinkKind::Netkit | LinkKind::Bridge, _) => Err(Refusal::NoNativeXdp),
        (LinkKind::Veth, None) => Err(Refusal::PeerUnknown),
        (LinkKind::Veth, Some(features)) if !features.sends_redirected() => Err(Refusal::PeerCannotReceive),
        (LinkKind::Veth, Some(_)) => native("--attach xdp-native, and the pod's end can receive"),
        (_, Some(features)) if !features.runs_programs() => Err(Refusal::NoNativeXdp),
        _ => native("--attach xdp-native"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Option<XdpFeatures> = Some(XdpFeatures(0));
    /// As a veth's peer without NAPI makes it: basic, redirect, rx-sg.
    const RUNS: Option<XdpFeatures> = Some(XdpFeatures(0x23));
    /// As a veth's peer with GRO makes it: ndo-xmit and ndo-xmit-sg as well.
    const RUNS_AND_SENDS: Option<XdpFeatures> = Some(XdpFeatures(0x67));

    fn facts(kind: LinkKind, xdp_features: Option<XdpFeatures>) -> LinkFacts {
        LinkFacts {
            kind,
            ethernet: true,
            xdp_features,
            kernel_has_tcx: true,
        }
    }

    fn hook(mode: AttachMode, facts: LinkFacts) -> Result<Hook, Refusal> {
        choose(mode, &facts).map(|choice| choice.hook)
    }

    #[test]
    fn chooses_the_hook_by_mode_and_kind() {
        use AttachMode::{Auto, Xdp, XdpGeneric, XdpNative};
        use LinkKind::{Bridge, Netkit, Physical, Veth, Virtual};
        for (mode, kind, features, expected) in [
            (Auto, Veth, RUNS, Ok(Hook::Tcx)),
            (Auto, Veth, RUNS_AND_SENDS, Ok(Hook::Tcx)),
            (Auto, Netkit, NOTHING, Ok(Hook::Tcx)),
            (Auto, Bridge, NOTHING, Ok(Hook::Tcx)),
            (Auto, Virtual, None, Ok(Hook::Tcx)),
            (Auto, Physical, RUNS, Ok(Hook::XdpNative)),
            (Auto, Physical, NOTHING, Ok(Hook::Tcx)),
            (Auto, Physical, None, Ok(Hook::Tcx)),
            (Xdp, Veth, RUNS_AND_SENDS, Ok(Hook::XdpGeneric)),
            (Xdp, Bridge, NOTHING, Ok(Hook::XdpGeneric)),
            (Xdp, Physical, RUNS, Ok(Hook::XdpNative)),
            (Xdp, Physical, NOTHING, Ok(Hook::XdpGeneric)),
            (XdpGeneric, Veth, RUNS_AND_SENDS, Ok(Hook::XdpGeneric)),
            (XdpGeneric, Physical, RUNS, Ok(Hook::XdpGeneric)),
            (XdpNative, Veth, RUNS_AND_SENDS, Ok(Hook::XdpNative)),
            (XdpNative, Veth, RUNS, Err(Refusal::PeerCannotReceive)),
            (XdpNative, Veth, None, Err(Refusal::PeerUnknown)),
            (XdpNative, Netkit, NOTHING, Err(Refusal::NoNativeXdp)),
            (XdpNative, Bridge, None, Err(Refusal::NoNativeXdp)),
            (XdpNative, Physical, RUNS, Ok(Hook::XdpNative)),
            (XdpNative, Physical, None, Ok(Hook::XdpNative)),
            (XdpNative, Physical, NOTHING, Err(Refusal::NoNativeXdp)),
            (AttachMode::Tcx, Physical, RUNS, Ok(Hook::Tcx)),
            (AttachMode::Clsact, Veth, RUNS, Ok(Hook::Clsact)),
            (AttachMode::None, Veth, RUNS, Err(Refusal::AttachNone)),
        ] {
            assert_eq!(
                hook(mode, facts(kind, features)),
                expected,
                "{mode:?} {kind:?} {features:?}"
            );
        }
    }

    #[test]
    fn falls_back_on_clsact_only_when_not_told_to_use_tcx() {
        let old = LinkFacts {
            kernel_has_tcx: false,
            ..facts(LinkKind::Veth, None)
        };
        assert_eq!(hook(AttachMode::Auto, old), Ok(Hook::Clsact));
        assert_eq!(hook(AttachMode::Tcx, old), Err(Refusal::NoTcx));
    }

    #[test]
    fn refuses_links_without_ethernet_frames_in_every_mode() {
        let tunnel = LinkFacts {
            ethernet: false,
            ..facts(LinkKind::Virtual, NOTHING)
        };
        for mode in [
            AttachMode::Auto,
            AttachMode::Tcx,
            AttachMode::Clsact,
            AttachMode::Xdp,
            AttachMode::XdpNative,
        ] {
            assert_eq!(hook(mode, tunnel), Err(Refusal::NotEthernet), "{mode:?}");
        }
    }

    #[test]
    fn names_every_hook_as_the_attach_option_does() {
        for hook in Hook::ALL {
            let mode = AttachMode::from_str(hook.name(), false).unwrap();
            let nic = facts(LinkKind::Physical, RUNS_AND_SENDS);
            assert_eq!(choose(mode, &nic).unwrap().hook, hook);
        }
    }
}

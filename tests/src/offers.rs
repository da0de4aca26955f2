//! What the running kernel offers of the hooks, asked of the kernel itself: a test that needs one asks here first, and
//! holds the agent to its refusal where there is none.

use anyhow::Result;
use aya::programs::{SchedClassifier, TcAttachType};
use dns_userspace::kernel::hook::Refusal;
use dns_userspace::kernel::netdev::Netdev;

/// The loopback link, which every network namespace has.
const LOOPBACK: u32 = 1;

/// Tells whether there is tcx, as in Linux 6.6 and later: before, the kernel does not know the question.
pub fn has_tcx() -> bool {
    SchedClassifier::query_tcx(LOOPBACK, TcAttachType::Ingress).is_ok()
}

/// Finds why `--attach HOOK` must be refused on every veth under this kernel; `None` where it has all that it takes.
pub fn find_lack(hook: &str) -> Result<Option<Refusal>> {
    Ok(match hook {
        "tcx" if !has_tcx() => Some(Refusal::NoTcx),
        "xdp-native" if !tells_xdp_features()? => Some(Refusal::PeerUnknown),
        _ => None,
    })
}

/// Linux 6.3 and later.
fn tells_xdp_features() -> Result<bool> {
    Ok(Netdev::find()?.xdp_features(LOOPBACK)?.is_some())
}

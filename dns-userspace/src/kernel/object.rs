//! The BPF object that the agent embeds: four programs over one set of maps.

use anyhow::{Context as _, Result};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};

use super::attach_error::MissingPrivilege;

/// The object as it was built with this agent.
static OBJECT: &[u8] = include_bytes_aligned!(env!("KXDNS_BPF_OBJECT"));

/// Name of the tc program, for tcx and clsact.
pub const TC: &str = "kxdns_tc";
/// Name of the tc program for the links of pods.
pub const TC_POD: &str = "kxdns_tc_pod";
/// Name of the XDP program for NICs and for generic mode.
pub const XDP: &str = "kxdns_xdp";
/// Name of the XDP program for native mode on a veth.
pub const XDP_VETH: &str = "kxdns_xdp_veth";

/// Creates the maps and reads the programs; each program is loaded into the kernel when it is first attached.
///
/// With `trace`, the programs log each outcome (see [`aya_log::EbpfLogger`]); without it they have no code for that.
///
/// # Errors
///
/// Fails where a privilege is missing, also one that is needed only to attach the programs; the error names it.
pub fn open(trace: bool) -> Result<Ebpf> {
    MissingPrivilege::check()?;
    EbpfLoader::new()
        .override_global("TRACE", &u32::from(trace), true)
        .load(OBJECT)
        .context("the kernel does not take the BPF maps")
}

//! What is attached to a link, and what is pinned: what an agent has to take away again.

use std::ffi::CString;
use std::fs;

use anyhow::{Context, Result};
use aya::programs::{SchedClassifier, TcAttachType};

use crate::namespace::Namespace;
use crate::offers::has_tcx;

/// Lists the BPF programs and the clsact qdisc on a link, one a line; empty where there is nothing.
pub fn list_attached(namespace: &Namespace, link: &str) -> Result<String> {
    let name = CString::new(link)?;
    let tcx = match has_tcx() {
        true => {
            namespace
                .inside(|| SchedClassifier::query_tcx(name.as_c_str(), TcAttachType::Ingress))??
                .1
        }
        false => vec![],
    };
    let tcx = tcx.iter().map(|program| format!("tcx program {}\n", program.id()));
    let xdp = namespace.run("ip", ["-details", "link", "show", "dev", link])?;
    let xdp = xdp.lines().filter(|line| line.contains("prog/xdp")).map(to_line);
    let qdiscs = namespace.run("tc", ["qdisc", "show", "dev", link])?;
    let filters = namespace.run("tc", ["filter", "show", "dev", link, "ingress"])?;
    let clsact = qdiscs.lines().filter(|line| line.contains("clsact")).map(to_line);
    Ok(tcx
        .chain(xdp)
        .chain(clsact)
        .chain(filters.lines().map(to_line))
        .collect())
}

/// Lists what is pinned at the top of a BPF file system, besides what the kernel itself puts there.
pub fn list_pinned(namespace: &Namespace) -> Result<Vec<String>> {
    let folder = namespace.path("/sys/fs/bpf");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.ends_with(".debug"));
    Ok(names)
}

fn to_line(line: &str) -> String {
    format!("{}\n", line.trim())
}

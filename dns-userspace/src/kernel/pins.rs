//! The agent's folder in the BPF file system: its maps, by name, for `bpftool` and the like to look into.
//!
//! Nothing is taken over from it yet: an agent that starts replaces what it finds there, and removes it when it stops.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use rustix::fs::statfs;
use tracing::warn;

/// The folder's name, and in it the version of the maps' layout.
const FOLDER: &str = "kxdns/v1";
/// What `statfs` calls a BPF file system (Linux: `BPF_FS_MAGIC`).
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Pinned maps; unpinned when dropped.
pub struct Pins {
    folder: PathBuf,
}

impl Pins {
    /// Pins the object's maps below the BPF file system at `bpffs`.
    pub fn pin(bpffs: &Path, ebpf: &Ebpf) -> Result<Self> {
        check(bpffs)?;
        let pins = Self {
            folder: bpffs.join(FOLDER),
        };
        pins.remove();
        let create = || fs::DirBuilder::new().recursive(true).mode(0o700).create(&pins.folder);
        create().with_context(|| format!("cannot make {}", pins.folder.display()))?;
        for (name, map) in ebpf.maps().filter(|(name, _)| !name.starts_with('.')) {
            let path = pins.folder.join(name);
            map.pin(&path)
                .with_context(|| format!("cannot pin {}", path.display()))?;
        }
        Ok(pins)
    }

    fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            warn!("cannot remove {}: {error}", self.folder.display());
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        self.remove();
        // Left alone where something else is in it.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

/// Fails unless a BPF file system is mounted at `path`.
fn check(path: &Path) -> Result<()> {
    let mount = format!(
        "mount one with `mount -t bpf bpf {0}`, or name another place with --bpffs",
        path.display()
    );
    let found = statfs(path).with_context(|| format!("no BPF file system at {}: {mount}", path.display()))?;
    if found.f_type != BPF_FS_MAGIC {
        bail!("{} is no BPF file system: {mount}", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_way_out_where_no_bpf_file_system_is_mounted() {
        for (path, says) in [
            ("/proc", "is no BPF file system"),
            ("/nowhere/at/all", "no BPF file system at"),
        ] {
            let error = format!("{:#}", check(Path::new(path)).unwrap_err());
            assert!(error.contains(says) && error.contains("mount -t bpf bpf"), "{error}");
        }
    }
}

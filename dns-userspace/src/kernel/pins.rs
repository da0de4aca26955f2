//! The agent's folder in the BPF file system: its maps, by name, for `bpftool` and the like to look into.
//!
//! Nothing is taken over from it yet: an agent that starts replaces what one that was killed has left there, and removes
//! its own when it stops. A lock on the file system keeps two agents from getting in each other's way.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use aya::Ebpf;
use rustix::fs::{FlockOperation, flock, statfs};
use rustix::io::Errno;
use tracing::warn;

/// The folder's name, and in it the version of the maps' layout.
const FOLDER: &str = "kxdns/v1";
/// What `statfs` calls a BPF file system (Linux: `BPF_FS_MAGIC`).
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;

/// Pinned maps; unpinned when dropped.
#[derive(Debug)]
pub struct Pins {
    folder: PathBuf,
    /// Locked: closed, and so unlocked, when the folder is gone.
    _bpffs: File,
}

impl Pins {
    /// Pins the object's maps below the BPF file system at `bpffs`.
    ///
    /// # Errors
    ///
    /// Fails where there is none, or where another agent has pinned its maps there.
    pub fn pin(bpffs: &Path, ebpf: &Ebpf) -> Result<Self> {
        let pins = Self {
            folder: bpffs.join(FOLDER),
            _bpffs: lock(bpffs)?,
        };
        pins.pin_all(ebpf).with_context(|| refused(bpffs))?;
        Ok(pins)
    }

    fn pin_all(&self, ebpf: &Ebpf) -> Result<()> {
        self.remove()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        for (name, map) in ebpf.maps().filter(|(name, _)| !name.starts_with('.')) {
            map.pin(self.folder.join(name)).with_context(|| name.to_owned())?;
        }
        Ok(())
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        if self.folder.exists()
            && let Err(error) = self.remove()
        {
            warn!("cannot remove {}: {error}", self.folder.display());
        }
        // Left alone where something else is in it.
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

/// Opens and locks the BPF file system that is mounted at `path`.
fn lock(path: &Path) -> Result<File> {
    let mount = format!(
        "mount one with `mount -t bpf bpf {}`, or name another place with --bpffs",
        path.display()
    );
    let found = statfs(path).with_context(|| format!("no BPF file system at {}; {mount}", path.display()))?;
    if found.f_type != BPF_FS_MAGIC {
        bail!("{} is no BPF file system; {mount}", path.display());
    }
    let bpffs = File::open(path).with_context(|| refused(path))?;
    match flock(&bpffs, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(bpffs),
        Err(Errno::WOULDBLOCK) => bail!(
            "another kxdns is at work on this node (it holds {}); stop it first",
            path.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn refused(bpffs: &Path) -> String {
    format!(
        "cannot pin the maps in {}; run as its owner, or name another place with --bpffs",
        bpffs.display()
    )
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
            let error = format!("{:#}", lock(Path::new(path)).unwrap_err());
            assert!(error.contains(says) && error.contains("mount -t bpf bpf"), "{error}");
        }
    }
}

//! The folder of this user's built tools: `$XDG_CACHE_HOME/kxdns`, `~/.cache/kxdns` by default.
//!
//! Each tool has a folder of its own, named after everything that it depends on, and appears there whole or not at
//! all. Nothing is ever updated in place, nor removed: deleting the folder is safe at any time.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::step::Steps;

/// The folder of built tools.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds the folder by the environment; it need not exist yet.
    pub(crate) fn of_user() -> Result<Self> {
        let base = find_base(env::var_os("XDG_CACHE_HOME"), env::home_dir());
        let root = base.context("neither XDG_CACHE_HOME nor HOME says where built tools can be kept: set one")?;
        Ok(Self {
            root: root.join("kxdns"),
        })
    }

    /// The folder of the tool `name`, there or not.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Makes the folder of the tool `name` unless it is there: `fill` is given an empty folder beside it, which gets
    /// the name once it is filled. Only one process does so at a time.
    pub(crate) fn publish(&self, steps: &Steps, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let folder = self.folder(name);
        if folder.exists() {
            return Ok(());
        }
        let _lock = self.lock(steps)?;
        if folder.exists() {
            return Ok(());
        }
        let partial = self.folder(&format!("{name}.partial"));
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        fs::create_dir(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
        fill(&partial)?;
        fs::rename(&partial, &folder).with_context(|| format!("cannot make {}", folder.display()))
    }

    /// Waits until no other process fills the cache; the lock goes with the file.
    fn lock(&self, steps: &Steps) -> Result<File> {
        let path = self.folder("lock");
        let attempt = || {
            fs::create_dir_all(&self.root)?;
            let file = File::create(&path)?;
            if file.try_lock().is_err() {
                steps.say("waiting for another setup to end");
                file.lock()?;
            }
            Ok::<_, std::io::Error>(file)
        };
        attempt().with_context(|| format!("cannot lock {}", path.display()))
    }
}

/// A relative `XDG_CACHE_HOME` counts for nothing (XDG Base Directory Specification).
fn find_base(xdg_cache_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let chosen = xdg_cache_home.map(PathBuf::from).filter(|folder| folder.is_absolute());
    chosen.or_else(|| {
        home.filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(".cache"))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use anyhow::bail;

    use super::*;

    /// A cache in a folder of its own under cargo's, removed in the end.
    struct Scratch(Cache);

    impl Scratch {
        fn new(test: &str) -> Self {
            let root = crate::workspace::target().join(format!("xtask-{test}-{}", std::process::id()));
            Self(Cache { root })
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0.root));
        }
    }

    #[test]
    fn the_environment_says_where() {
        let base = |xdg: Option<&str>, home: Option<&str>| find_base(xdg.map(Into::into), home.map(Into::into));
        assert_eq!(base(Some("/c"), Some("/home/a")), Some("/c".into()));
        assert_eq!(base(None, Some("/home/a")), Some("/home/a/.cache".into()));
        assert_eq!(base(Some("relative"), Some("/home/a")), Some("/home/a/.cache".into()));
        assert_eq!(base(Some(""), Some("/home/a")), Some("/home/a/.cache".into()));
        assert_eq!(base(None, None), None);
    }

    #[test]
    fn a_failed_build_leaves_no_tool_and_can_be_repeated() {
        let scratch = Scratch::new("failed-build");
        let steps = Steps::new(false);
        let half = |folder: &Path| {
            fs::write(folder.join("half"), "")?;
            bail!("interrupted")
        };
        scratch.0.publish(&steps, "tool-1", half).unwrap_err();
        assert!(!scratch.0.folder("tool-1").exists());
        scratch
            .0
            .publish(&steps, "tool-1", |folder| Ok(fs::write(folder.join("whole"), "")?))
            .unwrap();
        assert!(scratch.0.folder("tool-1/whole").exists());
        assert!(!scratch.0.folder("tool-1/half").exists());
    }

    #[test]
    fn of_many_at_once_only_one_builds() {
        let scratch = Scratch::new("many-at-once");
        let builds = AtomicUsize::new(0);
        let publish = || {
            let count = |_: &Path| {
                builds.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            scratch.0.publish(&Steps::new(false), "tool-1", count).unwrap();
        };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(publish);
            }
        });
        assert_eq!(builds.into_inner(), 1);
    }
}

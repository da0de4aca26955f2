//! The programs that only `cargo xtask lint` runs.

use std::path::PathBuf;

use anyhow::Result;

use super::cache::Cache;
use super::cargo_install;
use crate::step::Steps;

/// A program of `cargo xtask lint`, published as a crate.
#[derive(Clone, Copy)]
pub(crate) enum LintTool {
    /// Licences, bans, sources and advisories of dependencies.
    Deny,
    /// Spelling.
    Typos,
}

impl LintTool {
    /// Where the program is, once it has been provided.
    pub(crate) fn program(self) -> Result<PathBuf> {
        let (_, _, program) = self.publication();
        Ok(Cache::of_user()?.folder(&self.folder_name()).join("bin").join(program))
    }

    /// The crate, its version and the program in it.
    fn publication(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Deny => ("cargo-deny", "0.20.2", "cargo-deny"),
            Self::Typos => ("typos-cli", "1.52.0", "typos"),
        }
    }

    fn folder_name(self) -> String {
        let (name, version, _) = self.publication();
        format!("{name}-{version}")
    }
}

/// Builds those that are missing.
pub(crate) fn provide(steps: &Steps, cache: &Cache) -> Result<()> {
    for tool in [LintTool::Typos, LintTool::Deny] {
        let (name, version, _) = tool.publication();
        cache.publish(steps, &tool.folder_name(), |folder| {
            steps.run(
                &format!("build {name} {version}"),
                cargo_install::command(folder, name, version),
            )
        })?;
    }
    Ok(())
}

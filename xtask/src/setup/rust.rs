//! The pinned compiler. rustup fetches it, as `rust-toolchain.toml` says; here its components are made sure of.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step::{self, Steps};
use crate::workspace;

/// Components, and a file by which each is known.
const COMPONENTS: [(&str, &str); 4] = [
    ("clippy", "bin/cargo-clippy"),
    (
        "rust-std-x86_64-unknown-linux-musl",
        "lib/rustlib/x86_64-unknown-linux-musl/lib",
    ),
    ("rust-src", "lib/rustlib/src/rust/library/core/src/lib.rs"),
    ("rustfmt", "bin/rustfmt"),
];

/// The compiler in use.
pub(crate) struct Toolchain {
    /// As in `1.99.1`.
    pub(crate) version: String,
    /// Where it is installed.
    pub(crate) sysroot: PathBuf,
}

impl Toolchain {
    /// Asks the compiler.
    pub(crate) fn find() -> Result<Self> {
        let version = step::read_output(rustc().arg("--version"))?;
        let sysroot = step::read_output(rustc().args(["--print", "sysroot"]))?;
        let version = parse_version(&version).with_context(|| format!("rustc calls itself '{version}'"))?;
        Ok(Self {
            version: version.to_owned(),
            sysroot: sysroot.into(),
        })
    }
}

/// Adds the components that are missing.
pub(crate) fn provide_components(steps: &Steps, toolchain: &Toolchain) -> Result<()> {
    let is_missing = |file: &str| !toolchain.sysroot.join(file).exists();
    let missing: Vec<_> = COMPONENTS
        .iter()
        .filter(|(_, file)| is_missing(file))
        .map(|(name, _)| *name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut command = Command::new("rustup");
    command
        .current_dir(workspace::root())
        .args(["component", "add"])
        .args(&missing);
    let name = format!("add {} to Rust {}", missing.join(", "), toolchain.version);
    steps
        .run(&name, command)
        .context("kxdns is built with the toolchain of rust-toolchain.toml, by rustup")
}

fn rustc() -> Command {
    let mut command = Command::new("rustc");
    command.current_dir(workspace::root());
    command
}

/// Reads `1.99.1` from `rustc 1.99.1 (58cf8f9c3 2026-10-13)`.
fn parse_version(line: &str) -> Option<&str> {
    line.strip_prefix("rustc ")?
        .split(' ')
        .next()
        .filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_rustc_prints() {
        assert_eq!(parse_version("rustc 1.99.1 (58cf8f9c3 2026-10-13)"), Some("1.99.1"));
        assert_eq!(
            parse_version("rustc 1.101.0-nightly (0123abcde 2026-11-01)"),
            Some("1.101.0-nightly")
        );
        assert_eq!(parse_version("clang version 19"), None);
        assert_eq!(parse_version("rustc "), None);
    }
}

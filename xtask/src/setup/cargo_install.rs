//! Building a published program with `cargo install`, untouched by how this workspace is built.

use std::path::Path;
use std::process::Command;

use crate::workspace;

/// What would make of it another program, or put it elsewhere.
const FOREIGN_SETTINGS: [&str; 5] = [
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTFLAGS",
];

/// The command that leaves the crate's programs in `folder/bin`.
pub(crate) fn command(folder: &Path, name: &str, version: &str) -> Command {
    let mut command = workspace::cargo("install");
    command
        .args(["--locked", "--version", &format!("={version}"), "--root"])
        .arg(folder)
        .arg(name);
    for setting in FOREIGN_SETTINGS {
        command.env_remove(setting);
    }
    command
}

//! cargo-fuzz, which builds the targets of `cargo xtask fuzz` and runs them.

use std::path::PathBuf;

use anyhow::Result;

use super::cache::Cache;
use super::cargo_install;
use crate::step::Steps;

const NAME: &str = "cargo-fuzz";
const VERSION: &str = "0.13.2";

/// Builds it unless it is there.
pub(crate) fn provide(steps: &Steps, cache: &Cache) -> Result<()> {
    cache.publish(steps, &folder_name(), |folder| {
        let command = cargo_install::command(folder, NAME, VERSION);
        steps.run(&format!("build {NAME} {VERSION}"), command)
    })
}

/// Where the program is, once it has been provided.
pub(crate) fn program(cache: &Cache) -> PathBuf {
    cache.folder(&folder_name()).join("bin").join(NAME)
}

fn folder_name() -> String {
    format!("{NAME}-{VERSION}")
}

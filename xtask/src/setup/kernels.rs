//! Kernels of other versions than the one that runs here, with their modules, out of Debian's packages.
//!
//! Each series stands for what clusters run on: 6.1 has no tcx, and veths that lay frames out as they used to until 6.7;
//! 6.12 has the one and the other. The newest package of a series that apt knows is taken.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cache::Cache;
use super::{packages, programs};
use crate::step::{self, Steps};

const SERIES: [&str; 2] = ["6.1", "6.12"];
const PREFIX: &str = "linux-image-";
/// The flavour for virtual machines, the smallest.
const SUFFIX: &str = "-cloud-amd64";

/// An unpacked kernel.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// What `uname -r` says there, such as `6.1.0-56-cloud-amd64`.
    pub(crate) release: String,
    folder: PathBuf,
}

impl Kernel {
    /// What a boot loader loads.
    pub(crate) fn image(&self) -> PathBuf {
        self.folder.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    /// A module, compressed or not; `path` is below the kernel's folder of modules and has no extension.
    pub(crate) fn module(&self, path: &str) -> Result<PathBuf> {
        let folder = self.folder.join("lib/modules").join(&self.release).join("kernel");
        let found = ["ko", "ko.xz"]
            .map(|extension| folder.join(format!("{path}.{extension}")))
            .into_iter()
            .find(|module| module.is_file());
        found.with_context(|| format!("{} has no module {path}", self.release))
    }
}

/// Downloads and unpacks those that are missing.
pub(crate) fn provide(steps: &Steps, cache: &Cache) -> Result<()> {
    for series in SERIES {
        let release = match newest_release(series)? {
            Some(release) => release,
            None => {
                programs::update_list(steps)?;
                find_release(series)?
            }
        };
        cache.publish(steps, &folder_name(&release), |folder| unpack(steps, &release, folder))?;
    }
    Ok(())
}

/// The kernels, once they have been provided.
pub(crate) fn all(cache: &Cache) -> Result<Vec<Kernel>> {
    let find = |series| {
        let release = find_release(series)?;
        let folder = cache.folder(&folder_name(&release));
        Ok(Kernel { release, folder })
    };
    SERIES.into_iter().map(find).collect()
}

fn find_release(series: &str) -> Result<String> {
    newest_release(series)?.with_context(|| format!("apt knows no {PREFIX}{series}.*{SUFFIX}: Debian 12 has it"))
}

fn newest_release(series: &str) -> Result<Option<String>> {
    let mut command = Command::new("apt-cache");
    command.args(["pkgnames", &format!("{PREFIX}{series}.")]);
    let names = step::read_output(&mut command).context("the kernels come from Debian's packages")?;
    Ok(choose_newest(&names).map(str::to_owned))
}

/// Of package names, one a line, the release in the newest that is a whole kernel of the flavour.
fn choose_newest(names: &str) -> Option<&str> {
    let releases = names
        .lines()
        .filter(|name| name.ends_with(SUFFIX))
        .filter_map(|name| name.strip_prefix(PREFIX));
    releases.max_by_key(|release| numbers(release))
}

/// The numbers in a release, in which releases of a series are ordered.
fn numbers(release: &str) -> Vec<u32> {
    release
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

fn folder_name(release: &str) -> String {
    format!("linux-{release}")
}

fn unpack(steps: &Steps, release: &str, folder: &Path) -> Result<()> {
    packages::unpack(
        steps,
        &format!("Linux {release}"),
        &[format!("{PREFIX}{release}")],
        folder,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_is_that_of_the_highest_numbers() {
        let names = "linux-image-6.1.0-9-cloud-amd64\n\
                     linux-image-6.1.0-56-cloud-amd64\n\
                     linux-image-6.1.0-48-cloud-amd64\n";
        assert_eq!(choose_newest(names), Some("6.1.0-56-cloud-amd64"));
        let names = "linux-image-6.12.9+deb12-cloud-amd64\n\
                     linux-image-6.12.117+deb12-cloud-amd64\n";
        assert_eq!(choose_newest(names), Some("6.12.117+deb12-cloud-amd64"));
    }

    #[test]
    fn packages_of_symbols_and_of_other_flavours_are_no_kernels() {
        let names = "linux-image-6.1.0-57-cloud-amd64-dbg\n\
                     linux-image-6.1.0-57-cloud-amd64-unsigned\n\
                     linux-image-6.1.0-57-amd64\n";
        assert_eq!(choose_newest(names), None);
        assert_eq!(choose_newest(""), None);
    }
}

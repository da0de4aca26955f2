//! The DNS servers that kxdns is measured beside, out of Debian's packages: unbound, dnsmasq and Knot DNS.
//!
//! They are unpacked, not installed: installed, they would start, on port 53 of this machine. What they need of the
//! system is not unpacked again where it is installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cache::Cache;
use super::{packages, programs};
use crate::step::{self, Steps};

const TITLE: &str = "unbound, dnsmasq and Knot DNS";
const PACKAGES: [&str; 3] = ["unbound", "dnsmasq-base", "knot"];

/// Downloads and unpacks them unless they are there.
pub(crate) fn provide(steps: &Steps, cache: &Cache) -> Result<()> {
    ensure!(
        programs::is_on_path("apt-get"),
        "missing: {TITLE}, which come from Debian's packages; there is no apt-get here"
    );
    if candidate_versions()?.is_none() {
        programs::update_list(steps)?;
    }
    cache.publish(steps, &folder_name()?, |folder| {
        packages::unpack(steps, TITLE, &what_is_needed()?, folder)
    })
}

/// Where `usr/sbin` has the programs, once they have been provided, and `usr/lib` what they are linked to.
pub(crate) fn folder(cache: &Cache) -> Result<PathBuf> {
    Ok(cache.folder(&folder_name()?))
}

/// Any other version of one of them makes another folder.
fn folder_name() -> Result<String> {
    let versions = candidate_versions()?;
    let versions = versions.with_context(|| format!("apt does not know all of {TITLE}: Debian 12 has them"))?;
    let named = PACKAGES.iter().zip(versions);
    let parts: Vec<_> = named.map(|(name, version)| format!("-{name}-{version}")).collect();
    Ok(format!("servers{}", parts.concat()))
}

/// The versions that apt would install, in the order of [`PACKAGES`]; `None` where it knows no version of some.
fn candidate_versions() -> Result<Option<Vec<String>>> {
    let mut command = Command::new("apt-cache");
    command.arg("policy").args(PACKAGES).env("LC_ALL", "C");
    let policies = step::read_output(&mut command)?;
    let versions = read_candidates(&policies);
    Ok((versions.len() == PACKAGES.len()).then_some(versions))
}

fn read_candidates(policies: &str) -> Vec<String> {
    policies
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(str::to_owned)
        .collect()
}

/// The packages, with those that they depend on and that are not installed, each as `NAME=VERSION`.
fn what_is_needed() -> Result<Vec<String>> {
    let mut command = Command::new("apt-get");
    command
        .args(["install", "--simulate", "--reinstall", "--no-install-recommends"])
        .args(PACKAGES);
    Ok(read_installations(&step::read_output(&mut command)?))
}

fn read_installations(simulation: &str) -> Vec<String> {
    simulation.lines().filter_map(read_installation).collect()
}

/// Reads a line such as `Inst NAME [OLD VERSION] (VERSION ORIGIN [ARCHITECTURE])`.
fn read_installation(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let (version, _) = rest.split_once('(')?.1.split_once(' ')?;
    Some(format!("{name}={version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_those_that_apt_would_install() {
        let policies = "unbound:\n  Installed: (none)\n  Candidate: 1.17.1-2+deb12u4\n  Version table:\n\
                        knot:\n  Installed: 3.2.6-1\n  Candidate: 3.2.6-1\n\
                        no-candidate:\n  Candidate: (none)\n";
        assert_eq!(read_candidates(policies), ["1.17.1-2+deb12u4", "3.2.6-1"]);
    }

    #[test]
    fn what_would_be_installed_is_what_is_needed() {
        let simulation = "The following NEW packages will be installed:\n  unbound\n\
                          Inst libknot13 (3.2.6-1 Debian:12.15/oldstable [amd64])\n\
                          Inst knot [3.2.5-1] (3.2.6-1 Debian:12.15/oldstable [amd64]) []\n\
                          Conf libknot13 (3.2.6-1 Debian:12.15/oldstable [amd64])\n";
        assert_eq!(read_installations(simulation), ["libknot13=3.2.6-1", "knot=3.2.6-1"]);
    }
}

//! Programs that come with the system: found on `PATH`, installed by apt-get where they are missing.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::{env, iter};

use anyhow::{Context, Result, bail, ensure};

use crate::step::Steps;
use crate::workspace;

/// A program, and the Debian package that has it.
#[derive(Debug, PartialEq)]
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
}

impl Program {
    /// `name` is what a shell would call.
    pub(crate) const fn new(name: &'static str, package: &'static str) -> Self {
        Self { name, package }
    }

    /// What a shell would call.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Where the program is, once it has been provided.
    pub(crate) fn find(&self) -> Result<PathBuf> {
        find_on_path(self.name).with_context(|| format!("missing: {}", list(&[self])))
    }
}

/// Installs those of `programs` that are missing; where that cannot be done, fails with the command that would.
pub(crate) fn provide(steps: &Steps, programs: &[Program]) -> Result<()> {
    let missing = find_missing(programs);
    if missing.is_empty() {
        return Ok(());
    }
    ensure!(
        is_on_path("apt-get"),
        "missing: {}; {}",
        list(&missing),
        "there is no apt-get here: install them"
    );
    let packages: Vec<_> = missing.iter().map(|program| program.package).collect();
    if !workspace::is_root()? {
        bail!(
            "missing: {}; run: sudo {}",
            list(&missing),
            install_command(&packages).join(" ")
        );
    }
    install(steps, &packages)?;
    let missing = find_missing(programs);
    ensure!(missing.is_empty(), "installed, but not on PATH: {}", list(&missing));
    Ok(())
}

fn install(steps: &Steps, packages: &[&str]) -> Result<()> {
    update_list(steps)?;
    steps.run(
        &format!("install {}", packages.join(", ")),
        apt(&install_command(packages)),
    )
}

/// Has apt-get learn which packages there are, which takes root.
pub(super) fn update_list(steps: &Steps) -> Result<()> {
    steps
        .run("update the list of packages", apt(&["apt-get", "update"]))
        .context("packages are missing")
}

fn install_command<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    iter::chain(
        ["apt-get", "install", "--yes", "--no-install-recommends"],
        packages.iter().copied(),
    )
    .collect()
}

fn apt(words: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.arg("DEBIAN_FRONTEND=noninteractive").args(words);
    command
}

fn find_missing(programs: &[Program]) -> Vec<&Program> {
    programs.iter().filter(|program| !is_on_path(program.name)).collect()
}

/// Whether a shell would find it.
pub(super) fn is_on_path(program: &str) -> bool {
    find_on_path(program).is_some()
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    find_in(&env::var_os("PATH").unwrap_or_default(), program)
}

fn find_in(path: &OsStr, program: &str) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn list(programs: &[&Program]) -> String {
    let names: Vec<_> = programs
        .iter()
        .map(|program| format!("{} (package {})", program.name, program.package))
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_in_every_folder_of_the_path() {
        assert_eq!(find_in(OsStr::new("/nonexistent:/bin"), "sh"), Some("/bin/sh".into()));
        assert_eq!(find_in(OsStr::new("/nonexistent:/bin"), "no-such-program"), None);
        assert_eq!(find_in(OsStr::new(""), "sh"), None);
    }

    #[test]
    fn only_what_is_missing_is_listed_with_its_package() {
        let programs = [Program::new("sh", "dash"), Program::new("no-such-program", "nothing")];
        let missing = find_missing(&programs);
        assert_eq!(missing, [&programs[1]]);
        assert_eq!(list(&missing), "no-such-program (package nothing)");
    }

    #[test]
    fn the_command_to_run_names_the_packages() {
        let command = install_command(&["curl", "iproute2"]).join(" ");
        assert_eq!(command, "apt-get install --yes --no-install-recommends curl iproute2");
    }
}

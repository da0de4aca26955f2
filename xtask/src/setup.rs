//! `cargo xtask setup`, and the part of it that each other command asks for.
//!
//! Doing it again is free: what is there is found by a look at the file system, what is missing is made once and
//! shared by all clones of this user (see [`cache`]).

mod bpf_linker;
mod cache;
mod cargo_install;
mod fuzzer;
mod kernels;
mod lint_tools;
mod packages;
mod peers;
mod programs;
mod rust;
mod servers;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use self::kernels::Kernel;
pub(crate) use self::lint_tools::LintTool;
pub(crate) use self::programs::Program;

use self::cache::Cache;
use self::rust::Toolchain;
use crate::step::Steps;
use crate::{demo, kernels as machines, test};

/// Something that a command cannot do without.
pub(crate) enum Need {
    /// The compiler's components (the sources of `core`, `std` for musl, rustfmt and clippy), and the linker of the BPF
    /// programs.
    Toolchain,
    /// Programs of the system.
    Programs(&'static [Program]),
    /// The real control plane and CoreDNS, as programs in [`peers_folder`].
    Peers,
    /// The DNS servers that kxdns is measured beside, in [`servers_folder`].
    Servers,
    /// The programs that only `lint` runs.
    LintTools,
    /// The program that only `fuzz` runs.
    Fuzzer,
    /// The kernels that only `test --kernels` runs.
    Kernels,
}

/// Provides everything.
pub(crate) fn run(steps: &Steps) -> Result<()> {
    let lists = [
        test::PROGRAMS,
        demo::PROGRAMS,
        machines::PROGRAMS,
        machines::GUEST_PROGRAMS,
    ];
    provide(steps, &lists.map(Need::Programs))?;
    provide(
        steps,
        &[
            Need::Toolchain,
            Need::Peers,
            Need::Servers,
            Need::LintTools,
            Need::Fuzzer,
            Need::Kernels,
        ],
    )?;
    steps.say("everything is set up");
    Ok(())
}

/// Provides each of `needs`, in this order; what is there already is left alone.
pub(crate) fn provide(steps: &Steps, needs: &[Need]) -> Result<()> {
    let cache = Cache::of_user()?;
    for need in needs {
        match need {
            Need::Toolchain => provide_toolchain(steps, &cache)?,
            Need::Programs(programs) => programs::provide(steps, programs)?,
            Need::Peers => peers::provide(steps, &cache)?,
            Need::Servers => servers::provide(steps, &cache)?,
            Need::LintTools => lint_tools::provide(steps, &cache)?,
            Need::Fuzzer => fuzzer::provide(steps, &cache)?,
            Need::Kernels => kernels::provide(steps, &cache)?,
        }
    }
    Ok(())
}

fn provide_toolchain(steps: &Steps, cache: &Cache) -> Result<()> {
    let toolchain = Toolchain::find()?;
    rust::provide_components(steps, &toolchain)?;
    bpf_linker::provide(steps, cache, &toolchain)
}

/// The folder with the programs `coredns`, `etcd`, `kube-apiserver`, `kube-controller-manager` and `kube-proxy`.
pub(crate) fn peers_folder() -> Result<PathBuf> {
    peers::folder(&Cache::of_user()?)
}

/// The folder whose `usr/sbin` has the programs `dnsmasq`, `knotd` and `unbound`.
pub(crate) fn servers_folder() -> Result<PathBuf> {
    servers::folder(&Cache::of_user()?)
}

/// The program `cargo-fuzz`, once it has been provided.
pub(crate) fn fuzzer() -> Result<PathBuf> {
    Ok(fuzzer::program(&Cache::of_user()?))
}

/// The kernels besides the one that runs here, once they have been provided.
pub(crate) fn kernels() -> Result<Vec<Kernel>> {
    kernels::all(&Cache::of_user()?)
}

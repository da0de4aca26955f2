//! Where the programs are that the harness runs but does not build.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// Finds a program of the control plane or a rival in the folder that `KXDNS_PEERS` names.
pub fn find_peer(name: &str) -> Result<PathBuf> {
    find("KXDNS_PEERS", name)
}

/// Finds a DNS server that kxdns is measured beside in the folder that `KXDNS_SERVERS` names: unpacked packages.
pub fn find_server(name: &str) -> Result<PathBuf> {
    find("KXDNS_SERVERS", &format!("usr/sbin/{name}"))
}

/// Finds the libraries that those servers are linked to, as far as the system does not have them.
pub fn find_server_libraries() -> Result<PathBuf> {
    find("KXDNS_SERVERS", &format!("usr/lib/{}-linux-gnu", env::consts::ARCH))
}

fn find(variable: &str, name: &str) -> Result<PathBuf> {
    let folder = env::var_os(variable).with_context(|| format!("{variable} does not say where {name} is; {REMEDY}"))?;
    let path = PathBuf::from(folder).join(name);
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) => bail!("{}: {error}; {REMEDY}", path.display()),
    }
}

/// Finds the program that resolves names by a C library, `gnu` or `musl` as Rust's targets call them, in the folder that
/// `KXDNS_LOOKUPS` names: cargo's.
pub fn find_lookup(library: &str) -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-{library}", env::consts::ARCH);
    find("KXDNS_LOOKUPS", &format!("{target}/release/kxdns-lookup"))
}

const REMEDY: &str = "run `cargo xtask setup`, then `cargo xtask test`";

/// Finds the agent's binary: `KXDNS_BIN`, else the release build beside the running test.
pub fn find_agent() -> Result<PathBuf> {
    let path = match env::var_os("KXDNS_BIN") {
        Some(path) => PathBuf::from(path),
        None => built_agent()?,
    };
    path.canonicalize()
        .with_context(|| format!("{}: run `cargo xtask build`", path.display()))
}

fn built_agent() -> Result<PathBuf> {
    let test = env::current_exe()?;
    let found = test
        .ancestors()
        .map(|folder| folder.join("release/kxdns"))
        .find(|path| path.exists());
    found.context("there is no release/kxdns beside this test; run `cargo xtask build`, or say KXDNS_BIN")
}

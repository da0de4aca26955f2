//! The programs that kxdns is tested beside: a real control plane, kube-proxy and CoreDNS.
//!
//! Two Go modules, `tests/peers/kubernetes` and `tests/peers/coredns`, pin every dependency of them; they are two
//! since their programs want different versions of the same ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::cache::Cache;
use crate::step::Steps;
use crate::workspace;

/// Program, module, package.
const PEERS: [(&str, &str, &str); 5] = [
    ("coredns", "coredns", "github.com/coredns/coredns"),
    ("etcd", "kubernetes", "go.etcd.io/etcd/server/v3"),
    ("kube-proxy", "kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
    (
        "kube-controller-manager",
        "kubernetes",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
    ),
    ("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
];

/// The files that say what is built.
const PINS: [&str; 4] = [
    "coredns/go.mod",
    "coredns/go.sum",
    "kubernetes/go.mod",
    "kubernetes/go.sum",
];

/// Builds the programs unless they are there.
pub(crate) fn provide(steps: &Steps, cache: &Cache) -> Result<()> {
    cache.publish(steps, &folder_name()?, |folder| {
        PEERS.iter().try_for_each(|(program, module, package)| {
            steps
                .run(
                    &format!("build {program}"),
                    go_build(&folder.join(program), module, package),
                )
                .context("Go 1.26 or newer is needed, from https://go.dev/dl")
        })
    })
}

/// Where the programs are, once they have been provided.
pub(crate) fn folder(cache: &Cache) -> Result<PathBuf> {
    Ok(cache.folder(&folder_name()?))
}

fn go_build(program: &Path, module: &str, package: &str) -> Command {
    let mut command = Command::new("go");
    command
        .args(["build", "-trimpath", "-ldflags", "-s -w", "-o"])
        .arg(program)
        .arg(package);
    command.current_dir(modules().join(module)).env("GOWORK", "off");
    command
}

/// Any change of the modules makes another folder.
fn folder_name() -> Result<String> {
    let read = |pin: &&str| {
        let path = modules().join(pin);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let contents: Vec<_> = PINS.iter().map(read).collect::<Result<_>>()?;
    Ok(format!("peers-{:016x}", hash(&contents.concat())))
}

fn modules() -> PathBuf {
    workspace::root().join("tests/peers")
}

/// FNV-1a: the same on every machine and in every version of Rust. Nobody profits from a collision here.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // draft-eastlake-fnv, test vectors of FNV-1a, 64 bits.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn every_package_is_a_tool_of_its_module() {
        for (_, module, package) in PEERS {
            let pins = fs::read_to_string(modules().join(module).join("go.mod")).unwrap();
            assert!(
                pins.lines()
                    .any(|line| line.trim_start_matches("tool").trim() == package),
                "{package}"
            );
        }
    }
}

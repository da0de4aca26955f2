//! Builds the BPF object that the agent embeds.
//!
//! It needs bpf-linker, which `cargo xtask setup` installs. `KXDNS_BPF_LINKER` names another one.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const TARGET: &str = "bpfel-unknown-none";
/// What `cargo xtask setup` installs.
const LINKER_VERSION: &str = include_str!("bpf-linker.version").trim_ascii();

/// What the object is compiled with.
const RUSTFLAGS: [&str; 5] = [
    "-Cdebuginfo=2",
    "-Clink-arg=--btf",
    // Kernels since 5.12 know the third instruction set; everything here asks for a younger one.
    "-Ctarget-cpu=v3",
    // Packets are read in words at any address, as the machines that run this can: without it, byte by byte.
    "-Ctarget-feature=+allows-misaligned-mem-access",
    "--cfg=bpf_target_arch=\"x86_64\"",
];

fn main() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").context("no manifest")?).join("..");
    for path in [
        "dns-ebpf/src",
        "dns-ebpf/Cargo.toml",
        "Cargo.lock",
        "rust-toolchain.toml",
    ] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo::rerun-if-env-changed=KXDNS_BPF_LINKER");
    let target_dir = out.join("bpf");
    let status = Command::new(env::var_os("CARGO").context("CARGO is not set")?)
        .current_dir(&workspace)
        .args(["build", "--release", "--package", "dns-ebpf", "--bins"])
        .args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"])
        .arg(&target_dir)
        // `build-std` is unstable; this lets the pinned stable compiler take it.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker()?)
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"))
        .env_remove("RUSTC")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status()?;
    if !status.success() {
        bail!("the BPF object does not build: {status}");
    }
    let folder = target_dir.join(TARGET).join("release");
    for (variable, object) in [("KXDNS_BPF_OBJECT", "kxdns-bpf"), ("KXDNS_CLOCK_OBJECT", "kxdns-clock")] {
        println!("cargo::rustc-env={variable}={}", folder.join(object).display());
    }
    Ok(())
}

/// Finds bpf-linker where `cargo xtask setup` puts it: it is tied to the compiler whose LLVM it uses.
fn linker() -> Result<PathBuf> {
    if let Some(path) = env::var_os("KXDNS_BPF_LINKER") {
        return Ok(path.into());
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set")?;
    let path = cache
        .join("kxdns")
        .join(format!("bpf-linker-{LINKER_VERSION}-rustc-{}", rustc_version()?))
        .join("bin/bpf-linker");
    if !path.exists() {
        bail!("{} is not there: run `cargo xtask setup`", path.display());
    }
    Ok(path)
}

/// The compiler's version, such as `1.99.1`.
fn rustc_version() -> Result<String> {
    let rustc = env::var_os("RUSTC").context("RUSTC is not set")?;
    let output = Command::new(rustc).arg("--version").output()?;
    let text = String::from_utf8(output.stdout)?;
    let version = text.split(' ').nth(1).context("rustc says no version")?;
    Ok(version.to_owned())
}

//! bpf-linker, over the compiler's own LLVM: no other LLVM is needed, and none can disagree with it.
//!
//! The build script of `dns-userspace` finds it by the same rule:
//! `<cache>/kxdns/bpf-linker-<version>-rustc-<rustc version>/bin/bpf-linker`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cache::Cache;
use super::cargo_install;
use super::rust::Toolchain;
use crate::step::Steps;

/// What the build script asks for.
const VERSION: &str = include_str!("../../../dns-userspace/bpf-linker.version").trim_ascii();

/// Builds bpf-linker unless it is there.
pub(crate) fn provide(steps: &Steps, cache: &Cache, toolchain: &Toolchain) -> Result<()> {
    let llvm = link_llvm(cache, toolchain).context("cannot show bpf-linker the compiler's LLVM")?;
    cache.publish(steps, &folder_name(toolchain), |folder| {
        let mut command = cargo_install::command(folder, "bpf-linker", VERSION);
        command.env("LLVM_PREFIX", llvm);
        steps.run(&format!("build bpf-linker {VERSION}"), command)
    })
}

/// It is linked to this compiler's LLVM: another compiler needs another one.
fn folder_name(toolchain: &Toolchain) -> String {
    format!("bpf-linker-{VERSION}-rustc-{}", toolchain.version)
}

/// Makes the folder that looks like an installed LLVM to the build of bpf-linker, which also remembers it: its
/// program looks there for the library each time it runs, so the links are made to point at the compiler in use.
fn link_llvm(cache: &Cache, toolchain: &Toolchain) -> Result<PathBuf> {
    let library = find_llvm(&toolchain.sysroot.join("lib"))?;
    let prefix = cache.folder(&format!("llvm-rustc-{}", toolchain.version));
    let libraries = prefix.join("lib64");
    fs::create_dir_all(&libraries).with_context(|| libraries.display().to_string())?;
    replace_link(&library, &libraries.join("libLLVM.so"))?;
    replace_link(&library, &libraries.join(library.file_name().unwrap_or_default()))?;
    Ok(prefix)
}

/// The compiler's LLVM, such as `libLLVM.so.23.1-rust-1.99.1-stable`.
fn find_llvm(libraries: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(libraries).with_context(|| libraries.display().to_string())?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_llvm = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.display().to_string().starts_with("libLLVM.so."))
    };
    paths.find(is_llvm).with_context(|| {
        format!(
            "{} has no libLLVM.so.*: use the compiler that rustup installs",
            libraries.display()
        )
    })
}

/// Makes `link` point at `target`, in one step for whoever runs bpf-linker meanwhile.
fn replace_link(target: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|current| current == target) {
        return Ok(());
    }
    let fresh = link.with_added_extension(std::process::id().to_string());
    symlink(target, &fresh)
        .and_then(|()| fs::rename(&fresh, link))
        .with_context(|| format!("cannot link {}", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(version: &str) -> Toolchain {
        Toolchain {
            version: version.to_owned(),
            sysroot: PathBuf::new(),
        }
    }

    #[test]
    fn each_compiler_has_a_linker_of_its_own() {
        assert_eq!(folder_name(&toolchain("1.99.1")), "bpf-linker-0.13.0-rustc-1.99.1");
    }

    #[test]
    fn the_compiler_in_use_has_an_llvm() {
        let library = find_llvm(&Toolchain::find().unwrap().sysroot.join("lib")).unwrap();
        assert!(library.is_file(), "{}", library.display());
    }

    #[test]
    fn a_compiler_without_an_llvm_is_named() {
        let error = find_llvm(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err();
        assert!(error.to_string().contains("xtask has no libLLVM.so.*"), "{error}");
    }
}

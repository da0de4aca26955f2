//! The root file system of the virtual machine, which lives in its memory: programs of this system with the libraries
//! that they are linked to, and the kernel's modules.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::newc::Archive;
use crate::step;

/// What the file system holds, by paths in it that begin without a slash.
#[derive(Debug)]
pub(super) struct Initramfs {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    Folder,
    Copy(PathBuf),
    Text(&'static str),
}

impl Initramfs {
    /// A file system that only holds this script, which the kernel starts as its first process.
    pub(super) fn new(init: &'static str) -> Self {
        let entries = BTreeMap::from([("init".to_owned(), Entry::Text(init))]);
        Self { entries }
    }

    /// Adds a copy of a file, and the folders that it stands in.
    pub(super) fn add_file(&mut self, path: &str, source: &Path) {
        for (end, _) in path.match_indices('/') {
            self.entries.insert(path[..end].to_owned(), Entry::Folder);
        }
        self.entries.insert(path.to_owned(), Entry::Copy(source.to_owned()));
    }

    /// Adds a copy of a program, and its libraries where the program looks for them.
    pub(super) fn add_program(&mut self, path: &str, source: &Path) -> Result<()> {
        self.add_file(path, source);
        let list = step::read_output(Command::new("ldd").arg(source))?;
        for library in list_libraries(&list) {
            self.add_file(library.trim_start_matches('/'), Path::new(library));
        }
        Ok(())
    }

    /// Writes the file system to `file`, as the kernel reads it.
    pub(super) fn write(&self, file: &File) -> Result<()> {
        let mut archive = Archive::new(BufWriter::new(file));
        // A folder's path is the beginning of the paths in it, and so comes before them.
        for (path, entry) in &self.entries {
            match entry {
                Entry::Folder => archive.add_folder(path)?,
                Entry::Copy(source) => {
                    let content = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
                    archive.add_program(path, &content)?;
                }
                Entry::Text(text) => archive.add_program(path, text.as_bytes())?,
            }
        }
        archive.finish()?;
        Ok(())
    }
}

/// The paths in what ldd prints. The library that the kernel itself provides has none.
fn list_libraries(list: &str) -> impl Iterator<Item = &str> {
    list.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_prints() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd0b5e4000)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f1f7be00000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f1f7c1f5000)\n";
        let expected = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(list_libraries(list).collect::<Vec<_>>(), expected);
        assert_eq!(list_libraries("\tstatically linked\n").next(), None);
    }

    #[test]
    fn a_file_comes_after_the_folders_that_it_stands_in() {
        let mut initramfs = Initramfs::new("");
        initramfs.add_file("lib/a/b.so", Path::new("/b.so"));
        initramfs.add_file("lib/a.so", Path::new("/a.so"));
        let paths: Vec<_> = initramfs.entries.keys().collect();
        assert_eq!(paths, ["init", "lib", "lib/a", "lib/a.so", "lib/a/b.so"]);
    }

    #[test]
    fn a_program_brings_its_libraries() {
        let mut initramfs = Initramfs::new("");
        initramfs.add_program("bin/sh", Path::new("/bin/sh")).unwrap();
        assert!(
            initramfs.entries.keys().any(|path| path.contains("libc.so")),
            "{initramfs:?}"
        );
    }
}

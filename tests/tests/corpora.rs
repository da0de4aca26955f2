//! What the fuzzer has kept, and special cases written by hand, run through the same functions in every test run.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use anyhow::{Context, Result};
use kxdns_tests::fuzzing::TARGETS;

/// A corpus with fewer files is not there.
const FEWEST_FILES: usize = 12;

#[test]
fn every_property_holds_for_what_the_fuzzer_has_kept() -> Result<()> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, check) in TARGETS {
        let folder = corpora.join(target);
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let files: Vec<_> = entries.collect::<Result<_, _>>()?;
        assert!(files.len() >= FEWEST_FILES, "{target} has {} files", files.len());
        for file in files {
            let data = fs::read(file.path())?;
            let outcome = catch_unwind(|| check(&data));
            assert!(outcome.is_ok(), "{}", file.path().display());
        }
    }
    Ok(())
}

#[test]
fn every_target_is_a_program_of_the_fuzzer() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

//! The files behind an `import`: found by path or pattern, and read.
//!
//! A pattern has `*` and `?`, in any part of the path; like CoreDNS it takes the files of a folder in the order of their
//! names, hidden ones too. It takes regular files only: a folder that happens to match is passed over, so that
//! `import custom/*` works on a mounted ConfigMap, with its `..data` folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobBuilder;

use super::error::{Error, Problem, Span};

/// Whether an import's argument is a pattern, which may match no file.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?'])
}

/// Finds the regular files that match a pattern, in order of their paths' parts.
pub(super) fn find(pattern: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let part = Path::new(&part);
        found = if is_pattern(part) {
            let mut entries = Vec::new();
            for folder in &found {
                entries.extend(list_matching(folder, part)?);
            }
            entries
        } else {
            found.iter().map(|path| path.join(part)).collect()
        };
    }
    found.retain(|path| path.is_file());
    Ok(found)
}

/// Reads a regular file: a pipe or a device would block for ever.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    fs::read(path)
}

/// Makes text of a file's bytes, or says where they cease to be UTF-8.
pub(super) fn decode(file: &Arc<Path>, bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default());
        let line = before.matches('\n').count() as u32 + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) as u32 + 1;
        Span {
            file: file.clone(),
            line,
            column,
        }
        .error(Problem::NotUtf8)
    })
}

fn list_matching(folder: &Path, pattern: &Path) -> Result<Vec<PathBuf>, Problem> {
    let matcher = compile(&pattern.to_string_lossy())?;
    let readable = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    // A folder that is not there, or not a folder, holds nothing that matches.
    let entries = fs::read_dir(readable).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name())
        .filter(|name| matcher.is_match(name))
        .collect();
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

fn compile(pattern: &str) -> Result<globset::GlobMatcher, Problem> {
    if pattern.contains(['[', ']', '{', '}', '\\']) {
        return Err(Problem::expected(
            "a pattern with no other special characters than `*` and `?`",
            pattern,
        ));
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| Problem::expected(error.to_string(), pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_files_that_match_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.override",
            "a.override",
            ".c.override",
            "a.server",
            "one/Corefile",
            "two/Corefile",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(folder.path().join("d.override")).unwrap();
        for (pattern, expected) in [
            ("*.override", vec![".c.override", "a.override", "b.override"]),
            ("a.*", vec!["a.override", "a.server"]),
            ("?.server", vec!["a.server"]),
            ("*/Corefile", vec!["one/Corefile", "two/Corefile"]),
            ("o*/C*", vec!["one/Corefile"]),
            ("missing/*", vec![]),
            ("a.server/*", vec![]),
            ("a.server", vec!["a.server"]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|name| folder.path().join(name)).collect();
            assert_eq!(find(&folder.path().join(pattern)).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn refuses_other_special_characters_in_a_pattern() {
        let error = find(Path::new("/tmp/[ab]*")).unwrap_err().to_string();
        assert_eq!(
            error,
            "expected a pattern with no other special characters than `*` and `?`, found `[ab]*`"
        );
    }

    #[test]
    fn says_where_a_file_ceases_to_be_utf_8() {
        let error = decode(&Path::new("Corefile").into(), b".:53 {\n  \xc3\xa9 \xff".to_vec()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Corefile:2:5: not UTF-8 text; save the file as UTF-8"
        );
    }

    #[test]
    fn refuses_to_read_what_is_not_a_regular_file() {
        assert_eq!(
            read(Path::new("/dev/zero")).unwrap_err().to_string(),
            "not a regular file"
        );
    }
}

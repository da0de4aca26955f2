//! What can be wrong with a Corefile, where, and in which words it is said.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A place in a Corefile or in a file that it imports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The file, spelled as it was given.
    pub file: Arc<Path>,
    /// The line, from 1; 0 means the file as a whole.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl Span {
    /// The file as a whole.
    pub(super) fn whole(file: &Arc<Path>) -> Self {
        Self {
            file: file.clone(),
            line: 0,
            column: 0,
        }
    }

    /// Says that something is wrong here.
    pub(super) fn error(&self, problem: Problem) -> Error {
        Error {
            span: self.clone(),
            problem,
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}:{}", self.file.display(), self.column),
        }
    }
}

/// One thing that is wrong, and where; prints one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{}", print(.span, .problem))]
pub struct Error {
    /// Where.
    pub span: Span,
    /// What.
    pub problem: Problem,
}

/// Everything that is wrong with a Corefile: never empty; prints one line an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(Vec<Error>);

impl Errors {
    /// A single error.
    pub(super) fn one(error: Error) -> Self {
        Self(vec![error])
    }

    /// Succeeds if there are no errors. A repeated one, as of a snippet that is imported twice, is reported once.
    pub(super) fn check(mut errors: Vec<Error>) -> Result<(), Self> {
        errors.sort();
        errors.dedup();
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// The errors, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Error> {
        self.0.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Problem {
    #[error("cannot be read: {reason}")]
    Unreadable { reason: String },
    #[error("not UTF-8 text; save the file as UTF-8")]
    NotUtf8,
    #[error("this quote is never closed; expected a `\"`")]
    UnclosedQuote,
    #[error("`{word}` runs into a `#`; put a space before the `#` to begin a comment, or quote the whole word")]
    CommentInWord { word: String },
    #[error("`{word}` runs into a `{{`; put a space before the `{{`")]
    BraceInWord { word: String },
    #[error("this `{{` is never closed; expected a `}}`")]
    UnclosedBrace,
    #[error("this `}}` closes nothing; expected {expected}")]
    UnmatchedBrace { expected: &'static str },
    #[error("this `{{` must stand on the line of `{word}`")]
    BraceOnItsOwn { word: String },
    #[error("expected {expected}, found {found}")]
    Expected { expected: String, found: String },
    #[error("nested too deeply; expected at most {limit} levels of blocks and imports")]
    TooDeep { limit: usize },
    #[error("too many imports; expected at most {limit} in all")]
    TooManyImports { limit: usize },
    #[error("snippet `{name}` is defined already, at {first}")]
    SnippetTwice { name: String, first: Span },
    #[error("this import loops: {chain}")]
    ImportLoop { chain: String },
    #[error("no snippet is named `{name}`, and there is no file {file}{}", suggest(.closest))]
    ImportMissing {
        name: String,
        file: String,
        closest: Option<String>,
    },
    #[error("cannot read {file}: {reason}")]
    FileUnreadable { file: String, reason: String },
    #[error("no server block; expected one such as `.:53 {{ .. }}`")]
    NoServerBlock,
    #[error("this server block has no zone but an empty word; expected one such as `.` or `cluster.local`")]
    EmptyKey,
    #[error("unknown {kind} `{word}`{}", suggest(.closest))]
    Unknown {
        kind: &'static str,
        word: String,
        closest: Option<String>,
    },
    #[error("`{word}` takes {expected}, found {found}")]
    ArgumentCount {
        word: String,
        expected: String,
        found: usize,
    },
    #[error("`{word}` takes no options in braces")]
    NoOptions { word: String },
    #[error("`{word}` may stand only once here; the first is at {first}")]
    Twice { word: String, first: Span },
    #[error("`{word}` and `{other}` (at {first}) exclude each other; remove one")]
    Exclusive {
        word: &'static str,
        other: &'static str,
        first: Span,
    },
    #[error("`{word}` has no effect without `{other}`; add it or remove `{word}`")]
    Lonely { word: &'static str, other: &'static str },
    #[error("{what} is not supported by kxdns; {way_out}")]
    NotSupported { what: String, way_out: &'static str },
    #[error("`{key}` is served already, by the block at {first}")]
    ZoneTaken { key: String, first: Span },
    #[error("`kubernetes` needs a zone that is not a reverse zone, such as `cluster.local`")]
    OnlyReverseZones,
    #[error("`bind` has no address left; expected one that `except` does not take away")]
    NothingToBind,
    #[error("{file} names no nameserver by IP address")]
    NoNameserver { file: String },
}

impl Problem {
    /// An unknown word, with the closest of those that are known.
    pub(super) fn unknown<'a>(kind: &'static str, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Unknown {
            kind,
            word: word.to_owned(),
            closest: find_closest(word, known),
        }
    }

    /// A file that an argument names and that cannot be read.
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        let file = path.display().to_string();
        Self::FileUnreadable {
            file,
            reason: error.to_string(),
        }
    }

    /// A word where something else was expected.
    pub(super) fn expected(expected: impl Into<String>, word: &str) -> Self {
        Self::Expected {
            expected: expected.into(),
            found: format!("`{word}`"),
        }
    }
}

/// Finds the known word that was most likely meant: at most one edit for every three letters away, and at least one.
pub(super) fn find_closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Quoted words and the names of files may hold anything: what would break the line or deceive its reader is escaped.
fn print(span: &Span, problem: &Problem) -> String {
    let text = format!("{span}: {problem}");
    let escape = |character: char| match character {
        '\'' | '"' | '\\' => character.to_string(),
        _ => character.escape_debug().to_string(),
    };
    text.chars().map(escape).collect()
}

fn suggest(closest: &Option<String>) -> String {
    closest
        .as_ref()
        .map_or_else(String::new, |word| format!("; did you mean `{word}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_closest_known_word_or_none() {
        let known = ["kubernetes", "log", "loop", "forward", "any"];
        for (word, expected) in [
            ("kuberntes", Some("kubernetes")),
            ("Kubernetes", Some("kubernetes")),
            ("kubernetes{", Some("kubernetes")),
            ("lgo", Some("log")),
            ("loo", Some("log")),
            ("fowrard", Some("forward")),
            ("proxy", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(find_closest(word, known).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn prints_one_line_whatever_stands_in_the_file() {
        let span = Span {
            file: Path::new("a\nb").into(),
            line: 1,
            column: 2,
        };
        for (word, expected) in [
            ("\n", r"\n"),
            ("\r\u{1b}[2K\u{85}", r"\r\u{1b}[2K\u{85}"),
            ("\u{2028}\u{202e}", r"\u{2028}\u{202e}"),
            (r#"it's "C:\x""#, r#"it's "C:\x""#),
            ("é ö 名", "é ö 名"),
        ] {
            let error = span.error(Problem::expected("a zone", word));
            assert_eq!(
                error.to_string(),
                format!(r"a\nb:1:2: expected a zone, found `{expected}`")
            );
        }
    }

    #[test]
    fn a_span_of_the_whole_file_prints_its_name_alone() {
        let file: Arc<Path> = Path::new("Corefile").into();
        assert_eq!(Span::whole(&file).to_string(), "Corefile");
        assert_eq!(
            Span {
                file,
                line: 7,
                column: 9
            }
            .to_string(),
            "Corefile:7:9"
        );
    }
}

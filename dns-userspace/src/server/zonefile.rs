//! Records from zone files (RFC 1035, 5; RFC 2308, 4), as CoreDNS's library reads them: `$ORIGIN`, `$TTL`, `$INCLUDE` and
//! `$GENERATE`, units of time, and records that leave out their owner, TTL or class.
//!
//! It knows nothing of what makes records a zone.

mod data;
mod entry;
mod generate;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::base::iana::{Class, Rtype};
use domain::base::name::UncertainName;
use domain::base::{Name as DomainName, ToName as _};

use self::data::parse_time;
use self::entry::{Entries, Entry};
use self::generate::Template;
use super::message::Record;
use super::reader::WireName;

/// How many files may include each other: CoreDNS's limit.
const MAX_DEPTH: usize = 7;

/// The TTL of what `$GENERATE` makes, in seconds, unless it says otherwise. As in CoreDNS, `$TTL` does not count there.
const GENERATED_TTL: u32 = 3600;

/// What is wrong with a zone file, and where; prints one line.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A file cannot be read.
    #[error("open {}: {reason}", .path.display(), reason = describe(.error))]
    Unreadable { path: PathBuf, error: io::Error },
    /// Something is wrong in this line.
    #[error("{}:{line}: {problem}", .path.display())]
    Line {
        path: Arc<Path>,
        line: usize,
        problem: Problem,
    },
}

/// What can be wrong with a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("this `)` closes nothing")]
    UnmatchedParenthesis,
    #[error("this entry has a `(` that is never closed")]
    UnclosedParenthesis,
    #[error("this entry has a quote that is never closed")]
    UnclosedQuote,
    #[error("there is nothing behind the last `\\`")]
    LoneBackslash,
    #[error("expected {expected}, found `{found}`")]
    Expected { expected: &'static str, found: String },
    #[error("expected {expected}, found nothing more")]
    Missing { expected: &'static str },
    #[error("there is no owner before this record; write one at the beginning of the line")]
    NoOwner,
    #[error("there is no TTL before this record; write one, or `$TTL` before it")]
    NoTtl,
    #[error("cannot read the data of this {rtype} record: {reason}")]
    Data { rtype: Rtype, reason: String },
    #[error("cannot open {path}: {reason}")]
    Include { path: String, reason: String },
    #[error("files include each other too deeply; expected at most {MAX_DEPTH} levels")]
    TooDeep,
    #[error("{0}")]
    Refused(String),
}

/// The records of a zone file, one by one.
pub(super) struct Records {
    /// The file, and those that are being included, the innermost last.
    sources: Vec<Source>,
}

/// A record, and where it stands.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) record: Record,
    path: Arc<Path>,
    line: usize,
}

/// A file that is being read, or what `$GENERATE` makes.
struct Source {
    path: Arc<Path>,
    entries: Entries,
    /// The line that all entries are of, where they are no lines of the file.
    line: Option<usize>,
    origin: WireName,
    owner: Option<WireName>,
    ttl: Option<Ttl>,
}

/// The TTL of records that have none of their own.
#[derive(Clone, Copy)]
struct Ttl {
    seconds: u32,
    /// Whether `$TTL` says so, which a record's own TTL does not change.
    is_said: bool,
}

/// What an entry comes to.
enum Step {
    Record(Record),
    /// To go on with this first.
    Source(Box<Source>),
    Nothing,
}

impl Records {
    /// Begins to read a file with this origin.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`].
    pub(super) fn open(path: &Path, origin: &WireName) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|error| Error::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let source = Source::new(path.into(), text, origin.clone(), None);
        Ok(Self { sources: vec![source] })
    }

    /// The next record; `None` at the end of the file.
    ///
    /// # Errors
    ///
    /// [`Error::Line`].
    pub(super) fn next(&mut self) -> Result<Option<Located>, Error> {
        while let Some(source) = self.sources.last_mut() {
            let path = source.path.clone();
            let (line, step) = match source.entries.next() {
                Ok(None) => {
                    self.sources.pop();
                    continue;
                }
                Ok(Some(entry)) => (entry.line, source.take(&entry)),
                Err((line, problem)) => (line, Err(problem)),
            };
            let line = source.line.unwrap_or(line);
            let wrong = |problem| Error::Line {
                path: path.clone(),
                line,
                problem,
            };
            match step.map_err(wrong)? {
                Step::Record(record) => return Ok(Some(Located { record, path, line })),
                Step::Source(source) if source.line.is_none() && self.sources.len() > MAX_DEPTH => {
                    return Err(wrong(Problem::TooDeep));
                }
                Step::Source(source) => self.sources.push(*source),
                Step::Nothing => {}
            }
        }
        Ok(None)
    }
}

impl Located {
    /// Says that the record will not do where it stands.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> Error {
        Error::Line {
            path: self.path.clone(),
            line: self.line,
            problem: Problem::Refused(reason.into()),
        }
    }
}

impl Source {
    fn new(path: Arc<Path>, text: Vec<u8>, origin: WireName, ttl: Option<Ttl>) -> Self {
        Self {
            path,
            entries: Entries::new(text),
            line: None,
            origin,
            owner: None,
            ttl,
        }
    }

    /// Takes an entry: does what a directive says, or makes a record.
    fn take(&mut self, entry: &Entry) -> Result<Step, Problem> {
        let [first, rest @ ..] = &entry.words[..] else {
            return Ok(Step::Nothing);
        };
        let directive = match entry.is_indented {
            true => String::new(),
            false => first.to_ascii_uppercase(),
        };
        match directive.as_str() {
            "$ORIGIN" => self.origin = self.read_name(only(rest, "the origin")?)?,
            "$TTL" => {
                let word = only(rest, "the TTL")?;
                let seconds = parse_time(word).ok_or_else(|| expected("a TTL such as `3600` or `1h`", word))?;
                self.ttl = Some(Ttl { seconds, is_said: true });
            }
            "$INCLUDE" => return self.include(rest),
            // What it makes are lines of their own.
            "$GENERATE" if self.line.is_none() => return self.generate(entry.line, rest),
            _ if entry.is_indented => return self.record(&entry.words, false),
            _ => {
                self.owner = Some(self.read_name(first)?);
                return self.record(rest, true);
            }
        }
        Ok(Step::Nothing)
    }

    /// Reads what stands behind a record's owner: `[TTL] [CLASS] TYPE DATA`, where TTL and class may change places.
    fn record(&mut self, words: &[String], has_owner: bool) -> Result<Step, Problem> {
        const TYPE: &str = "a type of records, or a TTL or class before it";
        let (mut ttl, mut class) = (None, None);
        let mut words = words;
        let rtype = loop {
            let (word, rest) = words.split_first().ok_or(Problem::Missing { expected: TYPE })?;
            words = rest;
            if let Ok(rtype) = word.parse() {
                break rtype;
            } else if let Some(read) = word.parse::<Class>().ok().filter(|_| class.is_none()) {
                class = Some(read);
            } else if let Some(read) = parse_time(word).filter(|_| ttl.is_none()) {
                ttl = Some(read);
            } else {
                return Err(expected(TYPE, word));
            }
        };
        if let Some(seconds) = ttl.filter(|_| !self.ttl.is_some_and(|ttl| ttl.is_said)) {
            self.ttl = Some(Ttl {
                seconds,
                is_said: false,
            });
        }
        let default = self.ttl.map(|ttl| ttl.seconds);
        let ttl = match ttl.or(default) {
            Some(ttl) => ttl,
            None if has_owner && class.is_none() => return Err(Problem::NoTtl),
            // As in CoreDNS, which forgives it in these forms.
            None => 0,
        };
        Ok(Step::Record(Record {
            owner: self.owner.clone().ok_or(Problem::NoOwner)?,
            ttl,
            data: data::read(rtype, class.unwrap_or(Class::IN), words, &self.origin)?,
        }))
    }

    fn include(&self, words: &[String]) -> Result<Step, Problem> {
        let (file, origin) = match words {
            [file] => (file, self.origin.clone()),
            [file, origin] => (file, self.read_name(origin)?),
            [_, _, more, ..] => return Err(expected("nothing behind the origin", more)),
            [] => {
                return Err(Problem::Missing {
                    expected: "the file to include",
                });
            }
        };
        let strings = entry::strings(file).ok_or_else(|| expected("the file to include", file))?;
        let file = String::from_utf8_lossy(&strings.concat()).into_owned();
        // Relative to the file that includes it.
        let path = self.path.parent().unwrap_or(Path::new("")).join(&file);
        let text = fs::read(&path).map_err(|error| Problem::Include {
            path: path.display().to_string(),
            reason: describe(&error),
        })?;
        let source = Self::new(path.into(), text, origin, self.ttl);
        Ok(Step::Source(Box::new(source)))
    }

    fn generate(&self, line: usize, words: &[String]) -> Result<Step, Problem> {
        let text = Template::read(words)?.expand()?;
        let ttl = Ttl {
            seconds: GENERATED_TTL,
            is_said: false,
        };
        let source = Self::new(self.path.clone(), text.into_bytes(), self.origin.clone(), Some(ttl));
        Ok(Step::Source(Box::new(Self {
            line: Some(line),
            ..source
        })))
    }

    /// Reads a name, which belongs to the origin unless it ends with a dot.
    fn read_name(&self, word: &str) -> Result<WireName, Problem> {
        if word == "@" {
            return Ok(self.origin.clone());
        }
        self.parse_name(word).ok_or_else(|| expected("a domain name", word))
    }

    fn parse_name(&self, word: &str) -> Option<WireName> {
        match word.parse::<UncertainName<Vec<u8>>>().ok()? {
            UncertainName::Absolute(name) => Some(name.into_octets()),
            UncertainName::Relative(name) => {
                let origin = DomainName::from_octets(&self.origin[..]).ok()?;
                Some(name.chain(origin).ok()?.to_vec().into_octets())
            }
        }
    }
}

fn only<'w>(words: &'w [String], expected: &'static str) -> Result<&'w str, Problem> {
    match words {
        [word] => Ok(word),
        [] => Err(Problem::Missing { expected }),
        [_, more, ..] => Err(Problem::Expected {
            expected: "nothing more",
            found: more.clone(),
        }),
    }
}

fn expected(expected: &'static str, found: &str) -> Problem {
    let found = found.to_owned();
    Problem::Expected { expected, found }
}

/// An error of the system in the words that Go has for the most frequent ones.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;

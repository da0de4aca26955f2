//! The `import` of a snippet, a file or a pattern of files: its text is read in its place.
//!
//! Unlike in CoreDNS, what is imported has to be whole: it cannot open a brace that the importing file closes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cursor::Cursor;
use super::error::{Problem, find_closest};
use super::files;
use super::lexer::{Token, Word, tokenize};
use super::parser::{Parser, Stop};

/// More imports than this, those within imports included, are taken for a mistake.
const MAX_IMPORTS: usize = 10_000;

/// Where imported text comes from.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Snippet(String),
}

/// What reads imported tokens in the place of their import.
pub(super) type Reader<'r, 'a> = &'r mut dyn FnMut(&mut Parser<'a>, &mut Cursor<'_>) -> Result<(), Stop>;

impl<'a> Parser<'a> {
    /// Reads what an `import` names in its place.
    pub(super) fn import(&mut self, cursor: &mut Cursor<'_>, read: Reader<'_, 'a>) -> Result<(), Stop> {
        let Some(import) = cursor.next() else {
            return Ok(());
        };
        let arguments = cursor.take_arguments();
        let [name] = &arguments[..] else {
            let expected = "1 argument: a snippet, a file or a pattern".to_owned();
            let problem = Problem::ArgumentCount {
                word: "import".to_owned(),
                expected,
                found: arguments.len(),
            };
            self.note(&import.word.span, problem);
            return Ok(());
        };
        match self.find_sources(name) {
            Ok(sources) => sources
                .into_iter()
                .try_for_each(|source| self.read_source(source, name, read)),
            Err(problem) => {
                self.note(&name.span, problem);
                Ok(())
            }
        }
    }

    fn find_sources(&self, name: &Word) -> Result<Vec<Source>, Problem> {
        if self.snippets.contains_key(&name.text) {
            return Ok(vec![Source::Snippet(name.text.clone())]);
        }
        let folder = name.span.file.parent().unwrap_or(Path::new(""));
        let path = folder.join(&name.text);
        if files::is_pattern(&path) {
            return Ok(files::find(&path)?.into_iter().map(Source::File).collect());
        }
        if path.exists() && !name.text.is_empty() {
            return Ok(vec![Source::File(path)]);
        }
        let closest = find_closest(&name.text, self.snippets.keys().map(String::as_str));
        Err(Problem::ImportMissing {
            name: name.text.clone(),
            file: path.display().to_string(),
            closest,
        })
    }

    fn read_source(&mut self, source: Source, name: &Word, read: Reader<'_, 'a>) -> Result<(), Stop> {
        self.imports += 1;
        if self.imports > MAX_IMPORTS {
            self.note(&name.span, Problem::TooManyImports { limit: MAX_IMPORTS });
            return Err(Stop);
        }
        let identity = match &source {
            Source::File(path) => Source::File(identify(path)),
            Source::Snippet(_) => source.clone(),
        };
        if let Some(begin) = self.importing.iter().position(|earlier| *earlier == identity) {
            let chain = self.describe_loop(begin);
            self.note(&name.span, Problem::ImportLoop { chain });
            return Ok(());
        }
        let tokens = match source {
            Source::File(path) => self.read_file(path, name),
            Source::Snippet(name) => self.snippets.get(&name).map(|snippet| snippet.tokens.clone()),
        };
        self.importing.push(identity);
        self.descend(&name.span)?;
        read(self, &mut Cursor::new(tokens.as_deref().unwrap_or_default()))?;
        self.depth -= 1;
        self.importing.pop();
        Ok(())
    }

    fn read_file(&mut self, path: PathBuf, name: &Word) -> Option<Arc<[Token]>> {
        let file: Arc<Path> = path.into();
        let text = match files::read(&file) {
            Ok(bytes) => files::decode(&file, bytes),
            Err(error) => Err(name.span.error(Problem::unreadable(&file, &error))),
        };
        match text {
            Ok(text) => Some(tokenize(&file, &text, self.environment, &mut self.errors).into()),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn describe_loop(&self, begin: usize) -> String {
        let names = self.importing.iter().skip(begin).chain(self.importing.get(begin));
        let names = names.map(|source| match source {
            Source::File(path) => path.display().to_string(),
            Source::Snippet(name) => format!("({name})"),
        });
        names.collect::<Vec<_>>().join(" -> ")
    }
}

/// A file is known by its real path where it has one: a link must not hide a loop.
pub(super) fn identify(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

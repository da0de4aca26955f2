//! From tokens to server blocks of statements, with imports taken in.
//!
//! A file is a list of server blocks, snippets and imports. A server block is its keys (zones, on one line or on several
//! after a comma) and its statements in braces, or, as the only one of its file, without. A statement is the words of a
//! line and, in braces that open on that line, its options. What a statement means is not known here.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use ring::digest::{Context, SHA512};

use super::cursor::Cursor;
use super::error::{Error, Errors, Problem, Span};
use super::import::{Source, identify};
use super::lexer::{Environment, Kind, Token, Word, tokenize};

/// More levels of blocks and imports than this are taken for a mistake.
const MAX_DEPTH: usize = 64;

/// A server block as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The keys; none if something was wrong with them.
    pub(super) keys: Vec<Word>,
    pub(super) statements: Vec<Statement>,
}

/// A directive of a server block, or an option of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) name: Word,
    pub(super) arguments: Vec<Word>,
    /// What stands in its braces; `None` without braces.
    pub(super) options: Option<Vec<Statement>>,
}

/// Parses a Corefile and what it imports.
pub(super) fn parse(file: &Arc<Path>, text: &str, environment: Environment<'_>) -> Result<Vec<Block>, Errors> {
    let mut errors = Vec::new();
    let tokens = tokenize(file, text, environment, &mut errors);
    let importing = vec![Source::File(identify(file))];
    let mut parser = Parser {
        environment,
        errors,
        snippets: HashMap::new(),
        importing,
        depth: 0,
        imports: 0,
    };
    let mut blocks = Vec::new();
    // Where parsing stopped early, the reason is among the errors.
    let _: Result<(), Stop> = parser.parse_blocks(&mut Cursor::new(&tokens), &mut blocks);
    Errors::check(parser.errors)?;
    Ok(blocks)
}

/// What is known while a Corefile is parsed.
pub(super) struct Parser<'a> {
    pub(super) environment: Environment<'a>,
    pub(super) errors: Vec<Error>,
    pub(super) snippets: HashMap<String, Snippet>,
    /// What is being read now, outermost first.
    pub(super) importing: Vec<Source>,
    /// How many imports there were.
    pub(super) imports: usize,
    /// How many blocks and imports are open.
    pub(super) depth: usize,
}

/// Tokens under a name, to be imported.
pub(super) struct Snippet {
    pub(super) tokens: Arc<[Token]>,
    span: Span,
}

/// An error after which nothing more can be read; it has been noted.
pub(super) struct Stop;

impl<'a> Parser<'a> {
    fn parse_blocks(&mut self, cursor: &mut Cursor<'_>, blocks: &mut Vec<Block>) -> Result<(), Stop> {
        while let Some(token) = cursor.peek() {
            match token.kind {
                Kind::Word if token.word.text == "import" => {
                    self.import(cursor, &mut |parser, imported| parser.parse_blocks(imported, blocks))?;
                }
                Kind::Word => self.parse_block(cursor, blocks)?,
                Kind::Open => {
                    self.note(&token.word.span, Problem::expected("the zones of a server block", "{"));
                    self.parse_braces(cursor, &mut Vec::new())?;
                }
                Kind::Close => {
                    self.note(
                        &token.word.span,
                        Problem::UnmatchedBrace {
                            expected: "the zones of a server block",
                        },
                    );
                    cursor.next();
                }
            }
        }
        Ok(())
    }

    fn parse_block(&mut self, cursor: &mut Cursor<'_>, blocks: &mut Vec<Block>) -> Result<(), Stop> {
        let keys = self.parse_keys(cursor);
        if let [key] = &keys[..]
            && let Some(name) = key.text.strip_prefix('(').and_then(|text| text.strip_suffix(')'))
        {
            self.define_snippet(name, &key.span, cursor);
            return Ok(());
        }
        let mut statements = Vec::new();
        if cursor.peek().is_some_and(|token| token.kind == Kind::Open) {
            self.parse_braces(cursor, &mut statements)?;
        } else {
            let open = self.find_brace_in_key(&keys);
            self.parse_statements(cursor, open.as_ref(), &mut statements)?;
        }
        blocks.push(Block { keys, statements });
        Ok(())
    }

    /// Notes a brace that was written without a space, `.:53{`, and returns where it opens.
    fn find_brace_in_key(&mut self, keys: &[Word]) -> Option<Span> {
        let key = keys.last()?;
        let word = key.text.strip_suffix('{')?.to_owned();
        self.note(&key.span, Problem::BraceInWord { word });
        Some(key.span.clone())
    }

    /// Parses the keys of a block; as in CoreDNS, an empty one, such as an unset variable leaves, does not count.
    fn parse_keys(&mut self, cursor: &mut Cursor<'_>) -> Vec<Word> {
        let mut keys = Vec::new();
        let (mut first, mut comma) = (None, None);
        while let Some(token) = cursor
            .next_if(|token| token.kind == Kind::Word && (first.is_none() || comma.is_some() || !token.begins_line))
        {
            let Word { text, span } = &token.word;
            first.get_or_insert(span);
            if !text.is_empty() {
                comma = text.ends_with(',').then_some(span);
            }
            let texts = text.split(',').filter(|text| !text.is_empty());
            keys.extend(texts.map(|text| Word {
                text: text.to_owned(),
                span: span.clone(),
            }));
        }
        if let Some(span) = comma {
            let expected = "another zone after the comma".to_owned();
            self.note(
                span,
                Problem::Expected {
                    expected,
                    found: cursor.describe(),
                },
            );
        } else if let Some(span) = first.filter(|_| keys.is_empty()) {
            self.note(span, Problem::EmptyKey);
        }
        keys
    }

    fn define_snippet(&mut self, name: &str, span: &Span, cursor: &mut Cursor<'_>) {
        let Some(open) = cursor.next_if(|token| token.kind == Kind::Open) else {
            let expected = format!("a `{{` after the name of snippet `{name}`");
            return self.note(
                span,
                Problem::Expected {
                    expected,
                    found: cursor.describe(),
                },
            );
        };
        let Some(tokens) = cursor.take_until_closed() else {
            return self.note(&open.word.span, Problem::UnclosedBrace);
        };
        if let Some(first) = self.snippets.get(name) {
            let first = first.span.clone();
            return self.note(
                span,
                Problem::SnippetTwice {
                    name: name.to_owned(),
                    first,
                },
            );
        }
        self.snippets.insert(
            name.to_owned(),
            Snippet {
                tokens: tokens.into(),
                span: span.clone(),
            },
        );
    }

    /// Parses what stands in the braces that open here.
    fn parse_braces(&mut self, cursor: &mut Cursor<'_>, statements: &mut Vec<Statement>) -> Result<(), Stop> {
        let Some(open) = cursor.next() else {
            return Ok(());
        };
        self.descend(&open.word.span)?;
        self.parse_statements(cursor, Some(&open.word.span), statements)?;
        self.depth -= 1;
        Ok(())
    }

    /// Parses statements up to the brace that closes `open`, or without one up to the end of the tokens.
    fn parse_statements(
        &mut self,
        cursor: &mut Cursor<'_>,
        open: Option<&Span>,
        statements: &mut Vec<Statement>,
    ) -> Result<(), Stop> {
        let closed = loop {
            let Some(token) = cursor.peek() else {
                break false;
            };
            match token.kind {
                Kind::Close if open.is_some() => {
                    cursor.next();
                    break true;
                }
                Kind::Close => {
                    self.note(
                        &token.word.span,
                        Problem::UnmatchedBrace {
                            expected: "a directive",
                        },
                    );
                    cursor.next();
                }
                Kind::Open => self.skip_stray_braces(cursor, statements.last())?,
                Kind::Word if token.word.text == "import" => {
                    self.import(cursor, &mut |parser, imported| {
                        parser.parse_statements(imported, None, statements)
                    })?;
                }
                Kind::Word => statements.push(self.parse_statement(cursor, &token.word)?),
            }
        };
        if let (Some(open), false) = (open, closed) {
            self.note(open, Problem::UnclosedBrace);
        }
        Ok(())
    }

    fn parse_statement(&mut self, cursor: &mut Cursor<'_>, name: &Word) -> Result<Statement, Stop> {
        cursor.next();
        let arguments = cursor.take_arguments();
        let opens = cursor
            .peek()
            .is_some_and(|token| token.kind == Kind::Open && !token.begins_line);
        let mut options = opens.then(Vec::new);
        if let Some(options) = &mut options {
            self.parse_braces(cursor, options)?;
        }
        if let Some(token) = cursor
            .peek()
            .filter(|token| opens && !token.begins_line && token.kind != Kind::Close)
        {
            self.note(
                &token.word.span,
                Problem::expected("a new line after `}`", &token.word.text),
            );
        }
        Ok(Statement {
            name: name.clone(),
            arguments,
            options,
        })
    }

    fn skip_stray_braces(&mut self, cursor: &mut Cursor<'_>, before: Option<&Statement>) -> Result<(), Stop> {
        let Some(open) = cursor.peek() else {
            return Ok(());
        };
        let problem = match before {
            Some(statement) => Problem::BraceOnItsOwn {
                word: statement.name.text.clone(),
            },
            None => Problem::expected("a directive", "{"),
        };
        self.note(&open.word.span, problem);
        self.parse_braces(cursor, &mut Vec::new())
    }

    /// Goes a level deeper.
    pub(super) fn descend(&mut self, span: &Span) -> Result<(), Stop> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        self.note(span, Problem::TooDeep { limit: MAX_DEPTH });
        Err(Stop)
    }

    /// Notes an error.
    pub(super) fn note(&mut self, span: &Span, problem: Problem) {
        self.errors.push(span.error(problem));
    }
}

/// The SHA-512 of what the blocks say, in hexadecimal: of their words, wherever those stand.
pub(super) fn digest(blocks: &[Block]) -> String {
    let mut context = Context::new(&SHA512);
    for block in blocks {
        block.keys.iter().for_each(|key| add_word(&mut context, key));
        add_statements(&mut context, &block.statements);
    }
    let mut text = String::with_capacity(128);
    for byte in context.finish().as_ref() {
        // A string takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn add_statements(context: &mut Context, statements: &[Statement]) {
    context.update(b"{");
    for statement in statements {
        add_word(context, &statement.name);
        statement.arguments.iter().for_each(|word| add_word(context, word));
        add_statements(context, statement.options());
    }
    context.update(b"}");
}

/// Adds a word with its length, so that no two texts look alike.
fn add_word(context: &mut Context, word: &Word) {
    context.update(&(word.text.len() as u64).to_be_bytes());
    context.update(word.text.as_bytes());
}

#[cfg(test)]
mod tests;

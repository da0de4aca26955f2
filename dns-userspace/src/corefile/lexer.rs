//! From text to words and braces, each with its place.
//!
//! Words are separated by white space. A word that begins with `"` ends at the next `"`, over several lines if need be;
//! `\"` stands for a quote in it, and any other backslash for itself. `#` begins a comment, which ends with the line.
//! `{$NAME}` and `{%NAME%}` are replaced by an environment variable inside a word, by nothing if it is not set; the value
//! is never split into words nor looked at again. There is no line continuation.

use std::path::Path;
use std::str::Chars;
use std::sync::Arc;

use super::error::{Error, Problem, Span};

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A word and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

impl Word {
    /// Says that something else than this word was expected here.
    pub(super) fn unexpected(&self, expected: impl Into<String>) -> Error {
        self.span.error(Problem::expected(expected, &self.text))
    }
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// A `{` that stands alone, unquoted.
    Open,
    /// A `}` that stands alone, unquoted.
    Close,
}

/// A word or a brace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) word: Word,
    /// Whether it is the first of its line.
    pub(super) begins_line: bool,
}

/// Splits a file's text into tokens. What is wrong with it goes into `errors`, and reading goes on.
pub(super) fn tokenize(
    file: &Arc<Path>,
    text: &str,
    environment: Environment<'_>,
    errors: &mut Vec<Error>,
) -> Vec<Token> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lexer = Lexer {
        file,
        rest: text.chars(),
        line: 1,
        column: 1,
        last_line: 0,
        environment,
        errors,
    };
    let mut tokens = Vec::new();
    while let Some(next) = lexer.peek() {
        match next {
            '#' => lexer.skip_comment(),
            '"' => tokens.push(lexer.read_quoted()),
            space if space.is_whitespace() => drop(lexer.advance()),
            _ => tokens.push(lexer.read_word()),
        }
    }
    tokens
}

struct Lexer<'a> {
    file: &'a Arc<Path>,
    rest: Chars<'a>,
    line: u32,
    column: u32,
    /// The line on which the last token ended.
    last_line: u32,
    environment: Environment<'a>,
    errors: &'a mut Vec<Error>,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn span(&self) -> Span {
        Span {
            file: self.file.clone(),
            line: self.line,
            column: self.column,
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|next| next != '\n') {
            self.advance();
        }
    }

    fn read_word(&mut self) -> Token {
        let span = self.span();
        let mut text = String::new();
        while let Some(next) = self.peek().filter(|next| !next.is_whitespace() && *next != '#') {
            text.push(next);
            self.advance();
        }
        if self.peek() == Some('#') {
            self.errors
                .push(span.error(Problem::CommentInWord { word: text.clone() }));
            self.skip_comment();
        }
        let kind = match text.as_str() {
            "{" => Kind::Open,
            "}" => Kind::Close,
            _ => Kind::Word,
        };
        self.finish(kind, text, span)
    }

    fn read_quoted(&mut self) -> Token {
        let span = self.span();
        self.advance();
        let mut text = String::new();
        loop {
            match self.advance() {
                Some('"') => break,
                Some('\\') => text.push_str(&self.read_escape()),
                Some(next) => text.push(next),
                None => {
                    self.errors.push(span.error(Problem::UnclosedQuote));
                    break;
                }
            }
        }
        self.finish(Kind::Word, text, span)
    }

    fn read_escape(&mut self) -> String {
        match self.advance() {
            Some('"') => "\"".to_owned(),
            Some(next) => format!("\\{next}"),
            None => "\\".to_owned(),
        }
    }

    fn finish(&mut self, kind: Kind, text: String, span: Span) -> Token {
        let begins_line = span.line > self.last_line;
        self.last_line = self.line;
        let text = substitute(&text, self.environment);
        Token {
            kind,
            word: Word { text, span },
            begins_line,
        }
    }
}

fn substitute(text: &str, environment: Environment<'_>) -> String {
    let mut substituted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = find_reference(rest) {
        substituted.push_str(before);
        substituted.push_str(&environment(name).unwrap_or_default());
        rest = after;
    }
    substituted + rest
}

/// Finds the first reference to a variable and splits the text around its name.
fn find_reference(text: &str) -> Option<(&str, &str, &str)> {
    let find = |open, close| {
        let (before, tail) = text.split_once(open)?;
        let (name, after) = tail.split_once(close)?;
        (!name.is_empty()).then_some((before, name, after))
    };
    [find("{$", "}"), find("{%", "%}")]
        .into_iter()
        .flatten()
        .min_by_key(|(before, ..)| before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> (Vec<Token>, Vec<String>) {
        let mut errors = Vec::new();
        let environment = |name: &str| match name {
            "ZONE" => Some("example.org".to_owned()),
            "NESTED" => Some("{$ZONE} two words".to_owned()),
            "BRACE" => Some("{".to_owned()),
            _ => None,
        };
        let tokens = tokenize(&Path::new("Corefile").into(), text, &environment, &mut errors);
        (tokens, errors.iter().map(Error::to_string).collect())
    }

    #[test]
    fn splits_text_into_words() {
        for (text, expected) in [
            ("", vec![]),
            ("\u{feff}.:53", vec![".:53"]),
            ("a b\tc\r\nd\u{a0}e", vec!["a", "b", "c", "d", "e"]),
            ("a # b c\nd", vec!["a", "d"]),
            ("# a\n#b", vec![]),
            ("a \"b c\" d", vec!["a", "b c", "d"]),
            ("\"a\"b", vec!["a", "b"]),
            ("a\"b c\"", vec!["a\"b", "c\""]),
            (r#""say \"hi\" \d \\""#, vec![r#"say "hi" \d \\"#]),
            ("\"a\nb\"", vec!["a\nb"]),
            ("\"# not a comment\"", vec!["# not a comment"]),
            ("\"\"", vec![""]),
            ("a \\\n b", vec!["a", "\\", "b"]),
            ("dns://{$ZONE}:53", vec!["dns://example.org:53"]),
            ("{%ZONE%}.{$ZONE}", vec!["example.org.example.org"]),
            ("\"{$ZONE} x\"", vec!["example.org x"]),
            ("{$NESTED}", vec!["{$ZONE} two words"]),
            ("a{$UNSET}b {$UNSET}", vec!["ab", ""]),
            ("{$} {$ZONE {%ZONE}", vec!["{$}", "{$ZONE", "{%ZONE}"]),
        ] {
            let (tokens, errors) = lex(text);
            let words: Vec<_> = tokens.iter().map(|token| token.word.text.as_str()).collect();
            assert_eq!((words, errors), (expected, vec![]), "{text:?}");
        }
    }

    #[test]
    fn only_a_lone_unquoted_brace_is_a_brace() {
        let (tokens, _) = lex("{ } \"{\" {{ }} {$BRACE} x{");
        let kinds: Vec<_> = tokens.iter().map(|token| token.kind).collect();
        assert_eq!(
            kinds,
            [
                Kind::Open,
                Kind::Close,
                Kind::Word,
                Kind::Word,
                Kind::Word,
                Kind::Word,
                Kind::Word
            ]
        );
    }

    #[test]
    fn tells_where_a_token_stands() {
        let (tokens, _) = lex("\u{feff}é a # x\n\t\"b\nc\" d\r\n\r\n e");
        let places: Vec<_> = tokens
            .iter()
            .map(|token| (token.word.span.line, token.word.span.column, token.begins_line))
            .collect();
        assert_eq!(
            places,
            [(1, 1, true), (1, 3, false), (2, 2, true), (3, 4, false), (5, 2, true)]
        );
    }

    #[test]
    fn goes_on_after_an_error() {
        let (tokens, errors) = lex("cache 30#s a\nlog \"x");
        assert_eq!(tokens.len(), 4);
        assert_eq!(
            errors,
            [
                "Corefile:1:7: `30` runs into a `#`; put a space before the `#` to begin a comment, or quote the whole word",
                "Corefile:2:5: this quote is never closed; expected a `\"`",
            ]
        );
    }
}

//! From a template's text to text, and actions of tokens.

use super::NoTemplate;

/// Text, or what stands between `{{` and `}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    Text(&'t str),
    Action(Vec<Token<'t>>),
}

/// A token of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind,
    /// How it is written.
    pub(super) text: &'t str,
    /// Where it begins, in bytes.
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A function or a keyword.
    Word,
    /// Names with a dot before each.
    Field,
    Number(u64),
    /// A string, without its quotes.
    Text(String),
    Open,
    Close,
}

/// Takes a template's text apart. Comments leave nothing, and trim markers take the white space beside them along.
pub(super) fn split(text: &str) -> Result<Vec<Piece<'_>>, NoTemplate> {
    let mut lexer = Lexer { text, at: 0 };
    let mut pieces = Vec::new();
    let mut trims = false;
    while let Some(open) = lexer.rest().find("{{") {
        let mut before = &lexer.rest()[..open];
        if trims {
            before = before.trim_start_matches(is_space);
        }
        lexer.at += open + 2;
        if let Some(rest) = lexer.rest().strip_prefix('-').filter(|rest| rest.starts_with(is_space)) {
            before = before.trim_end_matches(is_space);
            lexer.at = text.len() - rest.len() + 1;
        }
        pieces.extend(Some(before).filter(|text| !text.is_empty()).map(Piece::Text));
        match lexer.rest().starts_with("/*") {
            true => lexer.skip_comment()?,
            false => pieces.push(Piece::Action(lexer.read_tokens()?)),
        }
        trims = lexer.close()?;
    }
    let mut last = lexer.rest();
    if trims {
        last = last.trim_start_matches(is_space);
    }
    pieces.extend(Some(last).filter(|text| !text.is_empty()).map(Piece::Text));
    Ok(pieces)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn skip_comment(&mut self) -> Result<(), NoTemplate> {
        let end = self
            .rest()
            .find("*/")
            .ok_or_else(|| expected("`*/` at the end of a comment"))?;
        self.at += end + 2;
        Ok(())
    }

    /// Takes `}}`, and says whether it trims what comes behind it.
    fn close(&mut self) -> Result<bool, NoTemplate> {
        let trims = !self.rest().starts_with("}}");
        match self.is_at_end() {
            true => self.at += if trims { 4 } else { 2 },
            false => return Err(expected("`}}` behind `{{`")),
        }
        Ok(trims)
    }

    fn is_at_end(&self) -> bool {
        let rest = self.rest();
        let trimmed = rest.strip_prefix(is_space).and_then(|rest| rest.strip_prefix('-'));
        rest.starts_with("}}") || trimmed.is_some_and(|rest| rest.starts_with("}}"))
    }

    /// Reads the tokens before `}}`.
    fn read_tokens(&mut self) -> Result<Vec<Token<'t>>, NoTemplate> {
        let mut tokens: Vec<Token<'t>> = Vec::new();
        while !self.is_at_end() {
            let Some(next) = self.rest().chars().next() else {
                return Err(expected("`}}` behind `{{`"));
            };
            if is_space(next) {
                self.at += 1;
                continue;
            }
            let token = self.read_token(next)?;
            check_gap(tokens.last(), &token)?;
            tokens.push(token);
        }
        Ok(tokens)
    }

    fn read_token(&mut self, next: char) -> Result<Token<'t>, NoTemplate> {
        let (at, rest) = (self.at, self.rest());
        let (kind, len) = match next {
            '(' => (TokenKind::Open, 1),
            ')' => (TokenKind::Close, 1),
            '"' => read_quoted(rest)?,
            '`' => {
                let end = rest[1..].find('`').ok_or_else(|| expected("a closing `` ` ``"))?;
                (TokenKind::Text(rest[1..=end].to_owned()), end + 2)
            }
            '.' if rest[1..].starts_with(begins_name) => {
                let len = rest.find(|next| next != '.' && !is_in_name(next));
                (TokenKind::Field, len.unwrap_or(rest.len()))
            }
            next if begins_name(next) => {
                let len = rest.find(|next| !is_in_name(next)).unwrap_or(rest.len());
                (TokenKind::Word, len)
            }
            next if next.is_ascii_digit() => {
                let len = rest.find(|next| next != '.' && !is_in_name(next));
                read_number(&rest[..len.unwrap_or(rest.len())])?
            }
            '}' => return Err(expected("`}}` behind `{{`")),
            // Variables, pipelines, characters, the dot.
            _ => {
                let end = rest.find(|next| is_space(next) || next == '}').unwrap_or(rest.len());
                return Err(not_supported(&rest[..end.max(next.len_utf8())]));
            }
        };
        self.at += len;
        Ok(Token {
            kind,
            text: &rest[..len],
            at,
        })
    }
}

/// Checks that words do not touch each other. What touches a `)` from behind would be a field of what is in it.
fn check_gap(last: Option<&Token<'_>>, token: &Token<'_>) -> Result<(), NoTemplate> {
    let Some(last) = last.filter(|last| last.at + last.text.len() == token.at) else {
        return Ok(());
    };
    match (&last.kind, &token.kind) {
        (TokenKind::Close, TokenKind::Field) => Err(not_supported(token.text)),
        (TokenKind::Open | TokenKind::Close, _) | (_, TokenKind::Open | TokenKind::Close) => Ok(()),
        _ => Err(expected(format!("a space before `{}`", token.text))),
    }
}

fn read_quoted(rest: &str) -> Result<(TokenKind, usize), NoTemplate> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, next)) = characters.next() {
        match next {
            '"' => return Ok((TokenKind::Text(text), at + 1)),
            '\n' => break,
            '\\' => text.push(match characters.next() {
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                Some((_, same @ ('"' | '\\'))) => same,
                Some((_, other)) => return Err(not_supported(&format!("\\{other}"))),
                None => break,
            }),
            next => text.push(next),
        }
    }
    Err(expected("a closing `\"`"))
}

/// Reads a whole number in decimal; one that begins with 0 would be octal.
fn read_number(text: &str) -> Result<(TokenKind, usize), NoTemplate> {
    let number = text.parse().ok().filter(|_| text.len() == 1 || !text.starts_with('0'));
    let number = number.ok_or_else(|| not_supported(text))?;
    Ok((TokenKind::Number(number), text.len()))
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn begins_name(character: char) -> bool {
    character == '_' || character.is_alphabetic()
}

fn is_in_name(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

pub(super) fn expected(what: impl Into<String>) -> NoTemplate {
    NoTemplate::Expected(what.into())
}

pub(super) fn not_supported(what: &str) -> NoTemplate {
    NoTemplate::NotSupported(what.to_owned())
}

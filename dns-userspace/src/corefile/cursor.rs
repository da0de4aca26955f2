//! A place in a list of tokens, and the steps that the parser takes from it.

use super::lexer::{Kind, Token, Word};

/// A place in a list of tokens.
pub(super) struct Cursor<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl<'t> Cursor<'t> {
    /// The place before the first token.
    pub(super) fn new(tokens: &'t [Token]) -> Self {
        Self { tokens, at: 0 }
    }

    /// The token here.
    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.get(self.at)
    }

    /// Takes the token here.
    pub(super) fn next(&mut self) -> Option<&'t Token> {
        self.next_if(|_| true)
    }

    /// Takes the token here if it is accepted.
    pub(super) fn next_if(&mut self, accepts: impl Fn(&Token) -> bool) -> Option<&'t Token> {
        let token = self.peek().filter(|token| accepts(token))?;
        self.at += 1;
        Some(token)
    }

    /// Takes the words that are left on this line.
    pub(super) fn take_arguments(&mut self) -> Vec<Word> {
        let next = || self.next_if(|token| token.kind == Kind::Word && !token.begins_line);
        std::iter::from_fn(next).map(|token| token.word.clone()).collect()
    }

    /// Takes the tokens before the brace that closes the one just taken, and that brace.
    pub(super) fn take_until_closed(&mut self) -> Option<&'t [Token]> {
        let begin = self.at;
        let mut open = 1_usize;
        while let Some(token) = self.next() {
            match token.kind {
                Kind::Open => open += 1,
                Kind::Close => open -= 1,
                Kind::Word => {}
            }
            if open == 0 {
                return self.tokens.get(begin..self.at - 1);
            }
        }
        None
    }

    /// Names the token here as an error does.
    pub(super) fn describe(&self) -> String {
        self.peek().map_or_else(
            || "the end of the file".to_owned(),
            |token| format!("`{}`", token.word.text),
        )
    }
}

//! What reading a configuration finds on its way: errors, and what is accepted without being in force.

use std::fmt;

use super::error::{Error, Errors, Problem, Span};

/// A directive, or an option of one, that is understood but that kxdns does not act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotInForce {
    /// The directive, and the option after a space, such as `cache` or `forward max_fails`.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

impl fmt::Display for NotInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.span)
    }
}

/// Gathers findings, so that reading can go on after an error.
#[derive(Default)]
pub(super) struct Report {
    errors: Vec<Error>,
    not_in_force: Vec<NotInForce>,
}

impl Report {
    /// Adds an error.
    pub(super) fn add(&mut self, span: &Span, problem: Problem) {
        self.errors.push(span.error(problem));
    }

    /// Keeps a value, or adds the error in its place.
    pub(super) fn keep<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// Adds something that is not in force.
    pub(super) fn wait(&mut self, name: String, span: &Span) {
        self.not_in_force.push(NotInForce {
            name,
            span: span.clone(),
        });
    }

    /// Hands over what is not in force, if there was no error.
    pub(super) fn finish(self) -> Result<Vec<NotInForce>, Errors> {
        Errors::check(self.errors)?;
        Ok(self.not_in_force)
    }
}

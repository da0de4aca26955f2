//! What reading a configuration finds on its way: errors, and what kxdns does not support.

use super::error::{Error, Errors, Problem, Span};

/// Gathers findings, so that reading can go on after an error.
#[derive(Default)]
pub(super) struct Report {
    errors: Vec<Error>,
    unsupported: Vec<Error>,
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

    /// Adds a directive, or an option of one after a space, that CoreDNS has and kxdns has not.
    pub(super) fn refuse(&mut self, name: &str, span: &Span) {
        let what = format!("`{name}`");
        let way_out = "remove it, or leave serving to CoreDNS and run with --kernel-only";
        self.unsupported
            .push(span.error(Problem::NotSupported { what, way_out }));
    }

    /// Hands over what is not supported, if there was no error.
    pub(super) fn finish(self) -> Result<Vec<Error>, Errors> {
        Errors::check(self.errors)?;
        Ok(self.unsupported)
    }
}

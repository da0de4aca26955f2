//! What to tell of an API server that fails: what, why, and not too often.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use kube::core::Status;

use super::GONE;
use crate::cluster::object::Kind;

/// The time that lies between two lines at least.
const PAUSE: Duration = Duration::from_secs(30);

/// What a server says to a request that it does not understand, or does not allow: 400 and 422.
const NOT_UNDERSTOOD: [u16; 2] = [400, 422];

/// Why the objects of a kind are not followed.
#[derive(Debug)]
pub(super) enum Failure {
    /// They cannot be listed.
    List(kube::Error),
    /// They cannot be watched.
    Watch(kube::Error),
    /// The watch has ended with the server's refusal.
    Refused(Box<Status>),
    /// The connection has broken.
    Broken(io::Error),
}

impl Failure {
    /// Says whether the server was there and would not go on from where the watch was.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Watch(kube::Error::Api(_)) => true,
            Self::Refused(status) => status.code == GONE,
            Self::List(_) | Self::Watch(_) | Self::Broken(_) => false,
        }
    }

    /// Says whether the server may not know how to stream a list.
    pub(super) fn refuses_streamed_lists(&self) -> bool {
        matches!(self, Self::List(kube::Error::Api(status)) if NOT_UNDERSTOOD.contains(&status.code))
    }
}

/// Whether the API server fails, and what has been told of it.
#[derive(Debug)]
pub(super) struct Outage {
    url: String,
    told_at: Option<Instant>,
    /// Whether a failure has been told and its end has not.
    open: bool,
}

impl Outage {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            told_at: None,
            open: false,
        }
    }

    /// Takes a failure in and returns the line to tell, unless one was told a short time ago.
    pub(super) fn fail(&mut self, kind: Kind, failure: &Failure, now: Instant) -> Option<String> {
        let consequence = "trying again, what is known stays in force";
        self.is_due(now)
            .then(|| format!("API server {}: {}; {consequence}", self.url, describe(kind, failure)))
    }

    /// Takes in that the server answers and returns the line to tell, if a failure was told.
    pub(super) fn end(&mut self) -> Option<String> {
        std::mem::take(&mut self.open).then(|| format!("API server {} answers again", self.url))
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self
            .told_at
            .is_none_or(|told_at| now.saturating_duration_since(told_at) >= PAUSE);
        if due {
            (self.told_at, self.open) = (Some(now), true);
        }
        due
    }
}

/// Describes in one line what could not be done and why.
fn describe(kind: Kind, failure: &Failure) -> String {
    match failure {
        Failure::List(error) => format!("cannot list {kind}: {}", cause(error)),
        Failure::Watch(error) => format!("cannot watch {kind}: {}", cause(error)),
        Failure::Refused(status) => format!("cannot watch {kind}: {}", refusal(status)),
        Failure::Broken(error) => format!("cannot watch {kind}: {}", causes(error)),
    }
}

/// The innermost words on an error: those around them only say that a request failed.
fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return refusal(status);
    }
    error.source().map_or_else(|| error.to_string(), causes)
}

/// The words of an error and of those behind it; some repeat their source.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut causes: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        causes.retain(|outer| !outer.contains(&text));
        causes.push(text);
        next = error.source();
    }
    causes.join(": ")
}

fn refusal(status: &Status) -> String {
    format!("{} {}: {}", status.code, status.reason, status.message)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_failure_is_due_at_first_and_every_30_seconds() {
        let mut outage = Outage::new("http://api".into());
        let start = Instant::now();
        let due: Vec<_> = [0, 1, 29, 30, 31, 59, 60]
            .into_iter()
            .filter(|seconds| outage.is_due(start + Duration::from_secs(*seconds)))
            .collect();
        assert_eq!(due, [0, 30, 60]);
    }

    #[test]
    fn an_end_is_told_once_and_only_after_a_failure_that_was() {
        let mut outage = Outage::new("http://api".into());
        let start = Instant::now();
        let failure = Failure::Broken(io::ErrorKind::UnexpectedEof.into());
        assert_eq!(outage.end(), None);
        outage.fail(Kind::Service, &failure, start).unwrap();
        assert_eq!(outage.end().unwrap(), "API server http://api answers again");
        assert_eq!(outage.end(), None);
        assert_eq!(outage.fail(Kind::Pod, &failure, start + Duration::from_secs(1)), None);
        assert_eq!(
            outage.end(),
            None,
            "a failure that nobody read about has no end to read about"
        );
    }

    #[test]
    fn says_what_failed_and_why_in_one_line() {
        let unreachable = kube::Error::Service(Box::new(io::Error::other("connection refused")));
        let status = Status {
            code: 403,
            reason: "Forbidden".into(),
            message: "services is forbidden".into(),
            ..Default::default()
        };
        let cases = [
            (Failure::List(unreachable), "cannot list Services: connection refused"),
            (
                Failure::Watch(kube::Error::Api(status.clone().boxed())),
                "cannot watch Services: 403 Forbidden: services is forbidden",
            ),
            (
                Failure::Refused(Box::new(status)),
                "cannot watch Services: 403 Forbidden: services is forbidden",
            ),
            (
                Failure::Broken(io::ErrorKind::UnexpectedEof.into()),
                "cannot watch Services: unexpected end of file",
            ),
        ];
        for (failure, expected) in cases {
            assert_eq!(describe(Kind::Service, &failure), expected);
        }
    }
}

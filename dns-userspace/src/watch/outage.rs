//! What to tell of an API server that fails: what, why, and not too often.

use std::error::Error;
use std::time::{Duration, Instant};

use kube::runtime::watcher;

/// The time that lies between two lines at least.
const PAUSE: Duration = Duration::from_secs(30);

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
    pub(super) fn fail(&mut self, error: &watcher::Error, now: Instant) -> Option<String> {
        let consequence = "trying again, what is known stays in force";
        self.is_due(now)
            .then(|| format!("API server {}: {}; {consequence}", self.url, describe(error)))
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
fn describe(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => {
            format!("cannot list Services: {}", cause(error))
        }
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            format!("cannot watch Services: {}", cause(error))
        }
        watcher::Error::WatchError(status) => format!("cannot watch Services: {}", refusal(status)),
        watcher::Error::NoResourceVersion => "it sends Services without a resourceVersion".into(),
    }
}

/// The innermost words on an error: those around them only say that a request failed.
fn cause(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return refusal(status);
    }
    let mut causes: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        let text = error.to_string();
        // Some errors repeat their source.
        causes.retain(|outer| !outer.contains(&text));
        causes.push(text);
        next = error.source();
    }
    if causes.is_empty() {
        error.to_string()
    } else {
        causes.join(": ")
    }
}

fn refusal(status: &kube::core::Status) -> String {
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
        assert_eq!(outage.end(), None);
        outage.fail(&watcher::Error::NoResourceVersion, start).unwrap();
        assert_eq!(outage.end().unwrap(), "API server http://api answers again");
        assert_eq!(outage.end(), None);
        assert_eq!(
            outage.fail(&watcher::Error::NoResourceVersion, start + Duration::from_secs(1)),
            None
        );
        assert_eq!(
            outage.end(),
            None,
            "a failure that nobody read about has no end to read about"
        );
    }

    #[test]
    fn says_what_failed_and_why_in_one_line() {
        let unreachable = kube::Error::Service(Box::new(io::Error::other("connection refused")));
        let status = kube::core::Status {
            code: 403,
            reason: "Forbidden".into(),
            message: "services is forbidden".into(),
            ..Default::default()
        };
        let cases = [
            (
                watcher::Error::InitialListFailed(unreachable),
                "cannot list Services: connection refused",
            ),
            (
                watcher::Error::WatchStartFailed(kube::Error::Api(status.clone().boxed())),
                "cannot watch Services: 403 Forbidden: services is forbidden",
            ),
            (
                watcher::Error::WatchError(status.boxed()),
                "cannot watch Services: 403 Forbidden: services is forbidden",
            ),
            (
                watcher::Error::NoResourceVersion,
                "it sends Services without a resourceVersion",
            ),
        ];
        for (error, expected) in cases {
            assert_eq!(describe(&error), expected);
        }
    }
}

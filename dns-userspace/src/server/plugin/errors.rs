//! `errors`: tells what went wrong when no plugin could reply, as CoreDNS tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::sleep;

use super::{Failure, Next, Outcome, Plugin, Serving};
use crate::corefile::{Consolidate, ErrorLevel, ErrorLog, describe_duration};
use crate::server::journal::{Journal, Level};
use crate::server::query::Query;

/// Tells of errors, those that are alike together.
pub(super) struct Errors {
    gathering: Vec<Arc<Gathering>>,
    journal: Journal,
}

/// Errors that are told together.
struct Gathering {
    config: Consolidate,
    count: AtomicU32,
}

impl Errors {
    pub(super) fn new(config: &ErrorLog, journal: &Journal) -> Self {
        let gathering = config.consolidated.iter().map(|config| {
            Arc::new(Gathering {
                config: config.clone(),
                count: AtomicU32::new(0),
            })
        });
        Self {
            gathering: gathering.collect(),
            journal: journal.clone(),
        }
    }

    fn tell(&self, query: &Query, failure: &Failure) {
        let Some(error) = &failure.error else { return };
        let alike = self.gathering.iter().find(|it| it.config.pattern.is_match(error));
        if alike.is_some_and(|alike| self.gather(alike)) {
            return;
        }
        let level = alike.map_or(Level::Error, |alike| level(alike.config.level));
        let (rcode, name, qtype) = (failure.rcode.to_int(), query.name(), query.message.question.qtype);
        let line = format!("plugin/errors: {rcode} {name} {qtype}: {error}");
        self.journal.write(level, &line);
    }

    /// Counts an error; false if it is to be told at once all the same.
    fn gather(&self, gathering: &Arc<Gathering>) -> bool {
        if gathering.count.fetch_add(1, Ordering::Relaxed) > 0 {
            return true;
        }
        let (all, journal) = (gathering.clone(), self.journal.clone());
        tokio::spawn(async move {
            sleep(all.config.period).await;
            all.tell(&journal);
        });
        !gathering.config.shows_first
    }
}

impl Gathering {
    /// Tells how many there were, unless that was one and has been told.
    fn tell(&self, journal: &Journal) {
        let Consolidate {
            period,
            pattern,
            shows_first,
            ..
        } = &self.config;
        let count = self.count.swap(0, Ordering::Relaxed);
        if count > u32::from(*shows_first) {
            let period = describe_duration(*period);
            let line = format!("plugin/errors: {count} errors like '{pattern}' occurred in last {period}");
            journal.write(level(self.config.level), &line);
        }
    }
}

impl Plugin for Errors {
    fn serve<'a>(&'a self, query: &'a Query, next: Next<'a>) -> Serving<'a> {
        Box::pin(async move {
            let outcome = next.serve(query).await;
            if let Outcome::Failure(failure) = &outcome {
                self.tell(query, failure);
            }
            outcome
        })
    }
}

fn level(level: ErrorLevel) -> Level {
    match level {
        ErrorLevel::Debug => Level::Debug,
        ErrorLevel::Info => Level::Info,
        ErrorLevel::Warning => Level::Warning,
        ErrorLevel::Error => Level::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Lines;
    use crate::server::query::Transport;
    use crate::server::testing::*;

    #[tokio::test]
    async fn errors_are_told_with_code_name_and_type() {
        let lines = Lines::of("errors\nforward example.org 127.0.0.1:1 {\nmax_connect_attempts 1\n}");
        lines.ask(&query("WWW.Example.com", 28)).await;
        assert_eq!(
            lines.next(),
            "[ERROR] plugin/errors: 2 www.example.com. AAAA: no next plugin found"
        );
        lines.ask(&query("a.example.org", 1)).await;
        let line = lines.next();
        assert!(
            line.starts_with("[ERROR] plugin/errors: 2 a.example.org. A: read udp 127.0.0.1:"),
            "{line}"
        );
        assert!(line.ends_with("->127.0.0.1:1: read: connection refused"), "{line}");
    }

    #[tokio::test]
    async fn a_failure_that_an_upstream_replied_with_is_none() {
        let (upstream, _) = script(Transport::Udp, |query| {
            let mut reply = query.to_vec();
            (reply[2], reply[3]) = (0x81, 2);
            vec![reply]
        })
        .await;
        let lines = Lines::of(&format!("errors\nforward . {upstream}"));
        lines.ask(&query("a", 1)).await;
        assert_eq!(lines.rest(), "");
    }

    #[tokio::test]
    async fn those_that_are_alike_are_told_together() {
        for (options, expected) in [
            (
                "consolidate 50ms \"no next\"",
                &["[ERROR] plugin/errors: 3 errors like 'no next' occurred in last 50ms"][..],
            ),
            (
                "consolidate 50ms \"no next\" warning show_first",
                &[
                    "[WARNING] plugin/errors: 2 a. A: no next plugin found",
                    "[WARNING] plugin/errors: 3 errors like 'no next' occurred in last 50ms",
                ],
            ),
            (
                "consolidate 50ms \"^timeout$\"\nconsolidate 50ms .* info",
                &["[INFO] plugin/errors: 3 errors like '.*' occurred in last 50ms"],
            ),
        ] {
            let lines = Lines::of(&format!("errors {{\n{options}\n}}\nforward b 127.0.0.1:1"));
            for _ in 0..3 {
                lines.ask(&query("a", 1)).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            for line in expected {
                assert_eq!(&lines.next(), line);
            }
            assert_eq!(lines.rest(), "", "{options}");
        }
    }
}

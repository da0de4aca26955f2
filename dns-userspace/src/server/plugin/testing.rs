//! What the tests of plugins share.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::server::journal::Journal;
use crate::server::respond::Responder;
use crate::server::testing::{UDP, context, responder_in};
use crate::server::{Context, Metrics};

/// A server whose lines are read.
pub(super) struct Lines {
    responder: Arc<Responder>,
    written: Receiver<Vec<u8>>,
}

struct Output(Sender<Vec<u8>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The lines of a server of one block with these directives.
    pub(super) fn of(directives: &str) -> Self {
        let (sender, written) = channel();
        let mut context = context();
        context.journal = Journal::to(Output(sender), Default::default()).unwrap();
        Self {
            responder: responder_in(&context, directives),
            written,
        }
    }

    /// Lets the plugins begin what they do beside.
    pub(super) fn start(&self) {
        self.responder.start(UDP.address);
    }

    /// The reply to a query, if there is one.
    pub(super) async fn ask(&self, query: &[u8]) -> Option<Vec<u8>> {
        self.responder.respond(query, UDP).await
    }

    /// The next line, which must have come alone.
    pub(super) fn next(&self) -> String {
        let bytes = self.written.recv_timeout(Duration::from_secs(20)).unwrap();
        String::from_utf8(bytes).unwrap().trim_end().to_owned()
    }

    /// The next line that is another than this.
    pub(super) fn next_but(&self, line: &str) -> String {
        let mut lines = std::iter::repeat_with(|| self.next());
        lines.find(|next| next != line).unwrap()
    }

    /// All lines that are yet to come.
    pub(super) fn rest(self) -> String {
        drop(self.responder);
        let rest = std::iter::from_fn(|| self.written.recv_timeout(Duration::from_secs(20)).ok());
        String::from_utf8(rest.flatten().collect()).unwrap()
    }
}

/// What plugins share, and where they count.
pub(super) fn counted() -> (Context, Registry) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (Context { metrics, ..context() }, registry)
}

/// Checks that these lines stand among the metrics.
pub(super) fn assert_counts(registry: &Registry, lines: &[&str]) {
    let mut text = String::new();
    text::encode(&mut text, registry).unwrap();
    for line in lines {
        assert!(text.lines().any(|found| found == *line), "{line} in {text}");
    }
}

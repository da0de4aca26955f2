//! What the tests of plugins share.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::server::journal::Journal;
use crate::server::respond::Responder;
use crate::server::testing::{UDP, context, responder_in};

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

    pub(super) async fn ask(&self, query: &[u8]) {
        self.responder.respond(query, UDP).await;
    }

    /// The next line, which must have come alone.
    pub(super) fn next(&self) -> String {
        let bytes = self.written.recv_timeout(Duration::from_secs(20)).unwrap();
        String::from_utf8(bytes).unwrap().trim_end().to_owned()
    }

    /// All lines that are yet to come.
    pub(super) fn rest(self) -> String {
        drop(self.responder);
        let rest = std::iter::from_fn(|| self.written.recv_timeout(Duration::from_secs(20)).ok());
        String::from_utf8(rest.flatten().collect()).unwrap()
    }
}

//! What the demo prints: plain aligned text, with a little colour on a terminal.

use std::io::{IsTerminal, Write, stdout};

use anyhow::{Error, Result};

/// Standard output.
pub(crate) struct Page {
    coloured: bool,
}

impl Page {
    pub(crate) fn to_stdout() -> Page {
        Page {
            coloured: stdout().is_terminal(),
        }
    }

    /// Begins a new part of the story.
    pub(crate) fn heading(&self, text: &str) -> Result<()> {
        let text = self.paint("1", text);
        self.line(&format!("\n{text}"))
    }

    /// Prints an explanation or a table's head in a quieter colour.
    pub(crate) fn note(&self, text: &str) -> Result<()> {
        let text = self.paint("2", text);
        self.line(&text)
    }

    pub(crate) fn line(&self, text: &str) -> Result<()> {
        let mut stdout = stdout().lock();
        writeln!(stdout, "{}", text.trim_end())?;
        Ok(stdout.flush()?)
    }

    /// Tells what went wrong, on standard error.
    pub(crate) fn error(&self, error: &Error) {
        // There is nowhere else to tell it.
        let _ = writeln!(std::io::stderr(), "demo: {error:#}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

//! What is told: progress on standard error, figures on standard output.

/// Says on standard error what is being done.
#[expect(clippy::print_stderr, reason = "the person at the terminal waits for minutes")]
pub(crate) fn progress(line: &str) {
    eprintln!("bench-scale: {line}");
}

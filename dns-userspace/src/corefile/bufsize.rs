//! The `bufsize` directive: how long UDP replies may be, whatever clients allow.

use super::number::read_number;
use super::parser::Statement;
use super::report::Report;
use super::shape::{Count, Shape};

/// The longest that passes most networks in one piece (DNS Flag Day 2020), in bytes.
const DEFAULT: u16 = 1232;

pub(super) const SHAPE: Shape = Shape {
    arguments: Count::between(0, 1),
    options: &[],
};

/// Reads `bufsize [SIZE]`, in bytes.
pub(super) fn read(statement: &Statement, report: &mut Report) -> u16 {
    let word = statement.arguments.first();
    let size = word.and_then(|word| report.keep(read_number(word, 512..=4096, "a size from 512 to 4096 bytes")));
    size.unwrap_or(DEFAULT)
}

#[cfg(test)]
mod tests {
    use crate::corefile::parse;

    fn read(directive: &str) -> Result<Option<u16>, String> {
        let config = parse("Corefile".as_ref(), &format!(".:53 {{\n{directive}\n}}"));
        let config = config.map_err(|errors| errors.to_string())?;
        config.check_support().unwrap();
        Ok(config.servers[0].bufsize)
    }

    #[test]
    fn reads_a_size_within_limits() {
        assert_eq!(read("any"), Ok(None));
        assert_eq!(read("bufsize"), Ok(Some(1232)));
        assert_eq!(read("bufsize 512"), Ok(Some(512)));
        assert_eq!(read("bufsize 4096"), Ok(Some(4096)));
        for word in ["511", "4097", "-1", "1k", "70000"] {
            let expected = format!("Corefile:2:9: expected a size from 512 to 4096 bytes, found `{word}`");
            assert_eq!(read(&format!("bufsize {word}")), Err(expected));
        }
        let error = read("bufsize 512 512").unwrap_err();
        assert_eq!(error, "Corefile:2:1: `bufsize` takes at most 1 argument, found 2");
        assert_eq!(
            read("any all").unwrap_err(),
            "Corefile:2:1: `any` takes no argument, found 1"
        );
    }
}

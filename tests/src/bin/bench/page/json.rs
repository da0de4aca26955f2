//! The samples as JSON to be compared line by line: each value of an object has a line, and a list of numbers has one.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// A value as such text.
pub(super) fn to_text(value: &impl Serialize) -> Result<String> {
    let mut text = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut text, Lines::default()))?;
    text.push(b'\n');
    Ok(String::from_utf8(text)?)
}

/// Breaks lines in objects alone.
#[derive(Default)]
struct Lines {
    depth: usize,
}

impl Lines {
    fn begin_line(&self, writer: &mut (impl Write + ?Sized)) -> io::Result<()> {
        write!(writer, "\n{:width$}", "", width = 2 * self.depth)
    }
}

impl Formatter for Lines {
    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(b"{")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b"," })?;
        self.begin_line(writer)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        self.begin_line(writer)?;
        writer.write_all(b"}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Row;

    #[test]
    fn all_samples_of_a_row_stand_on_a_line() {
        let row = |name: &str, cells: &[&[f64]]| Row {
            name: name.to_owned(),
            cells: cells.iter().map(|cell| cell.to_vec()).collect(),
        };
        let rows = [row("a", &[&[1.0, 2.5], &[]]), row("b", &[])];
        let text = r#"[{
  "name": "a",
  "cells": [[1.0, 2.5], []]
}, {
  "name": "b",
  "cells": []
}]
"#;
        assert_eq!(to_text(&rows).unwrap(), text);
    }
}

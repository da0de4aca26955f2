//! Writing a cpio archive in the "newc" format, of which the kernel makes its first root file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive that is being written. Paths begin without a slash, and a folder comes before what it holds.
pub(super) struct Archive<W> {
    output: W,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(output: W) -> Self {
        Self { output }
    }

    /// Adds an empty folder.
    pub(super) fn add_folder(&mut self, path: &str) -> io::Result<()> {
        self.add(path, FOLDER, &[])
    }

    /// Adds a file that everyone may run.
    pub(super) fn add_program(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.add(path, PROGRAM, content)
    }

    /// Ends the archive and returns what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.add("TRAILER!!!", 0, &[])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn add(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let len = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name = [path.as_bytes(), &[0]].concat();
        // Inode, mode, user, group, links, time, length, four numbers of devices, length of the name, checksum.
        let fields = [0, mode, 0, 0, 1, 0, len, 0, 0, 0, 0, name.len() as u32, 0];
        let header = fields
            .iter()
            .fold(String::from("070701"), |header, field| header + &format!("{field:08x}"));
        self.write_padded(&[header.as_bytes(), &name].concat())?;
        self.write_padded(content)
    }

    /// Every part begins at a multiple of four bytes.
    fn write_padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.output.write_all(&[0; 3][..bytes.len().wrapping_neg() % 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_that_the_format_says() {
        let mut archive = Archive::new(Vec::new());
        archive.add_folder("bin").unwrap();
        archive.add_program("bin/a", b"hello").unwrap();
        let bytes = archive.finish().unwrap();
        let zeros = |count| "0".repeat(count);
        let expected = [
            format!(
                "070701{}000041ed{}00000001{}00000004{}bin\0\0\0",
                zeros(8),
                zeros(16),
                zeros(48),
                zeros(8)
            ),
            format!(
                "070701{}000081ed{}00000001{}00000005{}00000006{}bin/a\0hello\0\0\0",
                zeros(8),
                zeros(16),
                zeros(8),
                zeros(32),
                zeros(8)
            ),
            format!(
                "070701{}00000001{}0000000b{}TRAILER!!!\0\0\0\0",
                zeros(32),
                zeros(48),
                zeros(8)
            ),
        ];
        assert_eq!(String::from_utf8(bytes).unwrap(), expected.concat());
    }
}

//! How is an initial RAM file system written? In the kernel's `newc` format, which may be several archives in a row.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context as _, Result};
use cpio::newc::{Builder, ModeFileType};

const DIRECTORY: u32 = 0o755;
const PROGRAM: u32 = 0o755;
/// The kernel reads archives at this alignment; between them there may be zeros.
const ALIGNMENT: u64 = 512;

/// An archive as it is written. Directories are made as they are needed.
#[derive(Debug)]
pub struct Archive<W> {
    output: W,
    written: u64,
    directories: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub fn new(output: W) -> Self {
        Self {
            output,
            written: 0,
            directories: BTreeSet::new(),
        }
    }

    /// A copy of a file, which anyone may run.
    pub fn file(&mut self, at: &str, from: &Path) -> Result<()> {
        let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.bytes(at, &bytes)
    }

    pub fn bytes(&mut self, at: &str, bytes: &[u8]) -> Result<()> {
        self.parents(at)?;
        self.entry(at, ModeFileType::Regular, PROGRAM, bytes)
    }

    pub fn link(&mut self, at: &str, to: &str) -> Result<()> {
        self.parents(at)?;
        self.entry(at, ModeFileType::Symlink, 0o777, to.as_bytes())
    }

    pub fn directory(&mut self, at: &str) -> Result<()> {
        self.parents(at)?;
        if !self.directories.insert(at.to_owned()) {
            return Ok(());
        }
        self.entry(at, ModeFileType::Directory, DIRECTORY, &[])
    }

    /// Everything below a directory.
    pub fn tree(&mut self, at: &str, from: &Path) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
            let entry = entry?;
            let name = format!("{at}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.tree(&name, &entry.path())?;
            } else {
                self.file(&name, &entry.path())?;
            }
        }
        Ok(())
    }

    /// Ends it, so that another one can follow.
    pub fn finish(mut self) -> Result<W> {
        let mut counter = Counter::new(&mut self.output);
        cpio::newc::trailer(&mut counter)?;
        self.written += counter.count;
        let padding = self.written.next_multiple_of(ALIGNMENT) - self.written;
        io::copy(
            &mut io::Read::take(io::repeat(0), padding),
            &mut self.output,
        )?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn parents(&mut self, at: &str) -> Result<()> {
        match at.rsplit_once('/') {
            Some((parent, _)) if !parent.is_empty() => self.directory(parent),
            _ => Ok(()),
        }
    }

    fn entry(&mut self, at: &str, kind: ModeFileType, mode: u32, bytes: &[u8]) -> Result<()> {
        let size = u32::try_from(bytes.len())
            .with_context(|| format!("{at} has {} bytes, 4 GiB are the limit", bytes.len()))?;
        let mut counter = Counter::new(&mut self.output);
        let mut writer = Builder::new(at)
            .mode(mode)
            .set_mode_file_type(kind)
            .write(&mut counter, size);
        writer.write_all(bytes)?;
        writer.finish()?;
        self.written += counter.count;
        Ok(())
    }
}

/// Counts what goes through.
struct Counter<W> {
    output: W,
    count: u64,
}

impl<W: Write> Counter<W> {
    fn new(output: W) -> Self {
        Self { output, count: 0 }
    }
}

impl<W: Write> Write for Counter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let mut archive = Archive::new(Vec::new());
        archive.bytes("usr/bin/true", b"ELF").unwrap();
        archive.bytes("usr/bin/false", b"").unwrap();
        archive.link("bin", "usr/bin").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let mut found = Vec::new();
        let mut rest: &[u8] = &bytes;
        loop {
            let mut entry = cpio::newc::Reader::new(rest).unwrap();
            if entry.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.entry();
            found.push((header.name().to_owned(), header.mode(), content));
            rest = entry.finish().unwrap();
        }
        let expected = [
            ("usr", 0o040_755, ""),
            ("usr/bin", 0o040_755, ""),
            ("usr/bin/true", 0o100_755, "ELF"),
            ("usr/bin/false", 0o100_755, ""),
            ("bin", 0o120_777, "usr/bin"),
        ];
        let expected =
            expected.map(|(name, mode, content)| (name.to_owned(), mode, content.to_owned()));
        assert_eq!(found, expected);
    }
}

//! Files that a configuration includes.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::place::Source;

/// What no configuration has, but a device or a log may.
const LARGEST: u64 = 16 << 20;

/// Finds the files that a pattern names.
pub trait Files {
    /// # Errors
    /// Why none of them can be read, in words.
    fn matching(&self, pattern: &str) -> Result<Vec<Source>, String>;
}

/// On this machine, relative to the directory of the main file, as nginx has it.
#[derive(Debug)]
pub struct Disk {
    directory: Option<PathBuf>,
}

impl Disk {
    /// Those beside a file.
    pub fn beside(main: &Path) -> Self {
        Self {
            directory: main.parent().map(Path::to_owned),
        }
    }

    /// Only those with absolute names.
    pub const fn absolute() -> Self {
        Self { directory: None }
    }

    fn whole_pattern(&self, pattern: &str) -> Result<String, String> {
        if Path::new(pattern).is_absolute() {
            return Ok(pattern.to_owned());
        }
        let directory = self
            .directory
            .as_ref()
            .ok_or("relative to a file, but standard input is none")?;
        let directory = directory
            .to_str()
            .ok_or("the name of the directory is not UTF-8")?;
        if directory.is_empty() {
            return Ok(pattern.to_owned());
        }
        // Only the pattern has wildcards.
        Ok(format!("{}/{pattern}", glob::Pattern::escape(directory)))
    }
}

impl Files for Disk {
    fn matching(&self, pattern: &str) -> Result<Vec<Source>, String> {
        let whole = self.whole_pattern(pattern)?;
        let paths = glob::glob(&whole).map_err(|error| error.to_string())?;
        let mut sources = Vec::new();
        for path in paths {
            let path = path.map_err(|error| error.to_string())?;
            let bytes = read(&path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            sources.push(Source::new(&path.display().to_string(), &bytes));
        }
        let has_wildcards = pattern.contains(['*', '?', '[']);
        if sources.is_empty() && !has_wildcards {
            return Err("no such file".to_owned());
        }
        Ok(sources)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Before it is opened: that would wait for the writer of a pipe.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("larger than 16 MiB"));
    }
    Ok(bytes)
}

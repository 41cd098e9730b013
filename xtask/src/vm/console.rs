//! What does the kernel of a VM say, and is it in trouble?

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// Words that kernels have used for it since 5.10, and what that means.
const TROUBLE: &[(&str, &str)] = &[
    ("Kernel panic - not syncing", "kernel panic"),
    ("BUG: soft lockup", "soft lockup"),
    ("watchdog: BUG: hard lockup", "hard lockup"),
    ("detected stalls on CPUs", "RCU stall"),
    ("self-detected stall on CPU", "RCU stall"),
];
const TAIL_LINES: usize = 25;

/// The file that a machine's console goes to.
#[derive(Debug)]
pub struct Console {
    path: PathBuf,
    read: u64,
    /// The end of what was read: a line may come in two parts.
    rest: String,
}

impl Console {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            read: 0,
            rest: String::new(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads on, and says what the trouble is if a new line speaks of one.
    pub fn trouble(&mut self) -> Option<String> {
        let text = self.new_text().ok()?;
        self.rest.push_str(&text);
        let end = self.rest.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = self.rest.drain(..end).collect();
        lines.lines().find_map(recognise)
    }

    fn new_text(&mut self) -> std::io::Result<String> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        self.read += file.read_to_end(&mut bytes)? as u64;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).replace('\r', "");
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

fn recognise(line: &str) -> Option<String> {
    let (words, meaning) = TROUBLE.iter().find(|(words, _)| line.contains(words))?;
    let detail = line.split(words).nth(1).unwrap_or_default();
    Some(format!("{meaning}{}", detail.trim_end()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn trouble_is_recognised_by_what_kernels_say() {
        for (line, expected) in [
            (
                "[    9.1] Kernel panic - not syncing: sysrq triggered crash\r",
                Some("kernel panic: sysrq triggered crash"),
            ),
            (
                "watchdog: BUG: soft lockup - CPU#1 stuck for 66s! [test:99]",
                Some("soft lockup - CPU#1 stuck for 66s! [test:99]"),
            ),
            (
                "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
                Some("RCU stall/tasks:"),
            ),
            (
                "rcu: INFO: rcu_sched self-detected stall on CPU",
                Some("RCU stall"),
            ),
            ("Run /init as init process", None),
        ] {
            assert_eq!(recognise(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_line_in_two_parts_is_one_line() {
        let path =
            std::env::temp_dir().join(format!("console-of-a-machine-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        let mut console = Console::new(&path);
        write!(file, "fine\nKernel panic - not").unwrap();
        assert_eq!(console.trouble(), None);
        writeln!(file, " syncing: x").unwrap();
        assert_eq!(console.trouble().as_deref(), Some("kernel panic: x"));
        assert_eq!(console.trouble(), None);
        assert_eq!(console.tail(), "fine\nKernel panic - not syncing: x");
        std::fs::remove_file(&path).unwrap();
    }
}

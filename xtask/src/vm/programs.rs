//! Which programs are in the image, and which libraries do they need?

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{paths, process};

/// What tests start, and what a person in the shell is glad of.
const NEEDED: &[&str] = &[
    "bash",
    "bpftool",
    "cat",
    "curl",
    "dnsmasq",
    "ethtool",
    "ip",
    "kill",
    "ls",
    "modprobe",
    "nginx",
    "ping",
    "ps",
    "sh",
    "sha256sum",
    "sleep",
    "sysctl",
    "tc",
    "tracepath",
    "traceroute",
    "true",
    "false",
    "umount",
    "unshare",
];
/// Left out where this machine does not have them.
const WELCOME: &[&str] = &[
    "bridge", "cp", "dd", "df", "dmesg", "du", "echo", "env", "find", "free", "grep", "head",
    "ipvsadm", "ldd", "less", "lsmod", "mkdir", "mount", "mv", "nft", "nc", "pgrep", "pkill", "rm",
    "sed", "seq", "socat", "ss", "strace", "stty", "sort", "tail", "tcpdump", "timeout", "top",
    "touch", "tr", "uname", "wc", "which",
];

/// A program of this machine under the name that it is started by.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Program {
    pub name: String,
    pub path: PathBuf,
}

/// All of them.
///
/// # Errors
/// One that is needed is not there.
pub fn find() -> Result<Vec<Program>> {
    let mut found = Vec::new();
    for name in NEEDED {
        let path = paths::program(name).with_context(|| {
            format!("`{name}` is missing, which goes into the image of the VMs; `cargo xtask setup` installs the tools of the tests")
        })?;
        found.push(program(name, &path)?);
    }
    for name in WELCOME {
        if let Some(path) = paths::program(name) {
            found.push(program(name, &path)?);
        }
    }
    Ok(found)
}

fn program(name: &str, path: &Path) -> Result<Program> {
    Ok(Program {
        name: name.to_owned(),
        path: path.canonicalize()?,
    })
}

/// The libraries of these programs and the loader, by the paths that they are opened by.
pub fn libraries<'a>(programs: impl Iterator<Item = &'a Path>) -> Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    let programs: Vec<&Path> = programs.collect();
    // One after the other: the linker's list is per program, and a script among them makes ldd fail.
    for program in programs {
        let mut ldd = Command::new("ldd");
        if let Ok(answer) = process::answer(ldd.arg(program)) {
            all.extend(listed(&answer).map(PathBuf::from));
        }
    }
    Ok(all)
}

/// `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or the loader: `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn listed(answer: &str) -> impl Iterator<Item = &str> {
    answer.lines().filter_map(|line| {
        line.split_whitespace()
            .find(|word| word.starts_with('/') && !word.ends_with(':'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let answer = "\tlinux-vdso.so.1 (0x00007ffd)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f00)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f01)\n";
        let found: Vec<&str> = listed(answer).collect();
        assert_eq!(
            found,
            [
                "/lib/x86_64-linux-gnu/libc.so.6",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
        assert_eq!(listed("\tstatically linked\n").count(), 0);
    }

    #[test]
    fn this_machine_has_a_shell_and_its_libraries() {
        let sh = program("sh", Path::new("/bin/sh")).unwrap();
        let libraries = libraries([sh.path.as_path()].into_iter()).unwrap();
        assert!(
            libraries
                .iter()
                .any(|path| path.to_string_lossy().contains("libc.so"))
        );
    }
}

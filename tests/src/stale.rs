//! Removing namespaces, processes, mounts and directories, also those of a run that was killed.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    netns,
    scratch::{Scratch, owner},
};

/// Marks what this process made as meant to outlive it.
const KEPT: &str = "kept";

/// Which leftovers to remove.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leftovers {
    /// Those of processes that died without meaning to leave anything.
    Lost,
    /// Also those that [`keep`] was said of.
    Kept,
}

/// Keeps what this process made, when it ends, until somebody removes [`Leftovers::Kept`]. The values themselves have
/// to be forgotten.
pub fn keep() -> anyhow::Result<()> {
    std::mem::forget(Scratch::new(KEPT)?);
    Ok(())
}

/// Removes what dead processes left, and says what that was.
pub fn remove(leftovers: Leftovers) -> anyhow::Result<Vec<String>> {
    let directories = dead(&std::env::temp_dir())?;
    let namespaces = dead(Path::new(netns::DIRECTORY))?;
    let is_kept = |pid: u32| {
        let marks = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            owner(&name) == Some(pid) && name.ends_with(&format!("-{KEPT}"))
        };
        leftovers == Leftovers::Lost && directories.iter().any(|(_, path)| marks(path))
    };
    let mut removed = Vec::new();
    for (pid, path) in &namespaces {
        if !is_kept(*pid) {
            remove_netns(path)?;
            removed.push(path.display().to_string());
        }
    }
    for (pid, path) in &directories {
        if !is_kept(*pid) {
            remove_scratch(path)?;
            removed.push(path.display().to_string());
        }
    }
    Ok(removed)
}

/// Kills the processes inside and removes the name. The namespace itself goes with its last user.
pub(crate) fn remove_netns(path: &Path) -> anyhow::Result<()> {
    for pid in inhabitants(path)? {
        // It may have ended meanwhile.
        let _ = kill(pid, Signal::SIGKILL);
    }
    gone_is_fine(umount2(path, MntFlags::MNT_DETACH).map_err(io::Error::from))
        .with_context(|| format!("unmounting {}", path.display()))?;
    gone_is_fine(fs::remove_file(path)).with_context(|| format!("removing {}", path.display()))
}

fn remove_scratch(path: &Path) -> anyhow::Result<()> {
    // Usually nothing is mounted there.
    let _ = umount2(&path.join("bpf"), MntFlags::MNT_DETACH);
    gone_is_fine(fs::remove_dir_all(path)).with_context(|| format!("removing {}", path.display()))
}

/// Two runs may clean up at the same time.
fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Ok(()),
        result => result,
    }
}

/// The processes in a namespace, but for this one.
fn inhabitants(netns: &Path) -> anyhow::Result<Vec<Pid>> {
    let Ok(namespace) = fs::metadata(netns) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let is_inside = fs::metadata(entry.path().join("ns/net"))
            .is_ok_and(|own| own.ino() == namespace.ino() && own.dev() == namespace.dev());
        if is_inside && pid != std::process::id().cast_signed() {
            found.push(Pid::from_raw(pid));
        }
    }
    Ok(found)
}

/// What is in a directory whose maker is dead.
fn dead(directory: &Path) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", directory.display()))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if let Some(pid) = owner(&entry.file_name().to_string_lossy())
            && !Path::new("/proc").join(pid.to_string()).exists()
        {
            found.push((pid, entry.path()));
        }
    }
    Ok(found)
}

//! Directories for logs, sockets and pins, and the names that say whose they are.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// What is made on the machine is called `shunt-PID-N-ROLE`: another run sees whether its maker lives.
pub(crate) const PREFIX: &str = "shunt-";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A name that nothing else on the machine has.
pub(crate) fn unique_name(role: &str) -> String {
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{n}-{role}", std::process::id())
}

/// The process that made the thing of this name; `None` where the name is not one of ours.
pub(crate) fn owner(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix(PREFIX)?.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    let _n: u32 = parts.next()?.parse().ok()?;
    parts.next()?;
    Some(pid)
}

/// A directory of its own below the temporary directory, removed when the value goes.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    bpffs: Option<PathBuf>,
}

impl Scratch {
    pub fn new(role: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(unique_name(role));
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { path, bpffs: None })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Mounts a BPF filesystem of its own in the directory: pins in it are seen by nobody else, and go with it.
    pub fn mount_bpffs(&mut self) -> anyhow::Result<PathBuf> {
        let path = self.join("bpf");
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        mount(
            Some("bpf"),
            &path,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .with_context(|| format!("mounting a BPF filesystem at {}", path.display()))?;
        self.bpffs = Some(path.clone());
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(bpffs) = &self.bpffs
            && let Err(error) = umount2(bpffs, MntFlags::MNT_DETACH)
        {
            eprintln!("unmounting {}: {error}", bpffs.display());
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("removing {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_maker() {
        let name = unique_name("client");
        assert_eq!(owner(&name), Some(std::process::id()));
        assert_ne!(name, unique_name("client"));
        assert_eq!(owner("shunt-12-3-b-1"), Some(12));
        for stranger in [
            "shunt",
            "shunt-12",
            "shunt-12-x-lb",
            "shunt-web",
            "other-1-2-lb",
        ] {
            assert_eq!(owner(stranger), None, "{stranger}");
        }
    }
}

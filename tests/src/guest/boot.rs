//! What is mounted and started before the first test of a VM.

use std::{fs, path::Path};

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};

use crate::netns;

/// (what, where, kind), in this order.
const MOUNTS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("bpf", "/sys/fs/bpf"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("tracefs", "/sys/kernel/tracing"),
];

/// Where files of programs are expected that have none in the image.
const DIRECTORIES: &[&str] = &["/run/netns", "/var/log/nginx", "/var/lib/nginx", "/root"];

/// What a program finds in its environment.
pub const ENVIRONMENT: &[(&str, &str)] = &[
    ("HOME", "/root"),
    ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    ("RUST_BACKTRACE", "1"),
    ("SHUNT_BIN", "/usr/bin/shunt"),
    (crate::needs::IN_GUEST, "1"),
    ("TERM", "linux"),
];

/// # Errors
/// A kernel without one of the file systems, or an image without `ip`.
pub fn prepare() -> anyhow::Result<()> {
    for (kind, at) in MOUNTS {
        fs::create_dir_all(at).with_context(|| format!("making {at}"))?;
        mount(
            Some(*kind),
            Path::new(at),
            Some(*kind),
            MsFlags::empty(),
            None::<&str>,
        )
        .with_context(|| format!("mounting {kind} at {at}"))?;
    }
    for directory in DIRECTORIES {
        fs::create_dir_all(directory).with_context(|| format!("making {directory}"))?;
    }
    netns::run(
        std::process::Command::new("/usr/sbin/ip").args(["link", "set", "lo", "up"]),
        None,
    )?;
    Ok(())
}

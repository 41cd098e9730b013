//! Clients on this host: the programs for sockets, at the root of the cgroups, by links that outlive the daemon.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, links::FdLink};
use lb_common::layout;

use super::{links, namespaces::Namespaces, object::Object, pins::Pins};
use crate::{dataplane::LocalClients, desired::DaemonSettings};

/// What shows the VIP stands before what sends to a backend: nobody is told another name than the one he asked for.
const PROGRAMS: &[&str] = &[
    "shunt_peername4",
    "shunt_peername6",
    "shunt_recvmsg4",
    "shunt_recvmsg6",
    "shunt_sendmsg4",
    "shunt_sendmsg6",
    "shunt_connect4",
    "shunt_connect6",
];

/// The inode of the root of all cgroups; that of a cgroup namespace has another.
const ROOT_INODE: u64 = 1;

/// What is balanced beside packets.
#[derive(Debug)]
pub struct Local {
    pub clients: LocalClients,
    pub namespaces: Option<Namespaces>,
}

/// Attaches the programs, or says why clients on this host are not balanced: everything else works without.
pub fn attach(object: &mut Object, pins: &Pins, settings: &DaemonSettings) -> Local {
    if !settings.local_clients {
        detach(pins);
        return Local {
            clients: LocalClients::Off,
            namespaces: None,
        };
    }
    match try_attach(object, pins, settings) {
        Ok((cgroup, namespaces)) => Local {
            clients: LocalClients::Balanced { cgroup },
            namespaces: Some(namespaces),
        },
        Err(error) => {
            detach(pins);
            let reason = format!("{error:#}");
            Local {
                clients: LocalClients::Unavailable { reason },
                namespaces: None,
            }
        }
    }
}

/// Detaches what is pinned, and removes the pins.
pub fn detach(pins: &Pins) {
    let directory = pins.sockets();
    for path in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let path = path.path();
        if let Err(error) = links::detach(&path) {
            // It goes with its pin, a little later.
            tracing::debug!(link = %path.display(), %error, "not detached at once");
        }
    }
    if let Err(error) = fs::remove_dir_all(&directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(pins = %directory.display(), %error, "pins stay");
    }
}

fn try_attach(
    object: &mut Object,
    pins: &Pins,
    settings: &DaemonSettings,
) -> anyhow::Result<(PathBuf, Namespaces)> {
    let path = cgroup()?;
    let cgroup = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    if cgroup.metadata()?.ino() != ROOT_INODE {
        tracing::warn!(
            cgroup = %path.display(),
            "not the root of all cgroups: of the clients on this host, only those in it are balanced; in a container, \
             `--cgroupns=host` shows the root"
        );
    }
    fs::create_dir_all(pins.sockets())?;
    for name in PROGRAMS {
        let program = object.sockets(name)?;
        program
            .load()
            .with_context(|| format!("the kernel refused the program {name}"))?;
        attach_program(program, &cgroup, &pins.sockets().join(name))
            .with_context(|| format!("attaching {name} to {}", path.display()))?;
    }
    let known = object.take_map(layout::LOCAL_NAMESPACES)?;
    let namespaces = Namespaces::new(object.array(layout::LOCAL)?, known, &settings.bridges)
        .with_context(|| format!("asking the programs at {}", path.display()))?;
    Ok((path, namespaces))
}

fn attach_program(program: &mut CgroupSockAddr, cgroup: &File, pin: &Path) -> anyhow::Result<()> {
    if pin.exists() {
        match links::update(pin, program.fd()?.as_fd()) {
            Ok(()) => return Ok(()),
            Err(error) => {
                tracing::debug!(link = %pin.display(), %error, "stale link removed");
                fs::remove_file(pin)?;
            }
        }
    }
    // Beside those of others: a link never is alone, and takes no flags.
    let id = program.attach(cgroup, CgroupAttachMode::Single)?;
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(pin)?;
    Ok(())
}

fn cgroup() -> anyhow::Result<PathBuf> {
    let mounts =
        fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
    let Some(path) = cgroup_mount(&mounts) else {
        bail!(
            "no cgroup v2 file system is mounted; `mkdir -p /sys/fs/cgroup/unified` and `mount -t cgroup2 none \
             /sys/fs/cgroup/unified` mount one beside version 1"
        );
    };
    Ok(path.into())
}

/// Where the first cgroup v2 file system is mounted (proc_pid_mountinfo(5)).
fn cgroup_mount(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let is_cgroup = kind.split(' ').next() == Some("cgroup2");
        is_cgroup.then(|| place.split(' ').nth(4))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_mount_of_cgroup_v2() {
        let hybrid = "24 1 0:22 / /proc rw - proc proc rw\n\
             33 32 0:29 / /sys/fs/cgroup/systemd rw,nosuid shared:11 - cgroup cgroup rw,name=systemd\n\
             34 32 0:30 / /sys/fs/cgroup/unified rw,nosuid shared:12 master:3 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(cgroup_mount(hybrid), Some("/sys/fs/cgroup/unified"));
        let plain = "35 24 0:31 / /sys/fs/cgroup rw - cgroup2 none rw";
        assert_eq!(cgroup_mount(plain), Some("/sys/fs/cgroup"));
        let old = "33 32 0:29 / /sys/fs/cgroup/cgroup2 rw - cgroup cgroup rw";
        assert_eq!(cgroup_mount(old), None);
        assert_eq!(cgroup_mount(""), None);
    }
}

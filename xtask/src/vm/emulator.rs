//! Is there a qemu, and a modprobe for the image?

use std::time::Instant;

use anyhow::{Result, bail, ensure};

use super::apt::{self, Apt};
use crate::{
    paths, process,
    setup::{
        Policy, packages,
        progress::{ready, step},
        version::Version,
    },
};

const QEMU: &str = "qemu-system-x86_64";

/// Installs what is missing.
pub fn ensure(policy: Policy) -> Result<()> {
    let start = Instant::now();
    if paths::program("depmod").is_none() {
        packages::install(&["kmod"], policy)?;
    }
    if version().is_none() {
        install(policy)?;
    }
    let Some(version) = version() else {
        bail!("{QEMU} is installed but does not start: run `{QEMU} --version` to see why");
    };
    ready("virtual machines", &format!("qemu {version}"), start);
    Ok(())
}

fn version() -> Option<Version> {
    let program = paths::program(QEMU)?;
    let answer = process::answer(std::process::Command::new(program).arg("--version")).ok()?;
    Version::find(&answer)
}

/// From Debian's backports: what belongs to the release itself may be older than parts of qemu that are here.
fn install(policy: Policy) -> Result<()> {
    let Some(release) = apt::release() else {
        return packages::install(&["qemu-system-x86"], policy);
    };
    ensure!(
        policy == Policy::Install && process::is_root(),
        "missing: qemu-system-x86; `cargo xtask setup` as root installs it"
    );
    let backports = format!("{release}-backports");
    let security = format!("{release}-security");
    let apt = Apt::new("machine", &[&release, &security, &backports], true)?;
    step("lists of Debian's packages, for qemu", || apt.update())?;
    step("apt-get install qemu-system-x86", || {
        process::quietly(apt.command("apt-get").args([
            "install",
            "--yes",
            "--no-remove",
            "--target-release",
            &backports,
            "qemu-system-x86",
        ]))
    })
}

//! Are the tools of the tests there, and how do packages get here?

use std::{
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Policy, Scope,
    progress::{ready, step as progress},
};
use crate::{paths, process};

/// Programs that the tests and the demo start, and Debian's packages that have them.
const TOOLS: &[(&str, &str)] = &[
    ("bpftool", "bpftool"),
    ("curl", "curl"),
    ("dnsmasq", "dnsmasq-base"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("nginx", "nginx-light"),
    ("ping", "iputils-ping"),
    ("ps", "procps"),
    ("sysctl", "procps"),
    ("tc", "iproute2"),
    ("tcpdump", "tcpdump"),
    ("tracepath", "iputils-tracepath"),
    ("traceroute", "traceroute"),
    ("wrk", "wrk"),
];

pub fn step(_scope: Scope, policy: Policy) -> Result<()> {
    let start = Instant::now();
    let missing = missing(|program| paths::program(program).is_some());
    if !missing.is_empty() {
        install(&missing, policy).context("tools of the tests")?;
        if missing.contains(&"nginx-light") {
            stop_service("nginx")?;
        }
    }
    let names: Vec<&str> = TOOLS.iter().map(|(program, _)| *program).collect();
    ready("tools of the tests", &names.join(" "), start);
    Ok(())
}

fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<&str> = TOOLS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Installs Debian packages, or says in one line why that is impossible and what to do.
pub fn install(packages: &[&str], policy: Policy) -> Result<()> {
    let names = packages.join(" ");
    ensure!(
        paths::program("apt-get").is_some(),
        "missing, by their names in Debian: {names}; install them by this system's package manager"
    );
    ensure!(
        policy == Policy::Install,
        "missing: {names}; `cargo xtask setup` as root installs them"
    );
    ensure!(
        process::is_root(),
        "missing: {names}; run `apt-get install {names}` as root"
    );
    update()?;
    progress(format_args!("apt-get install {names}"), || {
        process::quietly(
            apt_get()
                // The compiler's packages conflict with rustup's and cargo's, which must not vanish for them.
                .args(["install", "--yes", "--no-install-recommends", "--no-remove"])
                .args(packages),
        )
    })
}

/// Once is enough.
fn update() -> Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    progress("apt-get update", || {
        process::quietly(apt_get().arg("update"))
    })
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Another apt at work is waited for, in seconds.
        .args(["-o", "DPkg::Lock::Timeout=120"]);
    command
}

/// A package that brings a server starts it as a service, which nobody has asked for.
fn stop_service(name: &str) -> Result<()> {
    if !Path::new("/run/systemd/system").exists() {
        return Ok(());
    }
    progress(format_args!("systemctl disable --now {name}"), || {
        process::quietly(Command::new("systemctl").args(["disable", "--now", name]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_asks_for_its_package_once() {
        assert_eq!(missing(|_| true), Vec::<&str>::new());
        assert_eq!(missing(|program| program != "nginx"), ["nginx-light"]);
        assert_eq!(
            missing(|program| !["ip", "tc", "curl"].contains(&program)),
            ["curl", "iproute2"]
        );
    }
}

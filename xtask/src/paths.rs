//! Where everything is.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The workspace's root.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Cargo's target directory, which this program was built into as `target/PROFILE/xtask`.
pub fn target() -> Result<PathBuf> {
    let program = env::current_exe().context("the path of this program is unknown")?;
    let directory = program.ancestors().nth(2);
    directory
        .map(Path::to_owned)
        .with_context(|| format!("{} is not in a target directory", program.display()))
}

/// What setup keeps between runs, for all checkouts of a user: `$XDG_CACHE_HOME/shunt` or `~/.cache/shunt`.
/// The daemon's build script looks in the same place.
pub fn cache() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("shunt")
}

/// Programs that setup compiled; a root for `cargo install`.
pub fn tools() -> PathBuf {
    cache().join("tools")
}

/// A program on `PATH`, or where administrators' programs are, which users often lack in their `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

//! How the daemon is built, and where it is.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::{
    cli::BuildOptions,
    paths, process,
    setup::{self, Scope},
};

pub fn command(options: &BuildOptions) -> Result<ExitCode> {
    setup::ensure(Scope::Build)?;
    println!("{}", daemon(*options)?.display());
    Ok(ExitCode::SUCCESS)
}

/// Builds the daemon and says where it is. Its build script compiles the kernel programs by the toolchain
/// that setup has chosen.
pub fn daemon(options: BuildOptions) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.args(["build", "--package", "lb-userspace", "--bin", "shunt"]);
    if options.release {
        cargo.arg("--release");
    }
    process::run("cargo build", &mut cargo)?;
    let profile = if options.release { "release" } else { "debug" };
    Ok(paths::target()?.join(profile).join("shunt"))
}

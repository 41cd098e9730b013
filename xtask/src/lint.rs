//! Is the code formatted, and without warnings?

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    process,
    setup::{self, Scope, rust},
};

pub fn command() -> Result<ExitCode> {
    setup::ensure(Scope::Test)?;
    all()?;
    Ok(ExitCode::SUCCESS)
}

/// Every lint, until one fails.
pub fn all() -> Result<()> {
    formatting()?;
    host()?;
    kernel_programs()
}

fn formatting() -> Result<()> {
    process::run(
        "cargo fmt --check (`cargo fmt` formats)",
        process::cargo().args(["fmt", "--all", "--check"]),
    )
}

fn host() -> Result<()> {
    process::run(
        "cargo clippy",
        process::cargo()
            .args(["clippy", "--workspace", "--exclude", "lb-ebpf"])
            .args(["--all-targets", "--", "-D", "warnings"]),
    )
}

/// Under the compiler, and for the target, that they are built with.
fn kernel_programs() -> Result<()> {
    let toolchain = rust::chosen()?;
    let mut clippy = toolchain.command("cargo");
    clippy.args(["clippy", "--package", "lb-ebpf", "--bins"]);
    if process::answer(toolchain.command("cargo").args(["clippy", "--version"])).is_err() {
        eprintln!(
            "lint: the toolchain {} has no clippy: kernel programs are not linted",
            toolchain.name()
        );
        return Ok(());
    }
    process::run(
        "cargo clippy of the kernel programs",
        clippy
            .args(["--target", rust::target(), "-Z", "build-std=core"])
            // Where the daemon's build script has compiled them: macros are there already.
            .args(["--release", "--target-dir"])
            .arg(crate::paths::target()?.join("bpf/target/lb-ebpf"))
            .args(["--", "-D", "warnings"]),
    )
}

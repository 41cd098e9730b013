//! Which licences and sources do the dependencies have?

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::{
    paths, process,
    setup::{progress::step, version::Version},
};

const VERSION: Version = Version::new(0, 20, 2);

/// By `deny.toml`. Advisories are left out: their database is a repository of its own, and a build must not
/// depend on reaching it.
pub fn command() -> Result<ExitCode> {
    install()?;
    process::run(
        "cargo deny",
        Command::new(paths::tools().join("bin/cargo-deny"))
            .current_dir(paths::workspace())
            .args(["check", "licenses", "bans", "sources"]),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Compiles it, which takes minutes, unless it is there.
fn install() -> Result<()> {
    let program = paths::tools().join("bin/cargo-deny");
    let answer = process::answer(Command::new(program).arg("--version")).unwrap_or_default();
    if Version::find(&answer) == Some(VERSION) {
        return Ok(());
    }
    step(format_args!("cargo install cargo-deny {VERSION}"), || {
        process::quietly(
            process::cargo()
                .args(["install", "cargo-deny", "--locked", "--version"])
                .arg(VERSION.to_string())
                .arg("--root")
                .arg(paths::tools()),
        )
    })
}

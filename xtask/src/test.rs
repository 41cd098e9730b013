//! Does everything hold?

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::{
    build,
    cli::TestOptions,
    leftovers::Before,
    lint, process,
    setup::{self, Scope},
};

/// Lints, then tests. The last lines on the standard output are cargo's summary; the exit code says whether
/// the lints, the tests and the search for leftovers all passed.
pub fn command(options: &TestOptions) -> Result<ExitCode> {
    ensure!(
        process::is_root(),
        "the tests make network namespaces and load kernel programs: run `cargo xtask test` as root"
    );
    setup::ensure(Scope::Test)?;
    let daemon = build::daemon(options.build)?;
    let linted = if options.filters.is_empty() {
        lint::all()
    } else {
        Ok(())
    };
    if let Err(error) = &linted {
        eprintln!("error: {error:#}");
    }

    let mut tests = tests(options);
    tests.env("SHUNT_BIN", daemon);
    process::outlive_interrupts();
    let before = Before::look()?;
    let tested = process::run("cargo test", &mut tests);
    let left = before.compare();

    linted.and(tested).and(left)?;
    Ok(ExitCode::SUCCESS)
}

fn tests(options: &TestOptions) -> Command {
    let mut cargo = process::cargo();
    cargo.args([
        "test",
        "--workspace",
        "--exclude",
        "lb-ebpf",
        "--no-fail-fast",
    ]);
    if options.build.release {
        cargo.arg("--release");
    }
    cargo
        .arg("--")
        .args(&options.filters)
        .args(&options.harness);
    cargo
}

//! Does everything hold?

use std::{
    collections::BTreeMap,
    env, fs,
    process::{Command, ExitCode},
};

use anyhow::{Result, ensure};
use shunt_tests::needs;

use crate::{
    build,
    cli::{Place, TestOptions},
    leftovers::Before,
    lint, paths, process,
    setup::{self, Scope},
    vm,
};

const THREADS: &str = "RUST_TEST_THREADS";

/// Lints, then tests here, then the same in virtual machines. The last lines on the standard output are cargo's summary; the exit code says whether
/// the lints, the tests and the search for leftovers all passed.
pub fn command(options: &TestOptions) -> Result<ExitCode> {
    if let Some(Place::Vm(options)) = &options.place {
        return vm::command(options);
    }
    ensure!(
        process::is_root(),
        "the tests make network namespaces and load kernel programs: run `cargo xtask test` as root"
    );
    let all = options.filters.is_empty();
    setup::ensure(if all { Scope::Machines } else { Scope::Test })?;
    let daemon = build::daemon(options.build)?;
    let linted = if all { lint::all() } else { Ok(()) };
    if let Err(error) = &linted {
        eprintln!("error: {error:#}");
    }

    let record = paths::target()?.join("not-run");
    if record.exists() {
        fs::remove_file(&record)?;
    }
    let mut tests = tests(options);
    tests.env("SHUNT_BIN", daemon).env(needs::FILE, &record);
    process::outlive_interrupts();
    let before = Before::look()?;
    let tested = process::run("cargo test", &mut tests);
    let left = before.compare();
    let not_run = not_run(&fs::read_to_string(&record).unwrap_or_default());
    for (test, reason) in &not_run {
        println!("not run here: {test}: {reason}");
    }
    let elsewhere = if all {
        vm::with_all_tests(options.build, &not_run.into_keys().collect())
    } else {
        Ok(())
    };
    if let Err(error) = &elsewhere {
        eprintln!("error: {error:#}");
    }

    linted.and(tested).and(left).and(elsewhere)?;
    Ok(ExitCode::SUCCESS)
}

/// The tests that said that they cannot run here, with their reasons.
fn not_run(record: &str) -> BTreeMap<String, String> {
    record
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(test, reason)| (test.to_owned(), reason.to_owned()))
        .collect()
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
    // Most wait for the network most of the time.
    if env::var_os(THREADS).is_none() {
        cargo.env(THREADS, "4");
    }
    cargo
        .arg("--")
        .args(&options.filters)
        .args(&options.harness);
    cargo
}

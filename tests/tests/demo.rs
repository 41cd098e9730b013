//! `cargo xtask demo` holds what it claims, leaves nothing behind, and is there for programs too.
#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::{env, path::PathBuf, process::Command};

use serde_json::Value;
use shunt_tests::needs;

/// Beside `target/debug/deps/demo-…`, where `cargo xtask` was built.
fn xtask() -> PathBuf {
    let executable = env::current_exe().expect("the path of this test");
    let found = executable
        .ancestors()
        .map(|directory| directory.join("xtask"))
        .find(|path| path.is_file());
    found.expect("no xtask binary beside this test; run the tests by `cargo xtask test`")
}

#[test]
fn every_expectation_holds() {
    needs!(needs::sources());
    let output = Command::new(xtask())
        .args(["demo", "--json"])
        .output()
        .expect("starting the demo");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{log}",
        String::from_utf8_lossy(&output.stdout)
    );
    let figures: Value = serde_json::from_slice(&output.stdout).expect("figures as JSON");
    println!("{figures:#}");
    assert!(!log.is_empty(), "progress is said on standard error");
}

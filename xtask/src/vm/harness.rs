//! Which tests are there, and how are they built?

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use shunt_tests::guest::protocol::Test;

use crate::{build, cli::BuildOptions, process};

const PACKAGE: &str = "tests/Cargo.toml";
const INIT: &str = "vm-init";

/// What runs in a VM, built for this machine: the image has the libraries.
#[derive(Debug)]
pub struct Harness {
    pub init: PathBuf,
    pub daemon: PathBuf,
    pub binaries: Vec<Binary>,
}

/// A file of `tests/tests`.
#[derive(Debug)]
pub struct Binary {
    pub name: String,
    pub path: PathBuf,
    pub tests: Vec<String>,
    /// Those marked `#[ignore]`.
    pub ignored: Vec<String>,
}

impl Harness {
    /// Builds everything exactly as for the tests on the host, so that nothing is built twice.
    pub fn build(options: BuildOptions) -> Result<Self> {
        let daemon = build::daemon(options)?;
        let mut cargo = process::cargo();
        cargo.args(["test", "--workspace", "--exclude", "lb-ebpf", "--no-run"]);
        if options.release {
            cargo.arg("--release");
        }
        cargo.arg("--message-format=json-render-diagnostics");
        let output = cargo
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cargo cannot be started")?;
        ensure!(output.status.success(), "the tests do not build, see above");
        let messages = String::from_utf8_lossy(&output.stdout);
        let artifacts: Vec<Artifact> = messages.lines().filter_map(Artifact::parse).collect();
        let init = artifacts
            .iter()
            .find(|artifact| artifact.kind == "bin" && artifact.name == INIT)
            .context("cargo has not built vm-init")?;
        let binaries = artifacts
            .iter()
            .filter(|artifact| artifact.kind == "test")
            .map(Binary::list)
            .collect::<Result<_>>()?;
        Ok(Self {
            init: init.path.clone(),
            daemon,
            binaries,
        })
    }

    /// Those whose name contains one of the filters.
    pub fn tests(&self, filters: &[String]) -> Vec<Test> {
        self.select(
            |binary| &binary.tests,
            |test| {
                let name = test.to_string();
                filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
            },
        )
    }

    /// The ignored ones of one file.
    pub fn ignored(&self, binary: &str) -> Vec<Test> {
        self.select(|binary| &binary.ignored, |test| test.binary == binary)
    }

    fn select(
        &self,
        list: impl Fn(&Binary) -> &Vec<String>,
        wanted: impl Fn(&Test) -> bool,
    ) -> Vec<Test> {
        let mut tests: Vec<Test> = self
            .binaries
            .iter()
            .flat_map(|binary| {
                list(binary).iter().map(|name| Test {
                    binary: binary.name.clone(),
                    name: name.clone(),
                })
            })
            .filter(wanted)
            .collect();
        tests.sort();
        tests
    }
}

impl Binary {
    fn list(artifact: &Artifact) -> Result<Self> {
        let ignored = listed(&artifact.path, &["--ignored"])?;
        let hidden: BTreeSet<&String> = ignored.iter().collect();
        let tests = listed(&artifact.path, &[])?
            .into_iter()
            .filter(|name| !hidden.contains(name))
            .collect();
        Ok(Self {
            name: artifact.name.clone(),
            path: artifact.path.clone(),
            tests,
            ignored,
        })
    }
}

fn listed(binary: &Path, options: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new(binary);
    let answer = process::answer(command.args(["--list", "--format", "terse"]).args(options))?;
    Ok(names(&answer))
}

/// `NAME: test`, a line each; benchmarks are listed in the same way.
fn names(answer: &str) -> Vec<String> {
    answer
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

/// What cargo says that it has built.
#[derive(Debug, Eq, PartialEq)]
struct Artifact {
    name: String,
    kind: String,
    path: PathBuf,
}

impl Artifact {
    /// An executable of the package of the end-to-end tests.
    fn parse(line: &str) -> Option<Self> {
        let message: Value = serde_json::from_str(line).ok()?;
        if !message["manifest_path"].as_str()?.ends_with(PACKAGE) {
            return None;
        }
        let target = &message["target"];
        // A binary is built for itself, and once more to test it.
        if target["kind"][0] == "bin" && message["profile"]["test"] == true {
            return None;
        }
        Some(Self {
            name: target["name"].as_str()?.to_owned(),
            kind: target["kind"][0].as_str()?.to_owned(),
            path: message["executable"].as_str()?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_what_cargo_says() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/tests/Cargo.toml","target":{"kind":["test"],"name":"balance"},"profile":{"test":true},"executable":"/w/target/debug/deps/balance-1"}"#;
        let expected = Artifact {
            name: "balance".into(),
            kind: "test".into(),
            path: "/w/target/debug/deps/balance-1".into(),
        };
        assert_eq!(Artifact::parse(line), Some(expected));
        for other in [
            line.replace("/w/tests", "/w/xtask"),
            line.replace("\"/w/target/debug/deps/balance-1\"", "null"),
            line.replace("[\"test\"]", "[\"bin\"]"),
            "no JSON".to_owned(),
        ] {
            assert_eq!(Artifact::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn tests_are_listed_without_benchmarks() {
        assert_eq!(names("a::b: test\nc: benchmark\n\n1 test\n"), ["a::b"]);
    }
}

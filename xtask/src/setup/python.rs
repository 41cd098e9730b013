//! Can the test backends run? They are FastAPI applications under uvicorn, in a virtual environment.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Policy, Scope, packages,
    progress::{ready, step as progress},
};
use crate::{paths, process};

/// Every package with its version, relative to the workspace.
const REQUIREMENTS: &str = "tests/apps/requirements.txt";

/// The virtual environment.
pub fn environment() -> PathBuf {
    paths::cache().join("venv")
}

pub fn step(_scope: Scope, policy: Policy) -> Result<()> {
    let start = Instant::now();
    let file = paths::workspace().join(REQUIREMENTS);
    let wanted =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    if !is_ready(&wanted) {
        ensure!(
            policy == Policy::Install,
            "missing: FastAPI and uvicorn in {}; `cargo xtask setup` installs them",
            environment().display()
        );
        let python = python(policy)?;
        progress(format_args!("pip install {}", names(&wanted)), || {
            create(&python, &file, &wanted)
        })?;
    }
    ready("Python", &names(&wanted), start);
    Ok(())
}

/// Whether the environment was made from these requirements, and its Python (which may have been upgraded or
/// removed since) still starts.
fn is_ready(wanted: &str) -> bool {
    fs::read_to_string(stamp()).is_ok_and(|made_from| made_from == wanted)
        && process::answer(Command::new(environment().join("bin/python")).arg("--version")).is_ok()
}

/// Written last, so that a half-made environment is made again.
fn stamp() -> PathBuf {
    environment().join("made-from.txt")
}

/// The first Python that can make environments: Debian's has that in a package of its own, and the one on the
/// `PATH` may be a version manager's.
fn python(policy: Policy) -> Result<PathBuf> {
    if let Some(python) = candidates().find(|python| makes_environments(python)) {
        return Ok(python);
    }
    packages::install(&["python3-venv"], policy).context("Python")?;
    candidates()
        .find(|python| makes_environments(python))
        .context("no python3 can make virtual environments: install one with the modules venv and ensurepip")
}

fn candidates() -> impl Iterator<Item = PathBuf> {
    [PathBuf::from("/usr/bin/python3")]
        .into_iter()
        .chain(paths::program("python3"))
}

fn makes_environments(python: &Path) -> bool {
    process::answer(Command::new(python).args(["-c", "import venv, ensurepip"])).is_ok()
}

fn create(python: &Path, requirements: &Path, wanted: &str) -> Result<()> {
    let environment = environment();
    process::quietly(
        Command::new(python)
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )?;
    process::quietly(
        Command::new(environment.join("bin/pip"))
            .args(["install", "--disable-pip-version-check", "--requirement"])
            .arg(requirements),
    )?;
    process::quietly(
        Command::new(environment.join("bin/python"))
            .args(["-c", "import fastapi, grpc_health, uvicorn"]),
    )?;
    fs::write(stamp(), wanted).with_context(|| format!("cannot write {}", stamp().display()))
}

/// The requirements that are asked for by name, before those that they need themselves.
fn names(requirements: &str) -> String {
    let direct = requirements
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with('#'));
    direct.collect::<Vec<_>>().join(" ").replace("==", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_by_name_is_shown() {
        let requirements =
            "# Backends.\nfastapi==0.1.0\nuvicorn==2.0.0\n\n# Needed by them.\nh11==0.16.0\n";
        assert_eq!(names(requirements), "fastapi 0.1.0 uvicorn 2.0.0");
    }

    #[test]
    fn every_requirement_is_pinned() {
        let requirements = include_str!("../../../tests/apps/requirements.txt");
        for line in requirements.lines() {
            let comment = line.is_empty() || line.starts_with('#');
            assert!(comment || line.contains("=="), "{line:?}");
        }
        assert!(names(requirements).contains("fastapi "));
    }
}

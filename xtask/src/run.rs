//! How the built daemon is started.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{
    build,
    cli::RunOptions,
    paths, process,
    setup::{self, Scope},
};

/// What needs no root: it reads files only, or nothing.
const UNPRIVILEGED: &[&str] = &["check", "help", "--help", "-h", "--version", "-V"];

/// Becomes `shunt`, so that signals reach it and its exit code is this program's.
pub fn command(options: &RunOptions) -> Result<ExitCode> {
    setup::ensure(Scope::Build)?;
    let daemon = build::daemon(options.build)?;
    let arguments = arguments(&options.arguments);
    let mut command = if process::is_root() || !needs_root(&arguments) {
        Command::new(&daemon)
    } else {
        let sudo = paths::program("sudo").with_context(|| {
            let line = arguments.join(" ");
            format!(
                "root is needed, and there is no sudo: run `{} {line}` as root",
                daemon.display()
            )
        })?;
        let mut command = Command::new(sudo);
        command.arg(&daemon);
        command
    };
    let error = command.args(&arguments).exec();
    Err(error).with_context(|| format!("{} cannot be started", daemon.display()))
}

/// Options alone are those of `shunt run`.
fn arguments(typed: &[String]) -> Vec<String> {
    let names_verb = typed
        .first()
        .is_some_and(|first| !first.starts_with('-') || UNPRIVILEGED.contains(&first.as_str()));
    let verb = (!names_verb).then(|| "run".to_owned());
    verb.into_iter().chain(typed.iter().cloned()).collect()
}

fn needs_root(arguments: &[String]) -> bool {
    arguments
        .first()
        .is_some_and(|verb| !UNPRIVILEGED.contains(&verb.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_alone_run_the_daemon() {
        for (typed, meant) in [
            ("", "run"),
            ("--config a.toml", "run --config a.toml"),
            ("run --config a.toml", "run --config a.toml"),
            ("check a.toml", "check a.toml"),
            ("--version", "--version"),
            ("-h", "-h"),
        ] {
            assert_eq!(arguments(&split(typed)), split(meant), "{typed:?}");
        }
    }

    #[test]
    fn reading_a_file_needs_no_root() {
        assert!(needs_root(&split("run --config a.toml")));
        assert!(needs_root(&split("status")));
        assert!(!needs_root(&split("check a.toml")));
        assert!(!needs_root(&split("--help")));
    }
}

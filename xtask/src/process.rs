//! How commands are run, and what becomes of their exit codes.

use std::{
    env, fmt, fs,
    os::unix::process::ExitStatusExt as _,
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::paths;

/// Lines of a failed command's output that are shown.
const TAIL: usize = 40;

/// A command that has said itself what went wrong: only its exit code is left to pass on.
#[derive(Debug)]
pub struct Failed {
    what: String,
    code: u8,
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} failed with exit code {}, see above",
            self.what, self.code
        )
    }
}

impl std::error::Error for Failed {}

/// A cargo command in the workspace, by the cargo that started this program.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::workspace());
    command
}

/// Runs a command in the foreground.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| not_started(command))?;
    if status.success() {
        return Ok(());
    }
    Err(Failed {
        what: what.to_owned(),
        code: code_of(status),
    }
    .into())
}

/// Runs a command without a word, unless it fails: then with the end of its output.
pub fn quietly(command: &mut Command) -> Result<()> {
    let path = paths::cache().join("setup.log");
    fs::create_dir_all(paths::cache())
        .with_context(|| format!("no directory {}", paths::cache().display()))?;
    let log =
        fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .with_context(|| not_started(command))?;
    if status.success() {
        return Ok(());
    }
    let output = fs::read(&path).unwrap_or_default();
    let output = String::from_utf8_lossy(&output);
    eprintln!("\n{}", tail(&output, TAIL));
    let program = command.get_program().to_string_lossy();
    anyhow::bail!(
        "{program} failed with exit code {}; its whole output is in {}",
        code_of(status),
        path.display()
    )
}

/// What a command prints, trimmed. An error if it cannot be started or fails.
pub fn answer(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| not_started(command))?;
    let program = command.get_program().to_string_lossy();
    ensure!(
        output.status.success(),
        "{program} failed with exit code {}: {}",
        code_of(output.status),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The exit code of this program for an error: that of the failed command, or 1.
pub fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    let code = error
        .downcast_ref()
        .map_or(1, |failed: &Failed| failed.code);
    ExitCode::from(code)
}

/// As a shell counts: 128 and the signal's number for a killed command.
fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn not_started(command: &Command) -> String {
    format!(
        "{} cannot be started",
        command.get_program().to_string_lossy()
    )
}

fn tail(output: &str, lines: usize) -> String {
    let all: Vec<&str> = output.trim_end().lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

pub fn is_root() -> bool {
    // SAFETY: has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Stays alive when Ctrl-C ends the commands in the foreground, to look after what they leave.
pub fn outlive_interrupts() {
    extern "C" fn ignore(_signal: libc::c_int) {}
    // A handler, because an ignored signal would be ignored by the commands, too.
    let handler: extern "C" fn(libc::c_int) = ignore;
    // SAFETY: the handler does nothing, which is safe in any context.
    unsafe {
        libc::signal(libc::SIGINT, handler as libc::sighandler_t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_passed_on() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(78 << 8)), 78);
        assert_eq!(code_of(ExitStatus::from_raw(libc::SIGINT)), 130);
    }

    #[test]
    fn only_the_end_of_long_output_is_shown() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("a\n", 2), "a");
        assert_eq!(tail("", 2), "");
    }
}

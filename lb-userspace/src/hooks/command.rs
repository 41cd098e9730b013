//! A command with a notice on its standard input.

use std::process::Stdio;

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use super::HookError;

/// Runs it to its end; dropped, it is killed with all that it has started. `words`: the program and its arguments, not empty.
pub async fn run(words: &[String], json: &str) -> Result<(), HookError> {
    let (program, arguments) = words.split_first().unzip();
    let command = program.cloned().unwrap_or_default();
    let child = Command::new(&command)
        .args(arguments.unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|source| HookError::Start {
            command: command.clone(),
            source,
        })?;
    let mut group = Group(child);
    if let Some(mut stdin) = group.0.stdin.take() {
        // Whoever does not read it need not.
        let _ = stdin.write_all(json.as_bytes()).await;
    }
    let status = group.0.wait().await?;
    if status.success() {
        return Ok(());
    }
    Err(HookError::Ended { command, status })
}

/// A process and its descendants, as far as they have not left its group.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Not reaped yet, so that the number is still its own; what it left behind when it ended by itself may stay.
        if let Some(leader) = self.0.id() {
            let _ = killpg(Pid::from_raw(leader.cast_signed()), Signal::SIGKILL);
        }
    }
}

//! A command with a notice on its standard input.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt as _, process::Command};

use super::HookError;

/// Runs it to its end; dropped, it is killed. `words`: the program and its arguments, not empty.
pub async fn run(words: &[String], json: &str) -> Result<(), HookError> {
    let (program, arguments) = words.split_first().unzip();
    let command = program.cloned().unwrap_or_default();
    let mut child = Command::new(&command)
        .args(arguments.unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| HookError::Start {
            command: command.clone(),
            source,
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read it need not.
        let _ = stdin.write_all(json.as_bytes()).await;
    }
    let status = child.wait().await?;
    if status.success() {
        return Ok(());
    }
    Err(HookError::Ended { command, status })
}

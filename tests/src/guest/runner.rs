//! How one test of a VM is run, limited and cleaned up after.

use std::{
    fs,
    io::{BufRead as _, BufReader, PipeReader, pipe},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::protocol::{Event, Outcome, TESTS, Test};
use crate::{needs, stale, stale::Leftovers};

const POLL: Duration = Duration::from_millis(10);
/// Where a test says that it could not run.
const NOT_RUN: &str = "/run/not-run";

/// Runs one test in a process of its own, and ends what it leaves.
///
/// # Errors
/// It cannot be started.
pub fn run(
    number: usize,
    test: &Test,
    limit: Duration,
    report: &(impl Fn(&Event) + Sync),
) -> anyhow::Result<Outcome> {
    // Usually there is none.
    let _ = fs::remove_file(NOT_RUN);
    let (output, child) = start(test)?;
    let outcome = thread::scope(|scope| {
        scope.spawn(|| forward(number, output, report));
        let outcome = wait(child, limit);
        end_everything();
        outcome
    })?;
    stale::remove(Leftovers::Kept)?;
    Ok(match fs::read_to_string(NOT_RUN) {
        Ok(line) if outcome == Outcome::Passed => Outcome::NotRun {
            reason: needs::reason(line.lines().next().unwrap_or_default()).to_owned(),
        },
        _ => outcome,
    })
}

fn start(test: &Test) -> anyhow::Result<(PipeReader, Child)> {
    let (reader, writer) = pipe()?;
    let child = Command::new(Path::new(TESTS).join(&test.binary))
        .args([&test.name, "--exact", "--include-ignored", "--nocapture"])
        .env(needs::FILE, NOT_RUN)
        .current_dir("/root")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("starting {test}"))?;
    Ok((reader, child))
}

fn forward(number: usize, output: PipeReader, report: &impl Fn(&Event)) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(1..) = output.read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        report(&Event::Output {
            test: number,
            line: text,
        });
    }
}

fn wait(mut child: Child, limit: Duration) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(if status.success() {
                Outcome::Passed
            } else {
                Outcome::Failed {
                    reason: status.to_string(),
                }
            });
        }
        if start.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(Outcome::Failed {
                reason: format!("still running after its limit of {limit:?}"),
            });
        }
        thread::sleep(POLL);
    }
}

/// Kills every process but init and this one: nothing else is meant to run between two tests.
fn end_everything() {
    // There may be none.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
}

//! Child processes that end when their value goes, and whose log says why something failed.

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::wait::{Hopeless, wait_for};

/// How long a process may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
const TAIL_LINES: usize = 30;

#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints is appended to `NAME.log` in `directory`. It gets a process group of its own: a
    /// Ctrl-C is for its parent, which ends it in order.
    pub fn spawn(name: &str, mut command: Command, directory: &Path) -> anyhow::Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Everything it printed so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log)
            .unwrap_or_else(|error| format!("{}: {error}", self.log.display()))
    }

    /// The end of its log, for error messages.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("log of {}:\n{}", self.name, tail.join("\n"))
    }

    /// # Errors
    /// [`Hopeless`] where it has ended, with the end of its log.
    pub fn expect_running(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(Hopeless(format!(
                "{} has ended: {status}\n{}",
                self.name,
                self.log_tail()
            )));
        }
        Ok(())
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        // Not reaped yet, so that the id is still its own.
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .with_context(|| format!("sending {signal} to {}", self.name))
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let child = &mut self.child;
        let ended = wait_for(format!("the end of {}", self.name), within, || {
            child.try_wait()?.context("it is still running")
        });
        ended.with_context(|| self.log_tail())
    }

    /// SIGTERM, and its exit status.
    ///
    /// # Errors
    /// It did not end in time; then it is killed.
    pub fn terminate(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        self.signal(Signal::SIGTERM)?;
        let status = self.wait(within);
        if status.is_err() {
            self.kill()?;
        }
        status
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        if let Err(error) = self.terminate(GRACE) {
            eprintln!("ending {}: {error:#}", self.name);
        }
    }
}

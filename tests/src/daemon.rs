//! The real `shunt` binary, in a namespace, with a socket and a BPF filesystem of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    config::{Config, Placed},
    netns::{self, Netns},
    process::Process,
    scratch::Scratch,
    wait::{Hopeless, wait_for},
};

/// How long start and stop may take on a busy machine; an emulated one verifies programs for half a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// A daemon that may be stopped, killed and started again at the same places.
#[derive(Debug)]
pub struct Daemon {
    // Before the directory, which holds its log and pins.
    process: Option<Process>,
    netns: Netns,
    binary: PathBuf,
    /// What `--log` says.
    level: String,
    /// Further arguments of `shunt run`.
    arguments: Vec<String>,
    scratch: Scratch,
    pins: PathBuf,
}

impl Daemon {
    /// Starts a daemon and waits until it is [ready](Self::wait_ready).
    ///
    /// # Errors
    /// No binary, or a start that fails, with the end of its log.
    pub fn start(netns: &Netns, config: &Config) -> anyhow::Result<Self> {
        let mut daemon = Self::prepare(netns, config)?;
        daemon.run()?;
        daemon.wait_ready()?;
        Ok(daemon)
    }

    /// Everything but the start, of the binary that [`binary`] finds.
    pub fn prepare(netns: &Netns, config: &Config) -> anyhow::Result<Self> {
        Self::prepare_binary(binary()?, netns, config)
    }

    /// Everything but the start.
    pub fn prepare_binary(binary: PathBuf, netns: &Netns, config: &Config) -> anyhow::Result<Self> {
        let mut scratch = Scratch::new("daemon")?;
        let pins = scratch.mount_bpffs()?.join("shunt");
        let daemon = Self {
            process: None,
            netns: netns.clone(),
            binary,
            level: "info".to_owned(),
            arguments: Vec::new(),
            scratch,
            pins,
        };
        daemon.write_config(config)?;
        Ok(daemon)
    }

    /// What it logs from its next start on: `info` unless changed.
    pub fn set_log_level(&mut self, level: &str) {
        level.clone_into(&mut self.level);
    }

    /// Further arguments of `shunt run`, from its next start on.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
    }

    /// Starts the process and waits for nothing.
    pub fn run(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "the daemon runs already");
        let mut command = self.netns.command(&self.binary);
        command
            .args(["run", "--log", &self.level, "--config"])
            .arg(self.config_path())
            .args(&self.arguments);
        self.process = Some(Process::spawn("shunt", command, self.scratch.path())?);
        Ok(())
    }

    /// Waits until it answers, and has heard of every backend's health or of none where nothing is checked.
    pub fn wait_ready(&mut self) -> anyhow::Result<Value> {
        self.wait_status("the daemon is ready", PATIENCE, |status| {
            backends(status).all(|backend| backend["health"] != "unknown")
        })
    }

    /// Waits until `holds` is true of the status, and returns that.
    ///
    /// # Errors
    /// Not within `within`, or the daemon ended: with the last status and the end of the log.
    pub fn wait_status(
        &mut self,
        what: &str,
        within: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        wait_for(what, within, || {
            self.expect_running()?;
            let status = self.read_status()?;
            if !holds(&status) {
                bail!("status: {status:#}");
            }
            Ok(status)
        })
        .with_context(|| self.log_tail())
    }

    /// # Errors
    /// [`Hopeless`] where it has ended, or was never started.
    pub fn expect_running(&mut self) -> anyhow::Result<()> {
        self.process()?.expect_running()
    }

    /// `shunt status --json`.
    ///
    /// # Errors
    /// It does not answer: with the end of its log.
    pub fn status(&self) -> anyhow::Result<Value> {
        self.read_status().with_context(|| self.log_tail())
    }

    fn read_status(&self) -> anyhow::Result<Value> {
        let text = self.ask(&["status", "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    }

    /// Runs a verb of the command line with `--socket`, and returns what it printed.
    pub fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.netns.command(&self.binary);
        command.args(arguments).arg("--socket").arg(self.socket());
        netns::run(&mut command, None)
    }

    /// Writes the configuration, which takes effect on [`Self::reload`] or a new start.
    pub fn write_config(&self, config: &Config) -> anyhow::Result<()> {
        let text = Placed {
            config,
            socket: &self.socket(),
            pin_dir: &self.pins,
            state_dir: &self.scratch.join("state"),
        };
        self.write_text(&text.to_string())
    }

    /// The same with any text, right or wrong.
    pub fn write_text(&self, text: &str) -> anyhow::Result<()> {
        let path = self.config_path();
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// SIGHUP. [`Self::wait_status`] shows when it has taken effect.
    pub fn reload(&mut self) -> anyhow::Result<()> {
        self.process()?.signal(Signal::SIGHUP)
    }

    /// SIGTERM, and its exit status.
    pub fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        let status = self.process()?.terminate(PATIENCE);
        self.process = None;
        status
    }

    /// SIGKILL: what it attached stays.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process()?.kill()?;
        self.process = None;
        Ok(())
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    pub fn binary(&self) -> &Path {
        &self.binary
    }

    pub fn config_path(&self) -> PathBuf {
        self.scratch.join("shunt.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.scratch.join("shunt.sock")
    }

    pub fn pin_dir(&self) -> &Path {
        &self.pins
    }

    pub fn log_path(&self) -> PathBuf {
        self.scratch.join("shunt.log")
    }

    /// Everything it logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub fn log_tail(&self) -> String {
        match &self.process {
            Some(process) => process.log_tail(),
            None => format!("the daemon does not run; its log:\n{}", self.log()),
        }
    }

    fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process
            .as_mut()
            .context(Hopeless("the daemon does not run".into()))
    }
}

/// Every backend of every service in a status.
pub fn backends(status: &Value) -> impl Iterator<Item = &Value> {
    list(status, "services").flat_map(|service| list(service, "backends"))
}

/// The backend of this name, in the first service that has it.
pub fn backend<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    backends(status).find(|backend| backend["name"] == name)
}

/// Packets counted under a verdict; 0 where the status does not have it.
pub fn verdict(status: &Value, name: &str) -> u64 {
    status["verdicts"][name].as_u64().unwrap_or(0)
}

/// Packets under all verdicts that start with `prefix`.
pub fn verdicts(status: &Value, prefix: &str) -> u64 {
    let Some(verdicts) = status["verdicts"].as_object() else {
        return 0;
    };
    verdicts
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .filter_map(|(_, count)| count.as_u64())
        .sum()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// `SHUNT_BIN`, or the binary that was built beside the running executable.
///
/// # Errors
/// There is none.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("SHUNT_BIN").map(PathBuf::from) {
        ensure!(
            path.is_file(),
            "SHUNT_BIN is {}, where no file is; set it to the shunt binary, or unset it",
            path.display()
        );
        return Ok(path);
    }
    // target/debug/xtask, or target/debug/deps/a-test.
    let executable = env::current_exe()?;
    let found = executable
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("shunt"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "no shunt binary beside {}; build it with `cargo xtask build`, or name it with SHUNT_BIN",
            executable.display()
        )
    })
}

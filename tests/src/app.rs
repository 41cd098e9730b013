//! The FastAPI application that a first user has behind the load balancer, as a process.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::{client::Client, netns::Netns, process::Process, wait::wait_for};

/// Importing FastAPI takes a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where `requirements.txt` and the application are.
pub fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/apps"))
}

/// A Python that has FastAPI and uvicorn: `SHUNT_PYTHON`, or the one that `cargo xtask setup` makes.
///
/// # Errors
/// There is none.
pub fn python() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("SHUNT_PYTHON").map(PathBuf::from) {
        ensure!(
            path.is_file(),
            "SHUNT_PYTHON is {}, where no file is; set it to a Python that has tests/apps/requirements.txt installed, or \
             unset it",
            path.display()
        );
        return Ok(path);
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")))
        .context("neither SHUNT_PYTHON nor HOME is set; set one")?;
    let path = cache.join("shunt/venv/bin/python");
    ensure!(
        path.is_file(),
        "no Python with FastAPI at {}; `cargo xtask setup` makes it, or name one with SHUNT_PYTHON",
        path.display()
    );
    Ok(path)
}

/// A running application. Dropped, it is asked to end; [`Process::kill`] is harsher.
#[derive(Debug)]
pub struct App {
    process: Process,
    addresses: Vec<SocketAddr>,
}

impl App {
    /// Starts it, logging to `logs`. It does not listen yet: [`Self::wait_ready`].
    pub fn start(
        netns: &Netns,
        name: &str,
        addresses: &[SocketAddr],
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = netns.command(python()?);
        command
            .arg(directory().join("app.py"))
            .args(["--name", name]);
        for address in addresses {
            command.arg("--bind").arg(address.to_string());
        }
        Ok(Self {
            process: Process::spawn(name, command, logs)?,
            addresses: addresses.to_vec(),
        })
    }

    pub fn name(&self) -> &str {
        self.process.name()
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Waits until it answers `client` at each of its own addresses.
    pub fn wait_ready(&mut self, client: &Client) -> anyhow::Result<()> {
        let what = format!("{} answers", self.name());
        let ready = wait_for(what, PATIENCE, || self.probe(client));
        ready.with_context(|| self.process.log_tail())
    }

    /// # Errors
    /// It does not answer at one of its own addresses, or ([`crate::wait::Hopeless`]) has ended.
    pub fn probe(&mut self, client: &Client) -> anyhow::Result<()> {
        self.process.expect_running()?;
        for &address in &self.addresses {
            let status = client.get(address, "/health")?.status;
            ensure!(status == 200, "/health at {address}: HTTP status {status}");
        }
        Ok(())
    }
}

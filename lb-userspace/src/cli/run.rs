use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{BLIND, RunArgs, log};
use crate::{
    api::Server,
    config,
    control::{Controller, Handle},
    dataplane::{LocalClients, bpf::BpfDataplane},
    desired::Desired,
    fragments,
};

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let desired = config::load(&args.config.config)?;
    log::start(args.log_format, &args.log, args.kernel_log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    runtime.block_on(serve(args, desired))?;
    Ok(ExitCode::SUCCESS)
}

/// Bind, start, run, and detach.
async fn serve(args: &RunArgs, desired: Desired) -> anyhow::Result<()> {
    let (control, commands) = Handle::channel();
    let signals = Signals::new()?;
    // Before the datapath: a second daemon must not touch the first one's.
    let server = Server::start(&desired.daemon.socket, control.clone())?;
    let mut dataplane = BpfDataplane::open(&desired.daemon, args.kernel_log)?;
    log::follow_kernel(dataplane.take_logger()?)?;
    if let Some(fragments) = dataplane.take_fragments() {
        let (frames, datapath) = fragments.start()?;
        tokio::spawn(fragments::hold(frames, datapath));
    }
    let attachments = dataplane.attachments();
    for attachment in &attachments.interfaces {
        tracing::info!(
            interface = attachment.interface,
            xdp = attachment.mode.name(),
            egress = attachment.egress.name(),
            "attached"
        );
    }
    match &attachments.local_clients {
        LocalClients::Balanced { cgroup } => {
            tracing::info!(cgroup = %cgroup.display(), "balancing clients on this host");
        }
        LocalClients::Unavailable { reason } => {
            tracing::warn!(reason, "clients on this host are not balanced");
        }
        LocalClients::Off => {}
    }
    if let Some(http) = desired.daemon.http {
        tracing::warn!(%http, "nothing is served there yet: metrics and the stats page are still to come");
    }
    warn_of_blind_checks(&desired);
    let controller = Controller::start(desired, dataplane, attachments, commands)?;
    tracing::info!("balancing");
    let stop = signals.until_stop(args.config.config.clone(), control);
    let dataplane = controller.run(stop).await;
    drop(server);
    dataplane.detach()?;
    tracing::info!("detached");
    Ok(())
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Reloads at every SIGHUP; resolves at SIGTERM or SIGINT.
    async fn until_stop(mut self, path: PathBuf, control: Handle) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => {
                    // The controller, which runs this, answers: it must not be waited for here.
                    tokio::spawn(reload(path.clone(), control.clone()));
                }
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

async fn reload(path: PathBuf, control: Handle) {
    match try_reload(&path, &control).await {
        Ok(()) => tracing::info!(config = %path.display(), "reloaded"),
        Err(error) => {
            let error = format!("{error:#}");
            tracing::error!(config = %path.display(), error, "not reloaded; nothing has changed");
        }
    }
}

async fn try_reload(path: &Path, control: &Handle) -> anyhow::Result<()> {
    let desired = config::load(path)?;
    warn_of_blind_checks(&desired);
    Ok(control.reload(desired).await?)
}

fn warn_of_blind_checks(desired: &Desired) {
    for service in desired.blindly_checked() {
        tracing::warn!(service, "{BLIND}");
    }
}

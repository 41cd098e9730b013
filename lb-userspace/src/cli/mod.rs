//! What a person types and reads.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 78 (`EX_CONFIG` of sysexits.h) wrong configuration.

mod check;
mod drain;
mod import;
mod log;
mod order;
mod run;
mod status;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use self::{import::ImportArgs, log::LogFormat};
use crate::{
    config::{self, LoadError},
    dataplane::bpf::KernelLog,
    operator::{AdminState, Change, Target},
};

const CONFIG: &str = "/etc/shunt/shunt.toml";
const SOCKET: &str = "/run/shunt/shunt.sock";

/// What is said of a check with `insecure = true`.
const BLIND: &str =
    "insecure = true: whoever answers is taken for the backend, whatever certificate it shows";

const CONFIG_ERROR: u8 = 78;

/// A layer-4 load balancer in XDP
#[derive(Debug, Parser)]
#[command(
    name = "shunt",
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration."
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Balance: attach to the interfaces, check the backends, keep the tables true
    ///
    /// SIGHUP reads the configuration again; a wrong one changes nothing. SIGTERM and SIGINT detach and end. When the
    /// daemon is killed, packets are balanced on as they were, and the next daemon takes over.
    Run(RunArgs),
    /// Check a configuration and say what is wrong with it
    Check(ConfigArgs),
    /// Show services, backends and counters of the running daemon
    Status(StatusArgs),
    /// Let a backend take new connections again
    Ready(OrderArgs),
    /// Send no new connections to a backend; those that are open stay
    ///
    /// Like `maint` and `weight` it is kept when the daemon starts anew, until `shunt ready`.
    Drain(DrainArgs),
    /// Send nothing to a backend; connections that are open go to others
    Maint(OrderArgs),
    /// Give a backend another weight than the configuration
    Weight(WeightArgs),
    /// Write a configuration from that of nginx or HAProxy
    ///
    /// One service for each `upstream` block, `backend` or `listen` section. What has no counterpart is said on standard
    /// error, line by line, with what to do instead.
    Import(ImportArgs),
}

#[derive(Args, Debug)]
struct ConfigArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

#[derive(Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Form of the log lines on standard error
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `info,lb_userspace::probe=debug`
    #[arg(long, value_name = "FILTER", default_value = "info", env = "SHUNT_LOG")]
    log: String,
    /// What the kernel programs log; everything but `off` slows packets down
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    kernel_log: KernelLog,
}

/// Where the daemon is asked.
#[derive(Args, Debug)]
struct SocketArgs {
    /// The daemon's control socket
    #[arg(short, long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Take the control socket from this configuration file
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
}

impl SocketArgs {
    fn path(&self) -> Result<PathBuf, LoadError> {
        match &self.config {
            None => Ok(self.socket.clone()),
            Some(path) => Ok(config::load(path)?.daemon.socket),
        }
    }
}

#[derive(Args, Debug)]
struct OrderArgs {
    /// The backend, such as web/api1
    #[arg(value_name = "SERVICE/BACKEND")]
    target: Target,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Args, Debug)]
struct DrainArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Wait until no connection to it is open any more, and show how many are
    #[arg(long)]
    wait: bool,
    /// Wait no longer than so, such as 60s; exit code 1 where connections are open then
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    deadline: Option<Duration>,
}

#[derive(Args, Debug)]
struct WeightArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// From 0 to 256, or `configured`
    #[arg(value_name = "WEIGHT", value_parser = order::weight)]
    weight: order::Weight,
}

#[derive(Args, Debug)]
struct StatusArgs {
    #[command(flatten)]
    socket: SocketArgs,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

impl Cli {
    /// Does what was typed. What goes wrong is said on standard error.
    pub fn execute(self) -> ExitCode {
        let result = match self.verb {
            Verb::Run(args) => run::run(&args),
            Verb::Check(args) => check::check(&args.config),
            Verb::Status(args) => status::show(&args),
            Verb::Ready(args) => order::order(&args, Change::State(AdminState::Ready)),
            Verb::Drain(args) => drain::drain(&args),
            Verb::Maint(args) => order::order(&args, Change::State(AdminState::Maint)),
            Verb::Weight(args) => order::order(&args.order, Change::Weight(args.weight.0)),
            Verb::Import(args) => import::import(&args),
        };
        let error = match result {
            Ok(code) => return code,
            Err(error) => error,
        };
        if error.is::<LoadError>() {
            eprintln!("{error:#}");
            return ExitCode::from(CONFIG_ERROR);
        }
        eprintln!("shunt: {error:#}");
        ExitCode::FAILURE
    }
}

/// Until an answer of the daemon is there.
fn wait_for<T>(answer: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the async runtime")?;
    Ok(runtime.block_on(answer))
}

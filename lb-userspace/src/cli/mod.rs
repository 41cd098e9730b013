//! What a person types and reads.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 78 (`EX_CONFIG` of sysexits.h) wrong configuration.

mod check;
mod log;
mod run;
mod status;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use self::log::LogFormat;
use crate::{config::LoadError, dataplane::bpf::KernelLog};

const CONFIG: &str = "/etc/shunt/shunt.toml";
const SOCKET: &str = "/run/shunt/shunt.sock";

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

#[derive(Args, Debug)]
struct StatusArgs {
    /// The daemon's control socket
    #[arg(short, long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Take the control socket from this configuration file
    #[arg(short, long, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
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
        };
        match result {
            Ok(code) => code,
            Err(error) => {
                eprintln!("shunt: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Says what is wrong with a configuration.
fn config_error(error: LoadError) -> ExitCode {
    eprintln!("{:#}", anyhow::Error::from(error));
    ExitCode::from(CONFIG_ERROR)
}

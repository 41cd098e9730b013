use std::io::IsTerminal as _;

use anyhow::Context as _;
use aya_log::EbpfLogger;
use clap::ValueEnum;
use tokio::io::{Interest, unix::AsyncFd};
use tracing_subscriber::EnvFilter;

use crate::dataplane::bpf::KernelLog;

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    #[default]
    Human,
    /// One object a line
    Json,
}

/// Logs to standard error from now on. What the kernel programs say passes their own level only.
pub fn start(format: LogFormat, filter: &str, kernel: KernelLog) -> anyhow::Result<()> {
    let kernel = match kernel {
        KernelLog::Off => String::new(),
        level => format!(",shunt={level:?}").to_lowercase(),
    };
    let filter = EnvFilter::builder()
        .parse(format!("{filter}{kernel}"))
        .with_context(|| format!("--log: found {filter:?}, expected a level or a filter"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Human => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Passes on what the kernel programs say, until the process ends.
pub fn follow_kernel(logger: EbpfLogger<&'static dyn log::Log>) -> anyhow::Result<()> {
    // SAFETY: the logger owns the descriptor of its ring buffer for as long as it lives.
    let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
    let mut logger = logger.context("waiting for the programs' log")?;
    tokio::spawn(async move {
        while let Ok(mut guard) = logger.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    });
    Ok(())
}

//! What a packet costs: net nanoseconds through the real compiled XDP program. `docs/measuring.md` says how.
//!
//! | module | question it answers |
//! |---|---|
//! | [`cases`], [`modes`] | what is measured, and how good should it be? |
//! | [`plan`] | who has which address? |
//! | [`frame`] | which packets are sent? |
//! | [`stage`] | where does the program run, and what do its maps hold? |
//! | [`wrapper`] | how is one packet run through it many times? |
//! | [`peer`] | what does another balancer take for the same? |
//! | [`measure`] | how is that timed, and did the packets take the way they are billed for? |
//! | [`report`] | how is it shown? |

mod cases;
mod frame;
mod measure;
mod modes;
mod peer;
mod plan;
mod report;
mod stage;
mod wrapper;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    thread,
};

use anyhow::{Context as _, anyhow, ensure};
use clap::Parser;

use crate::{measure::Effort, peer::Peer, report::Report};

/// Net nanoseconds per packet through the real XDP program.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench datapath")]
pub struct Options {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
    /// Timed runs of each case, every one of 100,000 packets
    #[arg(long, default_value_t = 15)]
    pub runs: usize,
    /// Three runs of 20,000 packets: whether it works, not how fast
    #[arg(long)]
    pub quick: bool,
    /// Time this pinned XDP program, too: another balancer's, on the same packets in the same runs
    #[arg(long, value_name = "PIN")]
    pub beside: Option<PathBuf>,
    /// Only cases whose name contains all of these words
    pub filters: Vec<String>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the bench loads programs into the kernel: run `cargo xtask bench datapath` as root"
    );
    // Namespaces, mounts and the choice of a CPU end with the thread.
    let report = thread::scope(|scope| {
        let worker = scope.spawn(|| measure_all(options));
        worker
            .join()
            .map_err(|_| anyhow!("the measuring thread panicked"))?
    })?;
    report.print(options.json)
}

fn measure_all(options: &Options) -> anyhow::Result<Report> {
    let cases: Vec<_> = cases::all()
        .into_iter()
        .filter(|case| {
            options
                .filters
                .iter()
                .all(|word| case.name.contains(word.as_str()))
        })
        .collect();
    ensure!(
        !cases.is_empty(),
        "no case's name contains all of {:?}; `--quick` shows every name in a minute",
        options.filters
    );
    let effort = Effort::of(options);
    let cpu = measure::pin()?;
    // Before the thread has a bpffs of its own.
    let peer = options.beside.as_deref().map(Peer::open).transpose()?;
    stage::enter()?;
    let programs = stage::programs()?;
    let mut rows = Vec::new();
    for case in cases {
        progress(&case.name);
        let measured = stage::measure(&case, effort, peer.as_ref())
            .with_context(|| format!("case {:?}", case.name))?;
        rows.push((case, measured));
    }
    progress("");
    Ok(Report {
        cpu,
        effort,
        programs,
        rows,
    })
}

/// One line, written over by the next.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}");
    }
}

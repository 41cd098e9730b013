//! `cargo xtask demo`: the first user's case from end to end, each claim measured.
//!
//! A client, and a load balancer host on which four FastAPI processes (weights 3, 2, 1, 1) and a backup listen; the
//! daemon balances in XDP on the host's NIC. See [`shunt_tests::topology`] for the wiring.
//!
//! | module | question it answers |
//! |---|---|
//! | [`stage`] | what is set up, and how? |
//! | [`steps`] | what is done, and what is expected of it? |
//! | [`progress`] | what does a waiting person see, and how do they end it? |
//! | [`report`] | what came of it? |

mod progress;
mod report;
mod stage;
mod steps;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, ensure};
use shunt_tests::stale::{self, Leftovers};

use self::{progress::Progress, report::Report, stage::Stage};
use crate::{
    build,
    cli::BuildOptions,
    process,
    setup::{self, Scope},
};

#[derive(clap::Args, Debug)]
pub struct Options {
    /// Leave everything up at the end, to be explored
    #[arg(long)]
    pub keep: bool,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
    /// Remove what `--keep` left, and do nothing else
    #[arg(long, conflicts_with_all = ["keep", "json"])]
    pub remove: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    /// Every expectation held, or everything that was kept is removed.
    Passed,
    /// One did not.
    Failed,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::SUCCESS,
            Outcome::Failed => Self::FAILURE,
        }
    }
}

/// Sets up and builds what the demo needs, and runs it.
pub fn command(options: &Options) -> anyhow::Result<ExitCode> {
    ensure!(
        process::is_root(),
        "the demo makes network namespaces and loads kernel programs: run `cargo xtask demo` as root"
    );
    if options.remove {
        return Ok(remove()?.into());
    }
    setup::ensure(Scope::Test)?;
    let daemon = build::daemon(BuildOptions { release: false })?;
    Ok(run(options, &daemon)?.into())
}

/// Runs the demo with the daemon `binary`.
///
/// # Errors
/// No root, something that does not start, or Ctrl-C. Nothing stays then.
fn run(options: &Options, binary: &Path) -> anyhow::Result<Outcome> {
    let progress = Progress::start()?;
    let mut stage = Stage::set(binary, &progress)?;
    let mut report = Report::default();
    steps::run(&mut stage, &progress, &mut report)?;
    progress.doing("cleaning up");
    let kept = options.keep.then_some(stage);
    progress.finish();
    if options.json {
        println!("{:#}", report.to_json());
    } else {
        println!("{}", report.to_table());
    }
    if let Some(stage) = kept {
        stage.keep()?;
    }
    Ok(if report.holds() {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

fn remove() -> anyhow::Result<Outcome> {
    let removed = stale::remove(Leftovers::Kept).context("removing what is left")?;
    if removed.is_empty() {
        println!("nothing is left");
    }
    for what in removed {
        println!("removed {what}");
    }
    Ok(Outcome::Passed)
}

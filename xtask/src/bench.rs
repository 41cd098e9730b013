//! What packets cost.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use crate::{
    process,
    setup::{self, Scope},
};

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Net nanoseconds per packet through the real XDP program; needs root to load it
    Datapath(DatapathOptions),
}

#[derive(Args, Debug)]
pub struct DatapathOptions {
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Timed runs of each case, every one of 100,000 packets
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Three runs of 20,000 packets: whether it works, not how fast
    #[arg(long)]
    quick: bool,
    /// Only cases whose name contains all of these words
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
}

pub fn command(bench: &Bench) -> Result<ExitCode> {
    let Bench::Datapath(options) = bench;
    ensure!(
        process::is_root(),
        "the bench loads kernel programs: run `cargo xtask bench datapath` as root"
    );
    setup::ensure(Scope::Build)?;
    let mut cargo = process::cargo();
    cargo.args(["bench", "--package", "shunt-tests", "--bench", "datapath"]);
    cargo.arg("--").args(arguments(options));
    process::run("the datapath bench", &mut cargo)?;
    Ok(ExitCode::SUCCESS)
}

fn arguments(options: &DatapathOptions) -> Vec<String> {
    let flag = |is_set: bool, name: &str| is_set.then(|| name.to_owned());
    let runs = options.runs.map(|runs| format!("--runs={runs}"));
    flag(options.json, "--json")
        .into_iter()
        .chain(flag(options.quick, "--quick"))
        .chain(runs)
        .chain(options.filters.iter().cloned())
        .collect()
}

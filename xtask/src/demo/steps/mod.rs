//! What is done, and what is expected of it.

mod failure;
mod outage;
mod recovery;
mod spread;

use std::time::Duration;

use shunt_tests::{Family, client::spread::Spread};

use super::{
    progress::Progress,
    report::Report,
    stage::{Stage, web},
};

/// Threads that ask at the same time.
const THREADS: usize = 4;
/// Requests between two looks at the progress line.
const BATCH: u64 = 250;

pub fn run(stage: &mut Stage, progress: &Progress, report: &mut Report) -> anyhow::Result<()> {
    for family in Family::BOTH {
        spread::run(stage, family, progress, report)?;
    }
    failure::run(stage, progress, report)?;
    outage::run(stage, progress, report)?;
    recovery::run(stage, progress, report)
}

/// Asks the VIP `count` times, over a new connection each.
fn ask(stage: &Stage, family: Family, progress: &Progress, count: u64) -> anyhow::Result<Spread> {
    let mut sum = Spread::default();
    while sum.answered() + sum.failed() < count {
        progress.check()?;
        let left = count - sum.answered() - sum.failed();
        let batch = stage
            .client
            .spread_http(web(family), left.min(BATCH), THREADS)?;
        sum = sum.merge(batch);
        let asked = sum.answered() + sum.failed();
        progress.doing(format!(
            "{asked} of {count} requests over {family}: {}",
            shares(&sum)
        ));
    }
    Ok(sum)
}

fn shares(spread: &Spread) -> String {
    let share = |(name, count): (&String, &u64)| format!("{name} {count}");
    let mut parts: Vec<String> = spread.counts.iter().map(share).collect();
    if spread.failed() > 0 {
        parts.push(format!("failed {}", spread.failed()));
    }
    parts.join(", ")
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

//! The primaries return: the backup stands down.

use std::{
    iter,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use shunt_tests::wait::Hopeless;

use super::{ask, seconds, shares, spread::is_near};
use crate::demo::{
    progress::Progress,
    report::Report,
    stage::{BACKUP, FAMILY, PATIENCE, RETURN, Stage, WEIGHTS, app_name, take},
};

const STEP: &str = "primaries restarted";
const REQUESTS: u64 = 3_000;
/// Over 4 standard deviations of chance for the lightest.
const TOLERANCE: f64 = 0.20;

pub fn run(stage: &mut Stage, progress: &Progress, report: &mut Report) -> anyhow::Result<()> {
    let backup = app_name(BACKUP);
    for i in 0..WEIGHTS.len() {
        stage.start_app(i)?;
    }
    let time = wait_return(stage, progress)?;
    let spread = ask(stage, FAMILY, progress, REQUESTS)?;
    progress.done(format!(
        "primaries restarted: each in use {} after it answered at the latest, {backup} stands down; {}",
        seconds(time),
        shares(&spread)
    ));

    let limit = format!("≤ {}", seconds(RETURN));
    report.expect(
        STEP,
        "slowest primary to be used again",
        limit,
        seconds(time),
        time <= RETURN,
    );
    report.expect(
        STEP,
        "requests that failed",
        0,
        spread.failed(),
        spread.failed() == 0,
    );
    let served = spread.of(&backup);
    report.expect(
        STEP,
        "requests served by the backup",
        0,
        served,
        served == 0,
    );
    let sum: u16 = WEIGHTS.iter().sum();
    let are_near = WEIGHTS.into_iter().enumerate().all(|(i, weight)| {
        let expected = REQUESTS as f64 * f64::from(weight) / f64::from(sum);
        is_near(spread.of(&app_name(i)), expected, TOLERANCE)
    });
    report.expect(
        STEP,
        "requests by weight again",
        format!("± {:.0} %", TOLERANCE * 100.0),
        shares(&spread),
        are_near,
    );
    report.figures(
        STEP,
        json!({
            "return_seconds": time.as_secs_f64(), "return_limit_seconds": RETURN.as_secs_f64(),
            "requests": REQUESTS, "answers": spread.counts, "failures": spread.failures,
        }),
    );
    Ok(())
}

/// Waits until all primaries are in use and the backup is not. Returns how long the slowest to be taken answered in vain.
fn wait_return(stage: &mut Stage, progress: &Progress) -> anyhow::Result<Duration> {
    let mut answers = [None; WEIGHTS.len()];
    let mut is_used = [None; WEIGHTS.len()];
    progress.wait_for("the primaries return; the daemon notices", PATIENCE, || {
        for (i, since) in answers.iter_mut().enumerate() {
            match stage.probe_app(i) {
                Ok(()) => _ = since.get_or_insert_with(Instant::now),
                Err(ended) if ended.is::<Hopeless>() => return Err(ended),
                Err(_) => {}
            }
        }
        let status = stage.daemon.status()?;
        for (i, since) in is_used.iter_mut().enumerate() {
            if take(&status, FAMILY, iter::once(i), true) {
                since.get_or_insert_with(Instant::now);
            }
        }
        let is_done =
            is_used.iter().all(Option::is_some) && take(&status, FAMILY, iter::once(BACKUP), false);
        ensure!(is_done, "status: {status:#}");
        Ok(())
    })?;
    let times = answers
        .into_iter()
        .zip(is_used)
        .filter_map(|(answers, is_used)| Some(is_used?.saturating_duration_since(answers?)));
    times.max().context("there are primaries")
}

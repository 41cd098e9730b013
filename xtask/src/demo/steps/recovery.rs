//! The primaries return: the backup stands down.

use std::time::Instant;

use serde_json::json;
use shunt_tests::Family;

use super::{ask, seconds, shares, spread::is_near};
use crate::demo::{
    progress::Progress,
    report::Report,
    stage::{BACKUP, RETURN, Stage, WEIGHTS, app_name, takes},
};

const STEP: &str = "primaries restarted";
const REQUESTS: u64 = 3_000;
/// Over 4 standard deviations of chance for the lightest.
const TOLERANCE: f64 = 0.20;

pub fn run(stage: &mut Stage, progress: &Progress, report: &mut Report) -> anyhow::Result<()> {
    let backup = app_name(BACKUP);
    let primaries: Vec<usize> = (0..WEIGHTS.len()).collect();
    stage.start_apps(&primaries, progress)?;
    let started = Instant::now();
    stage.wait_status(
        "the primaries are back; the daemon notices",
        progress,
        |status| (0..WEIGHTS.len()).all(|i| takes(status, i, true)) && takes(status, BACKUP, false),
    )?;
    let time = started.elapsed();
    let spread = ask(stage, Family::V4, progress, REQUESTS)?;
    progress.done(format!(
        "primaries restarted: all in use after {}, {backup} stands down; {}",
        seconds(time),
        shares(&spread)
    ));

    let limit = format!("≤ {}", seconds(RETURN));
    report.expect(
        STEP,
        "time until all are in use",
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

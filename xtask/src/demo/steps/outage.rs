//! All primaries are dead: the backup serves.

use std::{iter, time::Instant};

use serde_json::json;

use super::{ask, seconds};
use crate::demo::{
    progress::Progress,
    report::Report,
    stage::{BACKUP, EJECTION, FAMILY, Stage, WEIGHTS, app_name, take},
};

const STEP: &str = "all primaries killed";
const REQUESTS: u64 = 500;

pub fn run(stage: &mut Stage, progress: &Progress, report: &mut Report) -> anyhow::Result<()> {
    let backup = app_name(BACKUP);
    let killed = Instant::now();
    for i in 1..WEIGHTS.len() {
        stage.kill_app(i)?;
    }
    stage.wait_status(
        "the other primaries are killed; the daemon notices",
        progress,
        |status| {
            take(status, FAMILY, 0..BACKUP, false) && take(status, FAMILY, iter::once(BACKUP), true)
        },
    )?;
    let time = killed.elapsed();
    let spread = ask(stage, FAMILY, progress, REQUESTS)?;
    progress.done(format!(
        "all primaries killed: {backup} promoted after {}, and serves {} of {REQUESTS} requests",
        seconds(time),
        spread.of(&backup)
    ));
    let limit = format!("≤ {}", seconds(EJECTION));
    report.expect(
        STEP,
        "time to promotion of the backup",
        limit,
        seconds(time),
        time <= EJECTION,
    );
    let served = spread.of(&backup);
    report.expect(
        STEP,
        "requests served by the backup",
        REQUESTS,
        served,
        served == REQUESTS,
    );
    report.figures(
        STEP,
        json!({
            "promotion_seconds": time.as_secs_f64(), "promotion_limit_seconds": EJECTION.as_secs_f64(),
            "requests": REQUESTS, "answers": spread.counts, "failures": spread.failures,
        }),
    );
    Ok(())
}

//! One backend is killed in the middle of traffic.

use std::{
    iter,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::json;
use shunt_tests::client::{
    spread::Spread,
    traffic::{Question, Sample, Traffic, summary},
};

use super::{THREADS, seconds};
use crate::demo::{
    progress::Progress,
    report::Report,
    stage::{EJECTION, FAMILY, PATIENCE, Stage, WEIGHTS, app_name, take, web},
};

const STEP: &str = "one backend killed";
/// The heaviest: most of its requests are hit.
const VICTIM: usize = 0;
/// Between two requests of a thread, so that the daemon has time for its checks on a small machine.
const PAUSE: Duration = Duration::from_millis(2);
/// Chance may add this to the victim's share of the requests that fail.
const TOLERANCE: f64 = 0.10;
/// Requests before the kill and after the ejection.
const SOME: u64 = 500;

pub fn run(stage: &mut Stage, progress: &Progress, report: &mut Report) -> anyhow::Result<()> {
    let name = app_name(VICTIM);
    let traffic = Traffic::start(&stage.client, Question::Http, web(FAMILY), THREADS, PAUSE);
    wait_requests(&traffic, progress, "requests before the kill")?;
    let killed = Instant::now();
    stage.kill_app(VICTIM)?;
    stage.wait_status(
        &format!("{name} is killed; the daemon notices"),
        progress,
        |status| take(status, FAMILY, iter::once(VICTIM), false),
    )?;
    let ejected = Instant::now();
    wait_requests(&traffic, progress, "requests after the ejection")?;
    let samples = traffic.finish()?;

    let last_failure = last_failure(&samples).map(|at| at.saturating_duration_since(killed));
    let parts = Parts::split(samples, killed, ejected);
    let time = ejected - killed;
    progress.done(format!(
        "{name} killed: ejected after {}, {} of {} requests failed until then",
        seconds(time),
        parts.until.failed(),
        parts.until.failed() + parts.until.answered()
    ));

    let limit = format!("≤ {}", seconds(EJECTION));
    report.expect(
        STEP,
        "time to ejection",
        limit,
        seconds(time),
        time <= EJECTION,
    );
    let before = parts.before.failed();
    report.expect(STEP, "requests that failed before", 0, before, before == 0);
    let (failed, asked) = (
        parts.until.failed(),
        parts.until.failed() + parts.until.answered(),
    );
    let share = failed as f64 / asked.max(1) as f64;
    let most = f64::from(WEIGHTS[VICTIM]) / f64::from(WEIGHTS.iter().sum::<u16>()) + TOLERANCE;
    report.expect(
        STEP,
        "requests that failed until then",
        format!("≤ {:.0} %", most * 100.0),
        format!("{failed} of {asked} ({:.0} %)", share * 100.0),
        share <= most,
    );
    let (after, served) = (parts.after.failed(), parts.after.answered());
    report.expect(
        STEP,
        "requests that failed afterwards",
        0,
        after,
        after == 0,
    );
    // Some of those that were waited for had begun before.
    let enough = SOME - THREADS as u64;
    report.expect(
        STEP,
        "requests served afterwards",
        format!("≥ {enough}"),
        served,
        served >= enough,
    );
    report.figures(
        STEP,
        json!({
            "victim": name, "ejection_seconds": time.as_secs_f64(), "ejection_limit_seconds": EJECTION.as_secs_f64(),
            "last_failure_seconds": last_failure.map(|after| after.as_secs_f64()),
            "failed": {"before": before, "until_ejection": parts.until.failed(), "after": after},
            "answered": {
                "before": parts.before.answered(), "until_ejection": parts.until.answered(),
                "after": parts.after.answered(),
            },
            "failures": parts.until.failures,
        }),
    );
    Ok(())
}

/// Requests by when they were under way.
struct Parts {
    before: Spread,
    until: Spread,
    after: Spread,
}

impl Parts {
    fn split(samples: Vec<Sample>, killed: Instant, ejected: Instant) -> Self {
        let (after, earlier): (Vec<_>, Vec<_>) = samples
            .into_iter()
            .partition(|sample| sample.start >= ejected);
        let (before, until): (Vec<_>, Vec<_>) = earlier
            .into_iter()
            .partition(|sample| sample.start + sample.took < killed);
        Self {
            before: summary(before),
            until: summary(until),
            after: summary(after),
        }
    }
}

fn last_failure(samples: &[Sample]) -> Option<Instant> {
    let failed = samples.iter().filter(|sample| sample.result.is_err());
    failed.map(|sample| sample.start + sample.took).max()
}

fn wait_requests(traffic: &Traffic, progress: &Progress, what: &str) -> anyhow::Result<()> {
    let target = traffic.asked() + SOME;
    progress.wait_for(format!("{SOME} {what}"), PATIENCE, || {
        let asked = traffic.asked();
        ensure!(asked >= target, "{} are missing", target - asked);
        Ok(())
    })
}

//! Requests spread by weight, through XDP, and no flow is recorded for it.

use serde_json::{Value, json};
use shunt_tests::{Family, daemon::verdicts, netns::Packets};

use super::{ask, shares};
use crate::demo::{
    progress::Progress,
    report::Report,
    stage::{Stage, WEIGHTS, app_name},
};

const REQUESTS: u64 = 10_000;
/// How far a backend's share may be off: over 3 standard deviations of chance for the lightest.
const TOLERANCE: f64 = 0.10;
/// How far the datapath's counters may be off from the client's NIC, which also counts neighbour discovery.
const STRAY: f64 = 0.01;

pub fn run(
    stage: &mut Stage,
    family: Family,
    progress: &Progress,
    report: &mut Report,
) -> anyhow::Result<()> {
    let step = match family {
        Family::V4 => "spread over IPv4",
        Family::V6 => "spread over IPv6",
    };
    let before = Reading::take(stage)?;
    let spread = ask(stage, family, progress, REQUESTS)?;
    let after = Reading::take(stage)?;
    progress.done(format!(
        "{REQUESTS} requests over {family}: {}",
        shares(&spread)
    ));

    report.expect(
        step,
        "requests that failed",
        0,
        spread.failed(),
        spread.failed() == 0,
    );
    let sum: u16 = WEIGHTS.iter().sum();
    for (i, weight) in WEIGHTS.into_iter().enumerate() {
        let (name, share) = (app_name(i), f64::from(weight) / f64::from(sum));
        let (expected, measured) = (share * REQUESTS as f64, spread.of(&name));
        report.expect(
            step,
            format!("{name}, weight {weight}"),
            format!("{expected:.0} ± {:.0} %", TOLERANCE * 100.0),
            format!(
                "{measured} ({:+.1} %)",
                (measured as f64 / expected - 1.0) * 100.0
            ),
            is_near(measured, expected, TOLERANCE),
        );
    }
    let primaries: u64 = (0..WEIGHTS.len()).map(|i| spread.of(&app_name(i))).sum();
    let others = spread.answered() - primaries;
    report.expect(
        step,
        "requests served by the backup",
        0,
        others,
        others == 0,
    );

    let mode = after.status["interfaces"][0]["mode"]
        .as_str()
        .unwrap_or("none")
        .to_owned();
    report.expect(step, "XDP attached", "native", &mode, mode == "native");
    let (sent, received) = (
        after.nic.sent - before.nic.sent,
        after.nic.received - before.nic.received,
    );
    let forwarded = after.forwarded - before.forwarded;
    let replied = after.replied - before.replied;
    for (what, counted, of) in [
        ("packets of the client forwarded by XDP", forwarded, sent),
        ("packets to the client rewritten by tc", replied, received),
    ] {
        report.expect(
            step,
            what,
            format!("{of} ± {:.0} %", STRAY * 100.0),
            counted,
            counted > 0 && is_near(counted, of as f64, STRAY),
        );
    }
    let recorded = after.status["flows"]["recorded"].as_u64();
    report.expect(
        step,
        "flows recorded for it",
        0,
        recorded.map_or("not told".to_owned(), |count| count.to_string()),
        recorded == Some(0),
    );
    report.figures(
        step,
        json!({
            "requests": REQUESTS, "answers": spread.counts, "failures": spread.failures, "retries": spread.retries,
            "slowest_seconds": spread.slowest.as_secs_f64(), "mode": mode,
            "packets": {"sent": sent, "forwarded": forwarded, "received": received, "replies_rewritten": replied},
            "flows_recorded": recorded,
        }),
    );
    Ok(())
}

/// What the datapath and the client's NIC have counted.
struct Reading {
    status: Value,
    nic: Packets,
    forwarded: u64,
    replied: u64,
}

impl Reading {
    fn take(stage: &Stage) -> anyhow::Result<Self> {
        let status = stage.daemon.status()?;
        Ok(Self {
            forwarded: verdicts(&status, "forward_"),
            replied: verdicts(&status, "egress_reply"),
            status,
            nic: stage.topology.client.packets("eth0")?,
        })
    }
}

pub(super) fn is_near(measured: u64, expected: f64, tolerance: f64) -> bool {
    (measured as f64 - expected).abs() <= expected * tolerance
}

//! How a case is timed, and whether every packet took the way that it is billed for.

use anyhow::{Context as _, bail, ensure};
use aya::programs::ProgramFd;
use lb_common::verdict::{Event, Verdict};
use lb_userspace::dataplane::Counters;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

use crate::{Options, cases::Case, wrapper::Wrapper};

/// How long each case is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub runs: usize,
    /// Packets of one run.
    pub packets: u32,
}

impl Effort {
    pub fn of(options: &Options) -> Self {
        if options.quick {
            return Self {
                runs: 3,
                packets: 20_000,
            };
        }
        Self {
            runs: options.runs.max(1),
            packets: 100_000,
        }
    }
}

/// Net nanoseconds per packet.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// On a quiet machine: the 10th percentile.
    pub p10: f64,
    pub median: f64,
    /// The wrapper's own median, which is subtracted.
    pub wrapper: f64,
    /// How often the kernel is asked for a next hop, per packet.
    pub lookups: f64,
}

/// Keeps the calling thread on one CPU: the last it may use, because the first serves most interrupts.
pub fn pin() -> anyhow::Result<usize> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let cpu = (0..CpuSet::count())
        .rev()
        .find(|&cpu| allowed.is_set(cpu).unwrap_or(false))
        .context("there is no CPU to run on")?;
    let mut only = CpuSet::new();
    only.set(cpu)?;
    sched_setaffinity(this, &only)?;
    Ok(cpu)
}

/// Runs the stub and the program in alternation, and subtracts.
pub fn time(
    wrapper: &mut Wrapper,
    program: &ProgramFd,
    effort: Effort,
) -> anyhow::Result<Measurement> {
    let stub = wrapper.stub()?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..effort.runs {
        for (program, times) in [(&stub, &mut without), (program, &mut with)] {
            wrapper.call(program)?;
            // Code and data that the other one displaced.
            wrapper.run(effort.packets / 20)?;
            times.push(wrapper.run(effort.packets)?.nanoseconds);
        }
    }
    let net = |share| quantile(&mut with.clone(), share) - quantile(&mut without.clone(), share);
    Ok(Measurement {
        p10: net(0.1),
        median: net(0.5),
        wrapper: quantile(&mut without.clone(), 0.5),
        lookups: 0.0,
    })
}

/// With linear interpolation between neighbours.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = share * (values.len() - 1) as f64;
    let low = values[place.floor() as usize];
    let high = values[place.ceil() as usize];
    low + (high - low) * place.fract()
}

/// Runs packets of which every one must end in the case's verdict, with its events and no others but those that some of
/// them cause, and says how often the kernel was asked for a next hop, per packet.
pub fn verify(
    case: &Case,
    wrapper: &mut Wrapper,
    packets: u32,
    counters: impl Fn() -> anyhow::Result<Counters>,
) -> anyhow::Result<f64> {
    let before = (counters()?, wrapper.counts()?);
    let ran = wrapper.run(packets)?;
    let after = (counters()?, wrapper.counts()?);

    let [runs, grown] = [0, 1].map(|i| after.1[i].wrapping_sub(before.1[i]));
    ensure!(
        runs == packets,
        "expected {packets} runs of the wrapper, found {runs}"
    );
    let expected = if case.growth == 0 { 0 } else { packets - 1 };
    ensure!(
        grown == expected,
        "expected that the head grew before {expected} of {packets} packets, found {grown}"
    );
    for verdict in Verdict::ALL {
        let moved = moved(&before.0.verdicts, &after.0.verdicts, verdict.name());
        let expected = u64::from(packets) * u64::from(*verdict == case.verdict);
        ensure!(
            moved == expected,
            "expected {expected} packets under {}, found {moved}",
            verdict.name()
        );
    }
    let expected_action = action(case.verdict)?;
    ensure!(
        ran.action == expected_action,
        "expected XDP action {expected_action}, found {}",
        ran.action
    );
    for event in Event::ALL {
        let moved = moved(&before.0.events, &after.0.events, event.name());
        let expected = u64::from(packets) * u64::from(case.events.contains(event));
        ensure!(
            case.sometimes.contains(event) || moved == expected,
            "expected the event {} {expected} times, found {moved}",
            event.name()
        );
    }
    let asked = Event::HopAsked.name();
    Ok(moved(&before.0.events, &after.0.events, asked) as f64 / f64::from(packets))
}

fn moved(
    before: &std::collections::BTreeMap<&'static str, u64>,
    after: &std::collections::BTreeMap<&'static str, u64>,
    name: &str,
) -> u64 {
    let value = |counters: &std::collections::BTreeMap<&'static str, u64>| {
        counters.get(name).copied().unwrap_or_default()
    };
    value(after) - value(before)
}

/// What the program returns with a verdict: `XDP_PASS` 2, `XDP_TX` 3, `XDP_REDIRECT` 4.
fn action(verdict: Verdict) -> anyhow::Result<u32> {
    Ok(match verdict {
        Verdict::NotOurs => 2,
        Verdict::ForwardSame | Verdict::ReplySame => 3,
        Verdict::ForwardOther | Verdict::ReplyOther => 4,
        other => bail!("no case is about the verdict {}", other.name()),
    })
}

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

/// A program, and the wrapper that calls it.
pub struct Contender<'a> {
    pub wrapper: &'a mut Wrapper,
    pub program: &'a ProgramFd,
}

/// Runs each one's stub and program in alternation, and subtracts.
pub fn time(contenders: &mut [Contender<'_>], effort: Effort) -> anyhow::Result<Vec<Measurement>> {
    let mut times = vec![Times::default(); contenders.len()];
    for _ in 0..effort.runs {
        for (Contender { wrapper, program }, times) in contenders.iter_mut().zip(&mut times) {
            let stub = wrapper.stub()?;
            for (program, times) in [(&stub, &mut times.without), (*program, &mut times.with)] {
                wrapper.call(program)?;
                // Code and data that the other one displaced.
                wrapper.run(effort.packets / 20)?;
                times.push(wrapper.run(effort.packets)?.nanoseconds);
            }
        }
    }
    Ok(times.into_iter().map(Times::net).collect())
}

/// What the packets of each run took, with the program and without.
#[derive(Clone, Debug, Default)]
struct Times {
    with: Vec<f64>,
    without: Vec<f64>,
}

impl Times {
    fn net(mut self) -> Measurement {
        let mut net = |share| quantile(&mut self.with, share) - quantile(&mut self.without, share);
        Measurement {
            p10: net(0.1),
            median: net(0.5),
            wrapper: quantile(&mut self.without, 0.5),
            lookups: 0.0,
        }
    }
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
    let before = counters()?;
    let ran = wrapper.run_counted(packets)?;
    let after = counters()?;
    for verdict in Verdict::ALL {
        let moved = moved(&before.verdicts, &after.verdicts, verdict.name());
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
        let moved = moved(&before.events, &after.events, event.name());
        let expected = u64::from(packets) * u64::from(case.events.contains(event));
        ensure!(
            case.sometimes.contains(event) || moved == expected,
            "expected the event {} {expected} times, found {moved}",
            event.name()
        );
    }
    let asked = Event::HopAsked.name();
    Ok(moved(&before.events, &after.events, asked) as f64 / f64::from(packets))
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

//! How does one kernel get through all tests? A machine that dies is started again with the test after the one that
//! killed it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use shunt_tests::guest::protocol::{Event, FIRST, Outcome, Plan, Test};

use super::{
    accelerator::Accelerator,
    interrupt,
    kernels::Kernel,
    machine::{Ended, Machine, Parts},
};

const POLL: Duration = Duration::from_millis(100);
/// From the start of qemu until init speaks. An emulated one takes 3 to 4 s on an idle machine.
const BOOT: Duration = Duration::from_secs(30);
/// One boot in some hundreds hangs before init, which is no test's fault.
const TRIES: usize = 3;
/// Lines of a passed test's output that are kept.
const OUTPUT: usize = 4000;

#[derive(Debug)]
pub struct Session<'a> {
    pub kernel: &'a Kernel,
    pub image: &'a Path,
    pub accelerator: &'a Accelerator,
    pub plan: &'a Plan,
    /// All boots together may take so long.
    pub limit: Duration,
    /// What a guest gets in addition to a test's limit to end that test itself.
    pub grace: Duration,
    /// Further words for the kernel's command line.
    pub arguments: &'a str,
    pub logs: &'a Path,
}

/// What became of a test on one kernel.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    pub took: Duration,
    pub output: Vec<String>,
}

/// What became of one kernel.
#[derive(Debug)]
pub struct Report {
    pub kernel: String,
    /// In the plan's order; `None` for a test that was never started.
    pub verdicts: Vec<Option<Verdict>>,
    /// Why tests were never started.
    pub trouble: Option<String>,
    /// Until init spoke, for each start.
    pub boots: Vec<Duration>,
    pub took: Duration,
}

/// Why a machine is not needed any more.
#[derive(Debug)]
enum End {
    Done,
    /// Init never spoke.
    NoBoot(String),
    /// It, or what it was doing, is beyond help.
    Died(String),
    OutOfTime,
}

impl Session<'_> {
    pub fn run(&self) -> Result<Report> {
        let start = Instant::now();
        let mut progress = Progress::new(self.kernel.version(), self.plan);
        let mut failed_boots = 0;
        let mut boot = 0;
        while progress.next < self.plan.tests.len() && progress.report.trouble.is_none() {
            boot += 1;
            let console = self.logs.join(format!("boot-{boot}.log"));
            let end = self.boot(&console, &mut progress, start)?;
            match end {
                End::Done => break,
                End::NoBoot(why) => {
                    failed_boots += 1;
                    progress.say(&format!("no boot ({why}), try {failed_boots} of {TRIES}"));
                    if failed_boots == TRIES {
                        progress.report.trouble = Some(format!("no boot in {TRIES} tries: {why}"));
                    }
                }
                End::Died(why) => {
                    if progress.running.is_none() {
                        failed_boots += 1;
                    }
                    progress.died(&why);
                    if failed_boots == TRIES {
                        progress.report.trouble = Some(why);
                    }
                }
                End::OutOfTime => {
                    progress.died(&format!(
                        "the limit of {:?} for all tests of a kernel",
                        self.limit
                    ));
                    progress.report.trouble =
                        Some(format!("not through after its limit of {:?}", self.limit));
                }
            }
        }
        progress.report.took = start.elapsed();
        write_outputs(&progress.report, self.plan, &self.logs.join("tests.log"))?;
        Ok(progress.report)
    }

    fn boot(&self, console: &Path, progress: &mut Progress<'_>, start: Instant) -> Result<End> {
        let parts = Parts {
            kernel: &self.kernel.image,
            image: self.image,
            accelerator: self.accelerator,
            arguments: format!("{FIRST}={} {}", progress.next, self.arguments),
            devices: Vec::new(),
        };
        let booted = Instant::now();
        let mut machine = Machine::start(&parts, console)?;
        let end = self.watch(&mut machine, progress, start);
        machine.kill();
        if let Ok(End::NoBoot(_)) = end {
            // The hang's own log is of no use to anyone once the next boot works.
            progress.report.boots.push(booted.elapsed());
        }
        end
    }

    fn watch(
        &self,
        machine: &mut Machine,
        progress: &mut Progress<'_>,
        start: Instant,
    ) -> Result<End> {
        let booted = Instant::now();
        let mut ready = false;
        loop {
            if interrupt::requested() {
                bail!("interrupted");
            }
            match machine.event(POLL) {
                Ok(Some(Event::Ready { kernel })) => {
                    ready = true;
                    progress.report.boots.push(booted.elapsed());
                    progress.say(&format!(
                        "Linux {kernel} up after {:.1} s",
                        booted.elapsed().as_secs_f64()
                    ));
                }
                Ok(Some(Event::Done)) => return Ok(End::Done),
                Ok(Some(event)) => progress.take(event),
                Ok(None) => {}
                Err(Ended) => {
                    let why = machine.console.trouble();
                    let why = why.unwrap_or_else(|| "the machine went off".to_owned());
                    return Ok(died(ready, &why, machine));
                }
            }
            if let Some(trouble) = machine.console.trouble() {
                // Its last events may still be on their way.
                while let Ok(Some(event)) = machine.event(POLL) {
                    progress.take(event);
                }
                return Ok(died(ready, &trouble, machine));
            }
            if !ready && booted.elapsed() > BOOT {
                return Ok(died(
                    false,
                    &format!("init did not start within {BOOT:?}"),
                    machine,
                ));
            }
            let limit = Duration::from_secs(self.plan.limit_seconds) + self.grace;
            if progress
                .running
                .as_ref()
                .is_some_and(|running| running.started.elapsed() > limit)
            {
                return Ok(died(
                    true,
                    &format!("the machine did not end a test within {limit:?}"),
                    machine,
                ));
            }
            if start.elapsed() > self.limit {
                return Ok(End::OutOfTime);
            }
        }
    }
}

fn died(ready: bool, why: &str, machine: &Machine) -> End {
    let console = &machine.console;
    if !ready {
        return End::NoBoot(format!("{why}; see {}", console.path().display()));
    }
    End::Died(format!(
        "{why}\nend of the machine's console, {}:\n{}",
        console.path().display(),
        console.tail()
    ))
}

#[derive(Debug)]
struct Progress<'a> {
    plan: &'a Plan,
    report: Report,
    next: usize,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    test: usize,
    started: Instant,
    output: Vec<String>,
}

impl<'a> Progress<'a> {
    fn new(kernel: &str, plan: &'a Plan) -> Self {
        Self {
            plan,
            report: Report {
                kernel: kernel.to_owned(),
                verdicts: vec![None; plan.tests.len()],
                trouble: None,
                boots: Vec::new(),
                took: Duration::ZERO,
            },
            next: 0,
            running: None,
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Started { test } if test < self.plan.tests.len() => {
                self.running = Some(Running {
                    test,
                    started: Instant::now(),
                    output: Vec::new(),
                });
            }
            Event::Output { line, .. } => {
                if let Some(running) = &mut self.running
                    && running.output.len() < OUTPUT
                {
                    running.output.push(line);
                }
            }
            Event::Ended {
                millis, outcome, ..
            } => self.end(outcome, Duration::from_millis(millis)),
            Event::Trouble { what } => self.report.trouble = Some(what),
            Event::Started { .. } | Event::Ready { .. } | Event::Done => {}
        }
    }

    fn end(&mut self, outcome: Outcome, took: Duration) {
        let Some(running) = self.running.take() else {
            return;
        };
        let word = match &outcome {
            Outcome::Passed => "ok".to_owned(),
            Outcome::Failed { .. } => "FAILED".to_owned(),
            Outcome::NotRun { reason } => format!("not run: {reason}"),
        };
        let test = &self.plan.tests[running.test];
        println!(
            "test [{}] {test} ... {word} ({:.1} s)",
            self.report.kernel,
            took.as_secs_f64()
        );
        self.report.verdicts[running.test] = Some(Verdict {
            outcome,
            took,
            output: running.output,
        });
        self.next = running.test + 1;
    }

    /// The machine is gone, and the test that ran was the reason.
    fn died(&mut self, why: &str) {
        let took = self
            .running
            .as_ref()
            .map(|running| running.started.elapsed());
        match took {
            Some(took) => self.end(
                Outcome::Failed {
                    reason: why.to_owned(),
                },
                took,
            ),
            None => self.say(&format!("the machine died between two tests: {why}")),
        }
    }

    fn say(&self, what: &str) {
        println!("vm [{}] {what}", self.report.kernel);
    }
}

/// All that the tests printed.
fn write_outputs(report: &Report, plan: &Plan, to: &PathBuf) -> Result<()> {
    let mut text = String::new();
    for (test, verdict) in plan.tests.iter().zip(&report.verdicts) {
        text.push_str(&section(test, verdict.as_ref()));
    }
    fs::write(to, text).with_context(|| format!("writing {}", to.display()))
}

fn section(test: &Test, verdict: Option<&Verdict>) -> String {
    let Some(verdict) = verdict else {
        return format!("---- {test} was never started ----\n\n");
    };
    let mut text = format!(
        "---- {test}: {:?}, {:?} ----\n",
        verdict.outcome, verdict.took
    );
    for line in &verdict.output {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
    text
}

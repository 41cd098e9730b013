//! Does the bench itself report rightly what goes wrong? Tests that fail, hang and panic on purpose, and a machine that
//! does not boot.

use std::{fs, process, time::Duration};

use anyhow::{Context as _, Result, ensure};
use shunt_tests::guest::protocol::{Outcome, Plan};

use super::{bench::Bench, harness::Harness, kernels::Kernel, session::Report};

/// The file of them.
const BINARY: &str = "vm_selftest";
const LIMIT: Duration = Duration::from_secs(8);
const GRACE: Duration = Duration::from_secs(7);

enum Expected {
    Passed,
    /// The reason begins so.
    Failed(&'static str),
    NotRun(&'static str),
}

/// By name; what each prints, or why it ends.
const EXPECTED: &[(&str, Expected)] = &[
    ("a_passes", Expected::Passed),
    ("b_fails", Expected::Failed("exit status: 101")),
    (
        "c_needs_what_is_not_there",
        Expected::NotRun("needs the kernel module shunt_no_such_module"),
    ),
    ("d_hangs", Expected::Failed("still running after its limit")),
    (
        "e_panics_the_kernel",
        Expected::Failed("kernel panic: sysrq triggered crash"),
    ),
    (
        "f_stops_the_runner",
        Expected::Failed("the machine did not end a test within"),
    ),
    ("g_loads_a_module", Expected::Passed),
];

/// # Errors
/// What was reported in another way than it was.
pub fn run(harness: &Harness, kernel: Kernel, keep: bool) -> Result<()> {
    let plan = Plan {
        limit_seconds: LIMIT.as_secs(),
        tests: harness.ignored(BINARY),
    };
    let mut bench = Bench::new(harness, plan, vec![kernel], keep)?;
    bench.grace = GRACE;
    println!("vm: the bench's own test; its tests fail, hang and panic on purpose");
    let reports = bench.run(1)?;
    let [report] = &reports[..] else {
        anyhow::bail!("{} reports of one kernel", reports.len());
    };
    compare(&bench.plan, report)?;

    "rdinit=/nowhere".clone_into(&mut bench.arguments);
    for report in bench.run(1)? {
        ensure!(
            report.verdicts.iter().all(Option::is_none),
            "tests of a machine that did not boot were reported: {:?}",
            report.verdicts
        );
        let trouble = report.trouble.unwrap_or_default();
        ensure!(
            trouble.starts_with("no boot in 3 tries: kernel panic"),
            "a machine that does not boot was reported as {trouble:?}"
        );
    }
    nothing_runs()?;
    bench.tidy(true)?;
    println!(
        "vm: the bench's own test is passed: {} tests and a machine that does not boot were reported as what they are",
        bench.plan.tests.len()
    );
    Ok(())
}

fn compare(plan: &Plan, report: &Report) -> Result<()> {
    ensure!(
        plan.tests.len() == EXPECTED.len(),
        "{} tests are in {BINARY}, {} are expected",
        plan.tests.len(),
        EXPECTED.len()
    );
    for ((test, verdict), (name, expected)) in plan.tests.iter().zip(&report.verdicts).zip(EXPECTED)
    {
        ensure!(test.name == *name, "{test} comes where {name} is expected");
        let verdict = verdict
            .as_ref()
            .with_context(|| format!("{test} was never started"))?;
        let is_right = match (expected, &verdict.outcome) {
            (Expected::Passed, Outcome::Passed) => true,
            (Expected::Failed(start), Outcome::Failed { reason }) => reason.starts_with(start),
            (Expected::NotRun(start), Outcome::NotRun { reason }) => reason.starts_with(start),
            _ => false,
        };
        ensure!(is_right, "{test} was reported as {:?}", verdict.outcome);
        ensure!(
            verdict.took < LIMIT + GRACE + Duration::from_secs(2),
            "{test} took {:?}, its limit is {LIMIT:?} and {GRACE:?} for the machine",
            verdict.took
        );
    }
    for (number, words) in [
        (0, "said by the one that passes"),
        (1, "said by the one that fails"),
    ] {
        let output = report.verdicts[number]
            .as_ref()
            .map(|verdict| verdict.output.join("\n"));
        ensure!(
            output.as_deref().unwrap_or_default().contains(words),
            "the output of {} lacks {words:?}: {output:?}",
            plan.tests[number]
        );
    }
    Ok(())
}

/// No machine is left.
fn nothing_runs() -> Result<()> {
    let me = process::id();
    for entry in fs::read_dir("/proc/self/task")? {
        let children = entry?.path().join("children");
        let children = fs::read_to_string(&children).unwrap_or_default();
        ensure!(
            children.trim().is_empty(),
            "process {me} has children left: {children}"
        );
    }
    Ok(())
}

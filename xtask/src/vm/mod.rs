//! Does everything hold on other kernels, too? The same tests in virtual machines.
//!
//! | module | question it answers |
//! |---|---|
//! | [`emulator`], [`accelerator`] | is there a qemu, and does KVM work? |
//! | [`kernels`], [`modules`], [`apt`] | which kernels and modules are there, and how do they get here? |
//! | [`harness`] | which tests are there, and how are they built? |
//! | [`image`], [`programs`], [`archive`] | what does a machine find in its file system? |
//! | [`machine`], [`console`] | how is qemu started, and is its kernel in trouble? |
//! | [`bench`], [`session`], [`interrupt`] | how do kernels get through all tests? |
//! | [`trio`] | how do three machines play client, load balancer and backends? |
//! | [`report`] | what is said at the end? |
//! | [`selftest`] | does the bench itself report rightly what goes wrong? |
//!
//! The inside of the machine is `shunt_tests::guest`.

mod accelerator;
mod apt;
mod archive;
mod bench;
mod console;
mod emulator;
mod harness;
mod image;
mod interrupt;
mod kernels;
mod machine;
mod modules;
mod programs;
mod report;
mod selftest;
mod session;
mod trio;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, thread};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use shunt_tests::guest::protocol::{Outcome, Test};

use self::{bench::Bench, harness::Harness, report::Counts, session::Report};
use crate::{
    cli::BuildOptions,
    paths,
    setup::{self, Policy, Scope},
};

/// What a run of all tests has beside this machine's kernel: the oldest one supported, and the newest one.
const WITH_ALL_TESTS: &[&str] = &["5.10", kernels::NEWEST];
/// The tests that such a run repeats on both of them, by parts of their names: packet by packet, and once each way of
/// attaching and taking over. `cargo xtask test vm` runs all of them.
const REPEATED: &[&str] = &[
    "packets::every_row",
    "detach::native",
    "stays_put::packets_do_not",
];
/// Those that it repeats on the oldest alone; of those that this machine's kernel cannot run, too. The others of these run on
/// the newest: so both are done at about the same time.
const ON_THE_OLDEST: &[&str] = &[
    "balance::backends_on_other_hosts",
    "local_clients::sockets::the_client_sees",
    "pmtu::",
];

#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    pub build: BuildOptions,
    /// Only this kernel, such as 6.12, or `newest`; may be given more than once
    #[arg(long = "kernel", value_name = "VERSION")]
    pub kernels: Vec<String>,
    /// Keep images and logs also when everything passed
    #[arg(long)]
    pub keep: bool,
    /// Boot the first of the kernels to a shell on this terminal, with the tests at hand
    #[arg(long)]
    pub shell: bool,
    /// Test the bench itself: tests that fail, hang and panic the kernel on purpose
    #[arg(long, conflicts_with_all = ["shell", "filters"])]
    pub selftest: bool,
    /// Only the three machines: client, load balancer and backends
    #[arg(long, conflicts_with_all = ["shell", "selftest", "filters"])]
    pub three: bool,
    /// Machines that run at the same time
    #[arg(long, value_name = "N", default_value_t = bench::JOBS, value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    /// Run only tests whose name contains one of these
    pub filters: Vec<String>,
}

impl Options {
    /// Where KVM does not work all tests take hours, and twice as long if not built with optimisations.
    fn profile(&self) -> BuildOptions {
        let all = self.filters.is_empty() && !self.selftest && !self.three && !self.shell;
        BuildOptions {
            release: self.build.release || all,
        }
    }
}

/// What setup keeps for machines.
fn cache() -> PathBuf {
    paths::cache().join("vm")
}

/// What a run of all tests needs.
pub fn setup(_scope: Scope, policy: Policy) -> Result<()> {
    emulator::ensure(policy)?;
    kernels::ensure(&owned(WITH_ALL_TESTS), policy)?;
    Ok(())
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub fn command(options: &Options) -> Result<ExitCode> {
    setup::ensure(Scope::Test)?;
    let names = match &options.kernels[..] {
        [] if options.selftest || options.shell => owned(&[kernels::NEWEST]),
        [] => owned(kernels::MATRIX),
        names => names.to_vec(),
    };
    let kernels = {
        let _alone = setup::lock()?;
        emulator::ensure(Policy::Install)?;
        kernels::ensure(&names, Policy::Install)?
    };
    let _alone = bench::lock()?;
    let harness = Harness::build(options.profile())?;
    if options.selftest {
        interrupt::note()?;
        for kernel in kernels {
            selftest::run(&harness, kernel, options.keep)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if options.three {
        interrupt::note()?;
        let reports = trio::run(&harness, &kernels, options.keep)?;
        let good = reports.iter().all(|report| report.failure.is_none());
        return Ok(ExitCode::from(u8::from(!good)));
    }
    let tests = harness.tests(&options.filters);
    ensure!(
        !tests.is_empty(),
        "no test's name contains {}; `--list` of a test binary names them",
        options.filters.join(" or ")
    );
    let filtered_out = harness.tests(&[]).len() - tests.len();
    let bench = Bench::new(&harness, bench::plan(tests), kernels.clone(), options.keep)?;
    if options.shell {
        return bench.shell();
    }
    interrupt::note()?;
    // Before the summary, which is said last.
    let trios = if options.filters.is_empty() {
        trio::run(&harness, &kernels, options.keep)?
    } else {
        Vec::new()
    };
    let reports = bench.run(options.jobs)?;
    report::print(&bench.plan, &reports, filtered_out);
    let good = reports.iter().all(|report| Counts::of(report).is_good())
        && trios.iter().all(|report| report.failure.is_none());
    bench.tidy(good)?;
    let passed: usize = reports.iter().map(|report| Counts::of(report).passed).sum();
    Ok(ExitCode::from(u8::from(!good || passed == 0)))
}

/// After the tests on this machine: the bench's own test, and all tests on a few other kernels.
///
/// # Errors
/// A test failed, or, of those in `not_run` (by name), one ran in no machine either.
pub fn with_all_tests(build: BuildOptions, not_run: &BTreeSet<String>) -> Result<()> {
    let kernels = kernels::ensure(&owned(WITH_ALL_TESTS), Policy::Install)?;
    let _alone = bench::lock()?;
    let harness = Harness::build(build)?;
    interrupt::note()?;
    let newest = kernels.last().context("no kernel")?.clone();
    let tested = selftest::run(&harness, newest, false).context("the VM bench's own test");
    let trios = trio::run(&harness, &kernels[..1], false)?;
    let benches = kernels
        .into_iter()
        .zip(shares(not_run))
        .map(|(kernel, names)| {
            let plan = bench::plan(harness.tests(&names));
            Bench::new(&harness, plan, vec![kernel], false)
        })
        .collect::<Result<Vec<_>>>()?;
    let reports = thread::scope(|scope| {
        let running: Vec<_> = benches
            .iter()
            .map(|bench| scope.spawn(|| bench.run(bench::JOBS)))
            .collect();
        let ended = running.into_iter().map(|bench| match bench.join() {
            Ok(reports) => reports,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect::<Result<Vec<_>>>()
    })?;
    let mut good = trios.iter().all(|report| report.failure.is_none());
    let mut nowhere = not_run.clone();
    for (bench, reports) in benches.iter().zip(&reports) {
        report::print(&bench.plan, reports, 0);
        let passed = reports.iter().all(|report| Counts::of(report).is_good());
        bench.tidy(passed)?;
        good &= passed;
        nowhere = self::nowhere(&nowhere, &bench.plan.tests, reports);
    }
    tested?;
    ensure!(good, "tests failed in virtual machines, see above");
    let nowhere: Vec<String> = nowhere.into_iter().collect();
    ensure!(
        nowhere.is_empty(),
        "these tests ran nowhere, neither here nor in a virtual machine: {}",
        nowhere.join(", ")
    );
    Ok(())
}

/// What the oldest kernel has to run, and what the newest, by parts of names.
fn shares(not_run: &BTreeSet<String>) -> [Vec<String>; 2] {
    let is_oldest = |name: &&String| ON_THE_OLDEST.iter().any(|part| name.contains(part));
    let (on_oldest, on_newest): (Vec<_>, Vec<_>) = not_run.iter().partition(is_oldest);
    let only = ON_THE_OLDEST.iter().filter(|part| !part.ends_with("::"));
    let oldest = REPEATED.iter().chain(only).map(|&part| part.to_owned());
    let newest = REPEATED.iter().map(|&part| part.to_owned());
    [
        oldest.chain(on_oldest.into_iter().cloned()).collect(),
        newest.chain(on_newest.into_iter().cloned()).collect(),
    ]
}

/// Tests of `not_run` that no machine ran.
fn nowhere(not_run: &BTreeSet<String>, tests: &[Test], reports: &[Report]) -> BTreeSet<String> {
    let ran = |name: &String| {
        let Some(number) = tests.iter().position(|test| test.to_string() == *name) else {
            return false;
        };
        reports.iter().any(|report| {
            let verdict = report.verdicts[number].as_ref();
            verdict.is_some_and(|verdict| !matches!(verdict.outcome, Outcome::NotRun { .. }))
        })
    };
    not_run.iter().filter(|name| !ran(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{session::Verdict, *};

    #[test]
    fn every_test_that_cannot_run_here_is_somebodys() {
        let not_run: BTreeSet<String> = ["pmtu::gue", "one_arm::on_a_bond"]
            .map(str::to_owned)
            .into();
        let [oldest, newest] = shares(&not_run);
        assert!(oldest.contains(&"pmtu::gue".to_owned()), "{oldest:?}");
        assert!(
            newest.contains(&"one_arm::on_a_bond".to_owned()),
            "{newest:?}"
        );
        let twice = |part: &&str| {
            let part = (*part).to_owned();
            oldest.contains(&part) && newest.contains(&part)
        };
        assert!(REPEATED.iter().all(twice));
    }

    #[test]
    fn a_test_that_no_machine_ran_ran_nowhere() {
        let tests = ["a", "b", "c"].map(|name| Test {
            binary: "tunnels".into(),
            name: name.into(),
        });
        let verdict = |outcome| {
            Some(Verdict {
                outcome,
                took: Duration::ZERO,
                output: Vec::new(),
            })
        };
        let reason = String::new();
        let report = Report {
            kernel: "6.12".into(),
            verdicts: vec![
                verdict(Outcome::Passed),
                verdict(Outcome::NotRun { reason }),
                None,
            ],
            trouble: None,
            boots: Vec::new(),
            took: Duration::ZERO,
        };
        let not_run: BTreeSet<String> = ["tunnels::a", "tunnels::b", "tunnels::c", "other::d"]
            .map(str::to_owned)
            .into();
        assert_eq!(
            nowhere(&not_run, &tests, &[report]),
            ["other::d", "tunnels::b", "tunnels::c"]
                .map(str::to_owned)
                .into()
        );
    }
}

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

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

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
/// The tests that such a run repeats there, by parts of their names, beside those that this machine's kernel cannot run:
/// packet by packet, and once each way of attaching, taking over and balancing. `cargo xtask test vm` runs all of them.
const REPEATED: &[&str] = &[
    "packets::every_row",
    "balance::backends_on_other_hosts",
    "detach::native",
    "local_clients::sockets::the_client_sees",
    "stays_put::packets_do_not",
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
    let oldest = &kernels[..1];
    let trios = trio::run(&harness, oldest, false)?;
    let repeated = REPEATED.iter().map(|&name| name.to_owned());
    let names: Vec<String> = repeated.chain(not_run.iter().cloned()).collect();
    let bench = Bench::new(&harness, bench::plan(harness.tests(&names)), kernels, false)?;
    let reports = bench.run(bench::JOBS)?;
    report::print(&bench.plan, &reports, 0);
    let good = reports.iter().all(|report| Counts::of(report).is_good())
        && trios.iter().all(|report| report.failure.is_none());
    bench.tidy(good)?;
    tested?;
    ensure!(good, "tests failed in virtual machines, see above");
    let nowhere = nowhere(not_run, &bench.plan.tests, &reports);
    ensure!(
        nowhere.is_empty(),
        "these tests ran nowhere, neither here nor in a virtual machine: {}",
        nowhere.join(", ")
    );
    Ok(())
}

/// Tests of `not_run` that no machine ran.
fn nowhere(not_run: &BTreeSet<String>, tests: &[Test], reports: &[Report]) -> Vec<String> {
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
        );
    }
}

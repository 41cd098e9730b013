//! Does everything hold on other kernels, too? The same tests in virtual machines.
//!
//! | module | question it answers |
//! |---|---|
//! | [`emulator`], [`accelerator`] | is there a qemu, and does KVM work? |
//! | [`kernels`], [`modules`], [`apt`] | which kernels and modules are there, and how do they get here? |
//! | [`harness`] | which tests are there, and how are they built? |
//! | [`image`], [`programs`], [`archive`] | what does a machine find in its file system? |
//! | [`machine`], [`console`] | how is qemu started, and is its kernel in trouble? |
//! | [`session`], [`interrupt`] | how does one kernel get through all tests? |
//! | [`report`] | what is said at the end? |
//!
//! The inside of the machine is `shunt_tests::guest`.

mod accelerator;
mod apt;
mod archive;
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
mod session;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use shunt_tests::guest::protocol::{Plan, SHELL, Test};

use self::{
    accelerator::Accelerator,
    harness::Harness,
    kernels::Kernel,
    machine::Parts,
    report::Counts,
    session::{Report, Session},
};
use crate::{
    cli::BuildOptions,
    paths,
    setup::{self, Policy, Scope},
};

/// One test on one kernel. Emulated machines are several times slower than this one.
const TEST_LIMIT: Duration = Duration::from_secs(240);
/// All tests on one kernel.
const KERNEL_LIMIT: Duration = Duration::from_secs(1800);

#[derive(Args, Clone, Debug)]
pub struct Options {
    #[command(flatten)]
    pub build: BuildOptions,
    /// Only this kernel, such as 6.12, or `newest`; may be given more than once
    #[arg(long = "kernel", value_name = "VERSION")]
    pub kernels: Vec<String>,
    /// Keep image and logs also when everything passed
    #[arg(long)]
    pub keep: bool,
    /// Boot the first of the kernels to a shell on this terminal, with the tests at hand
    #[arg(long)]
    pub shell: bool,
    /// Machines that run at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub jobs: u8,
    /// Run only tests whose name contains one of these
    pub filters: Vec<String>,
}

/// What setup keeps for machines.
fn cache() -> PathBuf {
    paths::cache().join("vm")
}

pub fn command(options: &Options) -> Result<ExitCode> {
    setup::ensure(Scope::Test)?;
    let names: Vec<String> = if options.kernels.is_empty() {
        kernels::MATRIX
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    } else {
        options.kernels.clone()
    };
    emulator::ensure(Policy::Install)?;
    let kernels = kernels::ensure(&names, Policy::Install)?;
    let harness = Harness::build(options.build)?;
    let tests = harness.tests(&options.filters);
    ensure!(
        !tests.is_empty(),
        "no test matches {}",
        options.filters.join(" ")
    );
    let filtered_out = harness.tests(&[]).len() - tests.len();
    let bench = Bench::new(&harness, plan(tests), kernels, options.keep)?;
    if options.shell {
        return bench.shell();
    }
    interrupt::note()?;
    let reports = bench.run(options.jobs)?;
    report::print(&bench.plan, &reports, filtered_out);
    let all_good = reports.iter().all(|report| Counts::of(report).is_good());
    let passed: usize = reports.iter().map(|report| Counts::of(report).passed).sum();
    bench.tidy(all_good)?;
    Ok(ExitCode::from(u8::from(!all_good || passed == 0)))
}

fn plan(tests: Vec<Test>) -> Plan {
    Plan {
        limit_seconds: TEST_LIMIT.as_secs(),
        tests,
    }
}

/// Kernels, and an image for each.
#[derive(Debug)]
struct Bench {
    plan: Plan,
    kernels: Vec<(Kernel, PathBuf)>,
    accelerator: Accelerator,
    directory: PathBuf,
    keep: bool,
}

impl Bench {
    fn new(harness: &Harness, plan: Plan, kernels: Vec<Kernel>, keep: bool) -> Result<Self> {
        let directory = paths::target()?.join("vm");
        let start = Instant::now();
        let mut with_images = Vec::new();
        for kernel in kernels {
            let logs = directory.join(&kernel.name);
            if logs.exists() {
                fs::remove_dir_all(&logs)?;
            }
            fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
            let image = logs.join("image.cpio");
            image::write(&kernel, harness, &plan, &image)?;
            with_images.push((kernel, image));
        }
        let (kernel, image) = with_images.last().context("no kernel was asked for")?;
        let accelerator = accelerator::choose(&kernel.image, image, &directory)?;
        println!(
            "vm: images for {} tests in {:.1} s, machines run by {}",
            plan.tests.len(),
            start.elapsed().as_secs_f64(),
            accelerator.name()
        );
        Ok(Self {
            plan,
            kernels: with_images,
            accelerator,
            directory,
            keep,
        })
    }

    fn logs(&self, kernel: &Kernel) -> PathBuf {
        self.directory.join(&kernel.name)
    }

    fn shell(&self) -> Result<ExitCode> {
        let (kernel, image) = self.kernels.first().context("no kernel was asked for")?;
        machine::interact(&Parts {
            kernel: &kernel.image,
            image,
            accelerator: &self.accelerator,
            arguments: format!("{SHELL} quiet"),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// So many kernels at a time; reports in the kernels' order.
    fn run(&self, jobs: u8) -> Result<Vec<Report>> {
        let waiting = Mutex::new(self.kernels.iter().enumerate());
        let done = Mutex::new(Vec::new());
        let work = || {
            loop {
                let next = waiting.lock().ok().and_then(|mut waiting| waiting.next());
                let Some((place, (kernel, image))) = next else {
                    return;
                };
                let report = self.session(kernel, image).run();
                if let Ok(mut done) = done.lock() {
                    done.push((place, report));
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(work);
            }
        });
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, report)| report).collect()
    }

    fn session<'a>(&'a self, kernel: &'a Kernel, image: &'a Path) -> Session<'a> {
        Session {
            kernel,
            image,
            accelerator: &self.accelerator,
            plan: &self.plan,
            limit: KERNEL_LIMIT,
            logs: image.parent().unwrap_or(&self.directory),
        }
    }

    /// Keeps the logs of a failed run, and the images where that was asked for.
    fn tidy(&self, all_good: bool) -> Result<()> {
        for (kernel, image) in &self.kernels {
            let logs = self.logs(kernel);
            if self.keep {
                println!(
                    "vm [{}] image and logs are in {}",
                    kernel.version(),
                    logs.display()
                );
            } else if all_good {
                fs::remove_dir_all(&logs)?;
            } else {
                fs::remove_file(image)?;
                println!("vm [{}] logs are in {}", kernel.version(), logs.display());
            }
        }
        Ok(())
    }
}

//! How do kernels get through all tests, one after the other or side by side?

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use shunt_tests::guest::protocol::{Plan, SHELL, Test};

use super::{
    accelerator::{self, Accelerator},
    harness::Harness,
    image,
    kernels::Kernel,
    machine::{self, Parts},
    session::{Report, Session},
};
use crate::paths;

/// One test on one kernel. Emulated machines are several times slower than this one.
const TEST_LIMIT: Duration = Duration::from_secs(600);
/// What a machine may take beyond that to end a test.
const GRACE: Duration = Duration::from_secs(20);
/// All tests on one kernel.
const KERNEL_LIMIT: Duration = Duration::from_secs(7200);
/// Machines that run at the same time unless told otherwise: while one waits for a timer, the other one computes.
pub const JOBS: u8 = 2;

/// What the machines of a run have to do.
pub fn plan(tests: Vec<Test>) -> Plan {
    Plan {
        limit_seconds: TEST_LIMIT.as_secs(),
        tests,
    }
}

/// Held until it is dropped: images and logs of two runs would be in the same place.
pub fn lock() -> Result<fs::File> {
    let directory = directory()?;
    let path = directory.join("lock");
    let failed = || format!("cannot lock {}", path.display());
    fs::create_dir_all(&directory).with_context(failed)?;
    let file = fs::File::create(&path).with_context(failed)?;
    if file.try_lock().is_err() {
        println!("vm: waiting for another run of this checkout to end");
        file.lock().with_context(failed)?;
    }
    Ok(file)
}

/// Images and logs.
pub fn directory() -> Result<PathBuf> {
    Ok(paths::target()?.join("vm"))
}

/// Kernels, and an image for each.
#[derive(Debug)]
pub struct Bench {
    pub plan: Plan,
    /// See [`Session`].
    pub grace: Duration,
    pub arguments: String,
    kernels: Vec<(Kernel, PathBuf)>,
    accelerator: Accelerator,
    directory: PathBuf,
    keep: bool,
}

impl Bench {
    pub fn new(harness: &Harness, plan: Plan, kernels: Vec<Kernel>, keep: bool) -> Result<Self> {
        let directory = directory()?;
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
            "vm: images for {} tests in {:.1} s; the machines run by {}",
            plan.tests.len(),
            start.elapsed().as_secs_f64(),
            accelerator.name()
        );
        Ok(Self {
            plan,
            grace: GRACE,
            arguments: String::new(),
            kernels: with_images,
            accelerator,
            directory,
            keep,
        })
    }

    pub fn shell(&self) -> Result<ExitCode> {
        let (kernel, image) = self.kernels.first().context("no kernel was asked for")?;
        machine::interact(&Parts {
            kernel: &kernel.image,
            image,
            accelerator: &self.accelerator,
            arguments: format!("{SHELL} quiet"),
            devices: Vec::new(),
        })?;
        self.tidy(true)?;
        Ok(ExitCode::SUCCESS)
    }

    /// So many kernels at a time; reports in the kernels' order.
    pub fn run(&self, jobs: u8) -> Result<Vec<Report>> {
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
            grace: self.grace,
            arguments: &self.arguments,
            logs: image.parent().unwrap_or(&self.directory),
        }
    }

    /// Keeps the logs of a failed run, and the images where that was asked for.
    pub fn tidy(&self, good: bool) -> Result<()> {
        for (kernel, image) in &self.kernels {
            let logs = self.directory.join(&kernel.name);
            if self.keep {
                println!(
                    "vm [{}] image and logs are in {}",
                    kernel.version(),
                    logs.display()
                );
            } else if good {
                fs::remove_dir_all(&logs)?;
            } else {
                fs::remove_file(image)?;
                println!("vm [{}] logs are in {}", kernel.version(), logs.display());
            }
        }
        Ok(())
    }
}

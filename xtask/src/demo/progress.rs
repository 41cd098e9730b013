//! What a waiting person sees, and how they end it.

use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use shunt_tests::wait::{Hopeless, wait_for};

const TICK: Duration = Duration::from_millis(100);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A live line on a terminal, a line for each step elsewhere; both on standard error.
#[derive(Debug)]
pub struct Progress {
    line: ProgressBar,
    start: Instant,
}

impl Progress {
    /// From now on, Ctrl-C and SIGTERM end the demo at its next [`Self::check`], in order.
    pub fn start() -> anyhow::Result<Self> {
        ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Release))
            .context("catching Ctrl-C, to clean up then")?;
        let style = ProgressStyle::with_template("{spinner} [{elapsed}] {wide_msg}")?;
        let line = ProgressBar::new_spinner().with_style(style);
        line.enable_steady_tick(TICK);
        Ok(Self {
            line,
            start: Instant::now(),
        })
    }

    /// Says what is being done.
    pub fn doing(&self, what: impl Display) {
        self.line.set_message(what.to_string());
    }

    /// Says what came of a step, on a line that stays.
    pub fn done(&self, what: impl Display) {
        let line = format!("[{:5.1} s] {what}", self.start.elapsed().as_secs_f64());
        if self.line.is_hidden() {
            eprintln!("{line}");
        } else {
            self.line.println(line);
        }
    }

    /// # Errors
    /// Somebody wants the demo to end.
    pub fn check(&self) -> anyhow::Result<()> {
        if INTERRUPTED.load(Ordering::Acquire) {
            bail!(Hopeless("interrupted".into()));
        }
        Ok(())
    }

    /// [`wait_for`] that can be interrupted.
    pub fn wait_for<T>(
        &self,
        what: impl Display,
        within: Duration,
        mut probe: impl FnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.doing(&what);
        wait_for(what, within, || {
            self.check()?;
            probe()
        })
    }

    /// Takes the live line away.
    pub fn finish(&self) {
        self.line.finish_and_clear();
    }
}

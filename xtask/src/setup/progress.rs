//! One line for each step, with its duration.

use std::{
    fmt,
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::Result;

/// Says what is being done, does it, and says how long it took.
pub fn step<T>(what: impl fmt::Display, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    eprint!("setup: {what} ... ");
    // A progress line that cannot be shown is no reason to stop.
    let _ = std::io::stderr().flush();
    let result = work();
    match &result {
        Ok(_) => eprintln!("{}", seconds(start.elapsed())),
        Err(_) => eprintln!("failed after {}", seconds(start.elapsed())),
    }
    result
}

/// Says what is there, and how long it took to find out or to get it.
pub fn ready(what: &str, found: &str, start: Instant) {
    eprintln!("setup: {what}: {found} ({})", seconds(start.elapsed()));
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

use std::{path::Path, process::ExitCode};

use crate::config;

pub fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let desired = config::load(path)?;
    let backends: usize = desired
        .services
        .iter()
        .map(|service| service.backends.len())
        .sum();
    println!(
        "{}: good: {}, {}",
        path.display(),
        counted(desired.services.len(), "service"),
        counted(backends, "backend")
    );
    Ok(ExitCode::SUCCESS)
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

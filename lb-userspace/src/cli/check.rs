use std::{path::Path, process::ExitCode};

use super::BLIND;
use crate::config;

pub fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let desired = config::load(path)?;
    let backends: usize = desired
        .services
        .iter()
        .map(|service| service.backends.len())
        .sum();
    for service in desired.blindly_checked() {
        eprintln!("warning: {}: service {service}: {BLIND}", path.display());
    }
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

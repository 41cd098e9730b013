//! Can this machine build and test, and what is missing?
//!
//! | module | question it answers |
//! |---|---|
//! | [`rust`] | which compiler builds the kernel programs? |
//! | [`choice`] | which toolchain is complete, by what the machine answered? |
//! | [`linker`] | is there a linker for it? |
//! | [`packages`] | are the tools of the tests there, and how do packages get here? |
//! | [`python`] | can the test backends run? |
//! | [`progress`], [`version`] | how are steps shown, and versions read? |
//!
//! Every step asks first, and does nothing if nothing is missing.

pub mod choice;
pub mod linker;
pub mod packages;
pub mod progress;
pub mod python;
pub mod rust;
pub mod version;

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{cli::SetupOptions, paths, vm};

/// What the machine has to be able to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    Build,
    /// Building, and the tools and backends of the tests and of the demo.
    Test,
    /// All that, and virtual machines.
    Machines,
}

/// What to do about what is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    Install,
    Report,
}

pub fn command(options: &SetupOptions) -> Result<ExitCode> {
    let scope = if options.only_build {
        Scope::Build
    } else {
        Scope::Machines
    };
    if !options.check {
        ensure(scope)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut complete = true;
    for result in steps(scope, Policy::Report) {
        if let Err(error) = result {
            eprintln!("setup: {error:#}");
            complete = false;
        }
    }
    Ok(ExitCode::from(u8::from(!complete)))
}

/// Installs what is missing. Well below a second when nothing is.
pub fn ensure(scope: Scope) -> Result<()> {
    let _alone = lock()?;
    steps(scope, Policy::Install).collect()
}

fn steps(scope: Scope, policy: Policy) -> impl Iterator<Item = Result<()>> {
    let build: &[fn(Scope, Policy) -> Result<()>] = &[rust::step];
    let test: &[fn(Scope, Policy) -> Result<()>] = match scope {
        Scope::Build => &[],
        Scope::Test => &[packages::step, python::step],
        Scope::Machines => &[packages::step, python::step, vm::setup],
    };
    build
        .iter()
        .chain(test)
        .map(move |step| step(scope, policy))
}

/// Held until it is dropped: two checkouts must not install the same things at the same time.
pub fn lock() -> Result<fs::File> {
    let path = paths::cache().join("setup.lock");
    fs::create_dir_all(paths::cache())
        .and_then(|()| fs::File::create(&path))
        .and_then(|file| file.lock().map(|()| file))
        .with_context(|| format!("cannot lock {}", path.display()))
}

//! Which compiler builds the kernel programs?
//!
//! They need `core` built for the BPF target, hence a compiler, its own sources of exactly its version, and a
//! linker of the same LLVM. A complete nightly of rustup has that; else Debian's compiler, linked into rustup.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Policy, Scope,
    choice::{Choice, Compiler, Facts, LINKED, NIGHTLY, choose, lacks, oldest, parse},
    linker, packages,
    progress::{ready, step as progress},
    version::Version,
};
use crate::{paths, process};

/// Names a toolchain instead of the one that would be chosen.
const WANTED: &str = "SHUNT_BPF_TOOLCHAIN";
/// Debian's compiler; its packages match each other exactly.
const PACKAGES: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];
const CLIPPY: (&str, &str) = ("/usr/bin/cargo-clippy", "rust-web-clippy");
/// Where Debian's compiler has its libraries and sources.
const SYSROOT: &str = "/usr";

/// A toolchain by its name in rustup.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Toolchain {
    name: String,
}

impl Toolchain {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_linked(&self) -> bool {
        self.name == LINKED
    }

    /// A program of the toolchain that accepts unstable options and finds the linker that belongs to it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("rustup");
        command
            .args(["run", &self.name, program])
            .current_dir(paths::workspace())
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTUP_AUTO_INSTALL", "0");
        let path = env::var_os("PATH").unwrap_or_default();
        let tools = [paths::tools().join("bin")];
        if let Ok(path) = env::join_paths(tools.into_iter().chain(env::split_paths(&path))) {
            command.env("PATH", path);
        }
        command
    }
}

/// The BPF target of this machine's byte order.
pub const fn target() -> &'static str {
    if cfg!(target_endian = "big") {
        "bpfeb-unknown-none"
    } else {
        "bpfel-unknown-none"
    }
}

/// Finds a complete toolchain, or makes Debian's compiler one.
pub fn step(scope: Scope, policy: Policy) -> Result<()> {
    let start = Instant::now();
    ensure!(
        paths::program("rustup").is_some(),
        "rustup is missing, which manages compilers: get it from https://rustup.rs"
    );
    let wanted = env::var(WANTED).ok();
    let mut facts = look(wanted.as_deref());
    if choose(wanted.as_deref(), &facts) == Choice::Incomplete {
        if let Some(name) = wanted.as_deref().filter(|name| *name != LINKED) {
            bail!(
                "{WANTED} names {name}, which is not complete: {}; unset it to have one chosen",
                lacks(name, &facts)
            );
        }
        complete(&facts, policy).with_context(|| {
            format!(
                "no complete BPF toolchain ({}; then Debian's packages)",
                lacks(NIGHTLY, &facts)
            )
        })?;
        facts = look(wanted.as_deref());
    }
    let toolchain = match choose(wanted.as_deref(), &facts) {
        Choice::Rustup => Toolchain::named(wanted.as_deref().unwrap_or(NIGHTLY)),
        Choice::Linked => Toolchain::named(LINKED),
        Choice::Incomplete => bail!(
            "Debian's compiler is installed, but of no use: {}",
            lacks(LINKED, &facts)
        ),
    };
    if scope != Scope::Build && toolchain.is_linked() && !Path::new(CLIPPY.0).exists() {
        packages::install(&[CLIPPY.1], policy).context("lints of the kernel programs")?;
    }
    if policy == Policy::Install {
        remember(&toolchain)?;
    }
    ready("BPF toolchain", &describe(&toolchain, &facts), start);
    Ok(())
}

/// What the last setup chose.
pub fn chosen() -> Result<Toolchain> {
    let path = choice_path();
    let name = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}: run `cargo xtask setup`", path.display()))?;
    Ok(Toolchain::named(name.trim()))
}

/// The daemon's build script reads it, and runs again when it changes: it is written only then.
fn remember(toolchain: &Toolchain) -> Result<()> {
    if chosen().is_ok_and(|before| before == *toolchain) {
        return Ok(());
    }
    let path = choice_path();
    fs::create_dir_all(paths::tools())
        .and_then(|()| fs::write(&path, format!("{}\n", toolchain.name)))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn choice_path() -> PathBuf {
    paths::tools().join("bpf-toolchain")
}

fn look(wanted: Option<&str>) -> Facts {
    let rustup = wanted.filter(|name| *name != LINKED).unwrap_or(NIGHTLY);
    Facts {
        rustup: compiler(|| Toolchain::named(rustup).command("rustc")),
        linked: compiler(|| Toolchain::named(LINKED).command("rustc")),
        linker_on_path: linker::on_path(),
        our_linker: linker::ours(),
    }
}

fn compiler(rustc: impl Fn() -> Command) -> Option<Compiler> {
    let sysroot = process::answer(rustc().args(["--print", "sysroot"])).ok()?;
    let core = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    let answer = process::answer(rustc().arg("-vV")).ok()?;
    parse(&answer, core.exists())
}

/// Adds what Debian's compiler lacks, one thing after the other, because each needs the one before.
fn complete(facts: &Facts, policy: Policy) -> Result<()> {
    let compiler = if let Some(linked) = facts.linked.filter(|linked| linked.is_usable()) {
        linked
    } else {
        link(policy)?
    };
    if facts.our_linker != Some(linker::OURS) {
        linker::install(compiler.llvm.major, policy)?;
    }
    Ok(())
}

fn link(policy: Policy) -> Result<Compiler> {
    let debian = || compiler(|| Command::new(Path::new(SYSROOT).join("bin/rustc")));
    let installed = debian().filter(|compiler| compiler.is_usable());
    if installed.is_none() {
        packages::install(PACKAGES, policy)?;
    }
    let compiler = installed
        .or_else(debian)
        .context("/usr/bin/rustc does not answer")?;
    ensure!(
        compiler.is_usable(),
        "Debian's rustc {} is of no use, {} or later with sources is needed: enable its security updates",
        compiler.release,
        oldest()
    );
    ensure!(
        policy == Policy::Install,
        "missing: the toolchain {LINKED}; `rustup toolchain link {LINKED} {SYSROOT}` makes it"
    );
    progress(
        format_args!("rustup toolchain link {LINKED} {SYSROOT}"),
        || process::quietly(Command::new("rustup").args(["toolchain", "link", LINKED, SYSROOT])),
    )?;
    Ok(compiler)
}

fn describe(toolchain: &Toolchain, facts: &Facts) -> String {
    let (origin, compiler, linker) = if toolchain.is_linked() {
        ("Debian's packages", facts.linked, facts.our_linker)
    } else {
        ("rustup", facts.rustup, facts.linker_on_path)
    };
    let version = |version: Option<Version>| version.map_or_else(String::new, |it| it.to_string());
    format!(
        "{} of {origin}, rustc {}, bpf-linker {}",
        toolchain.name,
        version(compiler.map(|compiler| compiler.release)),
        version(linker)
    )
}

//! Is there a linker for the kernel programs?

use std::{path::Path, process::Command};

use anyhow::{Result, ensure};

use super::{Policy, packages, progress::step, version::Version};
use crate::{paths, process};

/// The one that is compiled here, against the LLVM of the distribution's compiler.
pub const OURS: Version = Version::new(0, 13, 0);
/// The LLVMs that it can be compiled against.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// The version of a linker that works: it has to start, which one with a missing library does not.
pub fn version(program: &Path) -> Option<Version> {
    let answer = process::answer(Command::new(program).arg("--version")).ok()?;
    Version::find(&answer)
}

/// A linker of the user, not the one of [`ours`].
pub fn on_path() -> Option<Version> {
    version(&paths::program("bpf-linker")?)
}

pub fn ours() -> Option<Version> {
    version(&paths::tools().join("bin/bpf-linker"))
}

/// Compiles the linker against the LLVM of the compiler, which takes about a minute.
pub fn install(llvm: u32, policy: Policy) -> Result<()> {
    ensure!(
        LLVM.contains(&llvm),
        "bpf-linker {OURS} works with LLVM {} to {}, but the compiler has LLVM {llvm}",
        LLVM.start(),
        LLVM.end()
    );
    ensure!(
        policy == Policy::Install,
        "missing: bpf-linker {OURS} for LLVM {llvm}; `cargo xtask setup` compiles it"
    );
    let prefix = format!("/usr/lib/llvm-{llvm}");
    if !Path::new(&prefix).join("include/llvm-c/Core.h").exists() {
        packages::install(&[&format!("llvm-{llvm}-dev")], policy)?;
    }
    step(format_args!("cargo install bpf-linker {OURS}"), || {
        process::quietly(
            process::cargo()
                .env("LLVM_PREFIX", prefix)
                .args(["install", "bpf-linker", "--locked", "--force", "--version"])
                .arg(OURS.to_string())
                .args(["--no-default-features", "--features"])
                .arg(format!("llvm-{llvm}"))
                .arg("--root")
                .arg(paths::tools()),
        )
    })
}

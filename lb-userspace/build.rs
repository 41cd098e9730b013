//! Compiles the kernel programs and puts their object where the daemon embeds it from.
//!
//! `cargo xtask setup` provides the toolchain: a complete nightly, or else the distribution's compiler linked
//! into rustup as [`LINKED`], whose `-Z build-std` the compiler itself has to be told to accept.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

/// Where `cargo xtask setup` links the distribution's compiler.
const LINKED: &str = "shunt-bpf";
/// Names another toolchain.
const TOOLCHAIN: &str = "SHUNT_BPF_TOOLCHAIN";

fn main() -> Result<()> {
    println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
    println!("cargo:rerun-if-changed=../lb-common/src");
    let toolchain = env::var(TOOLCHAIN).unwrap_or_else(|_| default_toolchain().to_owned());
    prepare_environment(&toolchain)?;
    aya_build::build_ebpf(
        [Package {
            name: "lb-ebpf",
            root_dir: "../lb-ebpf",
            ..Package::default()
        }],
        Toolchain::Custom(&toolchain),
    )
    .context("the kernel programs do not build; `cargo xtask setup` installs what that needs")
}

/// For builds that do not come from `cargo xtask`, such as those of an editor.
fn default_toolchain() -> &'static str {
    let linked = Command::new("rustup")
        .args(["run", LINKED, "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if linked { LINKED } else { "nightly" }
}

fn prepare_environment(toolchain: &str) -> Result<()> {
    let tools = tools_directory().join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools].into_iter().chain(env::split_paths(&path)))?;
    // SAFETY: a build script has one thread here.
    unsafe {
        env::set_var("PATH", path);
        if !toolchain.starts_with("nightly") {
            env::set_var("RUSTC_BOOTSTRAP", "1");
        }
    }
    Ok(())
}

/// Where `cargo xtask setup` installs the linker.
fn tools_directory() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("shunt/tools")
}

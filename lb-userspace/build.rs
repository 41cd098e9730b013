//! Compiles the kernel programs and puts their object where the daemon embeds it from.
//!
//! `cargo xtask setup` provides the toolchain: a complete nightly, or else the distribution's compiler linked
//! into rustup as [`LINKED`], whose `-Z build-std` the compiler itself has to be told to accept.

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};
use aya_build::{Package, Toolchain};

/// Where `cargo xtask setup` links the distribution's compiler.
const LINKED: &str = "shunt-bpf";
/// Names another toolchain than the one that setup has chosen.
const TOOLCHAIN: &str = "SHUNT_BPF_TOOLCHAIN";

fn main() -> ExitCode {
    let Err(error) = build() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

fn build() -> Result<()> {
    println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
    println!("cargo:rerun-if-changed=../lb-common/src");
    let toolchain = toolchain();
    prepare_environment(&toolchain)?;
    share_artifacts()?;
    aya_build::build_ebpf(
        [Package {
            name: "lb-ebpf",
            root_dir: "../lb-ebpf",
            ..Package::default()
        }],
        Toolchain::Custom(&toolchain),
    )
    .context("the kernel programs do not build (`cargo xtask setup` installs what that needs)")
}

fn toolchain() -> String {
    if let Ok(wanted) = env::var(TOOLCHAIN) {
        return wanted;
    }
    let choice = tools_directory().join("bpf-toolchain");
    let Ok(chosen) = fs::read_to_string(&choice) else {
        return guess().to_owned();
    };
    println!("cargo:rerun-if-changed={}", choice.display());
    chosen.trim().to_owned()
}

/// Where setup never ran.
fn guess() -> &'static str {
    let linked = Command::new("rustup")
        .args(["run", LINKED, "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if linked { LINKED } else { "nightly" }
}

fn prepare_environment(toolchain: &str) -> Result<()> {
    let tools = tools_directory().join("bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&path).collect();
    // Setup's linker is made for the distribution's compiler; others have their own.
    let place = if toolchain == LINKED {
        0
    } else {
        directories.len()
    };
    directories.insert(place, tools);
    let path = env::join_paths(directories)?;
    // SAFETY: a build script has one thread here.
    unsafe {
        env::set_var("PATH", path);
        // Of the cargo that aya-build starts only warnings and errors are of interest.
        env::set_var("CARGO_TERM_QUIET", "true");
        env::set_var("RUSTC_BOOTSTRAP", "1");
    }
    Ok(())
}

/// Makes aya-build work in one directory, whichever profile or tool asks: else each of `cargo build`,
/// `cargo build --release` and `cargo clippy` would compile `core` again in an `OUT_DIR` of its own.
fn share_artifacts() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let shared = target_directory(&out).join("bpf");
    fs::create_dir_all(&shared)?;
    let link = out.join("aya-build");
    if fs::read_link(&link).is_ok_and(|to| to == shared) {
        return Ok(());
    }
    match fs::remove_dir_all(&link).or_else(|_| fs::remove_file(&link)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    symlink(&shared, &link).with_context(|| format!("cannot link {}", link.display()))
}

/// `OUT_DIR` is `TARGET/PROFILE/build/PACKAGE/out`.
fn target_directory(out: &Path) -> &Path {
    out.ancestors().nth(4).unwrap_or(out)
}

/// Where `cargo xtask setup` installs the linker.
fn tools_directory() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(|| PathBuf::from("/var/cache"))
        .join("shunt/tools")
}

//! What can be typed.

use clap::{Args, Parser, Subcommand};

use crate::{bench, demo, vm};

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", about, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Install what building and testing need; every other verb does it on its own
    Setup(SetupOptions),
    /// Build the daemon and its kernel programs
    Build(BuildOptions),
    /// Build, then start the daemon: `cargo xtask run -- --config FILE`
    Run(RunOptions),
    /// Watch real HTTP traffic balanced in XDP; needs root for network namespaces
    Demo(demo::Options),
    /// Lints, then every test, here and in virtual machines; needs root for network namespaces
    Test(TestOptions),
    /// What packets cost
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Formatting and clippy, for the host and for the kernel programs
    Lint,
    /// Licences, bans and sources of all dependencies, by cargo-deny
    Deny,
}

#[derive(Args, Debug)]
pub struct SetupOptions {
    /// Install nothing; exit 1 if something is missing
    #[arg(long)]
    pub check: bool,
    /// Only what building needs, without the tools of the tests
    #[arg(long)]
    pub only_build: bool,
}

#[derive(Args, Clone, Copy, Debug)]
pub struct BuildOptions {
    /// Build with optimisations
    #[arg(long)]
    pub release: bool,
}

#[derive(Args, Debug)]
pub struct RunOptions {
    #[command(flatten)]
    pub build: BuildOptions,
    /// Arguments of `shunt`; options alone go to `shunt run`
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TestOptions {
    #[command(subcommand)]
    pub place: Option<Place>,
    #[command(flatten)]
    pub build: BuildOptions,
    /// Run only tests whose name contains one of these, and no lints
    pub filters: Vec<String>,
    /// Options of the test harness, such as `--nocapture`
    #[arg(last = true, value_name = "OPTIONS")]
    pub harness: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Place {
    /// Only the end-to-end tests, in virtual machines with other kernels; needs no root once qemu is there.
    ///
    /// A run without filters is built with optimisations, as if by `--release`.
    Vm(vm::Options),
}

//! `cargo xtask`: all that a developer of shunt types.
//!
//! | module | question it answers |
//! |---|---|
//! | [`cli`] | what can be typed? |
//! | [`setup`] | can this machine build and test, and what is missing? |
//! | [`build`] | how is the daemon built, and where is it? |
//! | [`run`] | how is the built daemon started? |
//! | [`demo`] | what does it look like when it works? |
//! | [`test`] | does everything hold? |
//! | [`vm`] | and on other kernels? |
//! | [`bench`] | what do packets cost? |
//! | [`lint`] | is the code formatted, and without warnings? |
//! | [`leftovers`] | did the tests clean up behind them? |
//! | [`deny`] | which licences and sources do the dependencies have? |
//! | [`process`], [`paths`] | how are commands run, and where is everything? |

mod bench;
mod build;
mod cli;
mod demo;
mod deny;
mod leftovers;
mod lint;
mod paths;
mod process;
mod run;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Verb};

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Setup(options) => setup::command(&options),
        Verb::Build(options) => build::command(&options),
        Verb::Run(options) => run::command(&options),
        Verb::Demo(options) => demo::command(&options),
        Verb::Test(options) => test::command(&options),
        Verb::Bench(bench) => bench::command(&bench),
        Verb::Lint => lint::command(),
        Verb::Deny => deny::command(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        process::exit_code_of(&error)
    })
}

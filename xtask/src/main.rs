mod demo;

use clap::Parser;

#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Verb {
    /// Watch real HTTP traffic balanced in XDP; needs root for network namespaces
    Demo(demo::Options),
}

fn main() -> anyhow::Result<std::process::ExitCode> {
    let Verb::Demo(options) = Verb::parse();
    let binary = shunt_tests::daemon::binary()?;
    Ok(demo::run(&options, &binary)?.into())
}

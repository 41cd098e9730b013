use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use crate::import::{self, Disk, Imported, Options, Source};

/// What is in most examples, and on many hosts.
const INTERFACE: &str = "eth0";

#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Whose configuration it is
    #[arg(value_enum)]
    format: Format,
    /// The configuration file; `-`: standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What clients connect to, where the file says "any address" of its host; once for each address
    #[arg(long, value_name = "ADDRESS", value_parser = import::usable)]
    vip: Vec<IpAddr>,
    /// Where servers on 127.0.0.1, ::1 and localhost can be reached: an address of this host
    #[arg(long, value_name = "ADDRESS", value_parser = import::usable)]
    local: Vec<IpAddr>,
    /// Where packets come in; once for each interface
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Nginx,
    Haproxy,
}

/// TOML goes to standard output, everything else to standard error.
pub fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let imported = read(args)?;
    for note in &imported.notes {
        eprintln!("{note}");
    }
    if imported.services == 0 {
        bail!("{}: nothing that could be taken over", args.file.display());
    }
    if args.interface.is_empty() {
        eprintln!(
            "shunt: interfaces = [\"{INTERFACE}\"] is a guess: change it, or name where packets come in with --interface"
        );
    }
    io::stdout()
        .write_all(imported.toml.as_bytes())
        .context("cannot write the configuration")?;
    if let Err(errors) = imported.check() {
        bail!("what was written is not right yet; `shunt check` says:\n{errors}");
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: &ImportArgs) -> anyhow::Result<Imported> {
    let (source, disk) = open(&args.file)?;
    let mut interfaces = args.interface.clone();
    if interfaces.is_empty() {
        interfaces.push(INTERFACE.to_owned());
    }
    let options = Options {
        interfaces,
        vips: args.vip.clone(),
        locals: args.local.clone(),
    };
    let imported = match args.format {
        Format::Nginx => import::nginx(&source, &disk, &options)?,
        Format::Haproxy => import::haproxy(&source, &options)?,
    };
    Ok(imported)
}

fn open(file: &Path) -> anyhow::Result<(Source, Disk)> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin()
            .read_to_end(&mut bytes)
            .context("cannot read standard input")?;
        return Ok((Source::new("-", &bytes), Disk::absolute()));
    }
    let name = file.display().to_string();
    let bytes = fs::read(file).with_context(|| format!("cannot read {name}"))?;
    Ok((Source::new(&name, &bytes), Disk::beside(file)))
}

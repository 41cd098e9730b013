//! Configurations of nginx and HAProxy, as far as a load balancer at layer 4 can follow them.
//!
//! | module | question it answers |
//! |---|---|
//! | `nginx`, `haproxy` | what does a file say? |
//! | `files` | what do files say that it includes? |
//! | `counterpart` | what does shunt have for the ways and bounds of others? |
//! | `address`, `duration`, `check` | is this one value usable? |
//! | `tls` | do clients and backends speak the same? |
//! | `draft` | what do both formats turn into? |
//! | `fit` | which parts of that make a configuration? |
//! | `write` | how is it written? |
//! | `place`, `notes`, `error` | what is said of the rest, and where does it stand? |

mod address;
mod check;
mod counterpart;
mod draft;
mod duration;
mod error;
mod files;
mod fit;
mod haproxy;
mod nginx;
mod notes;
mod place;
mod tls;
mod write;

use std::net::IpAddr;

use self::{draft::Draft, notes::Notes};
use crate::config::{self, ConfigErrors};

pub use self::{
    address::usable,
    error::SyntaxError,
    files::{Disk, Files},
    notes::Note,
    place::{Excerpt, Place, Source},
};

/// What the files do not say.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where packets come in.
    pub interfaces: Vec<String>,
    /// What "any address" of a listener stands for.
    pub vips: Vec<IpAddr>,
    /// Addresses of this host, for servers on its loopback.
    pub locals: Vec<IpAddr>,
}

/// A configuration of shunt, and what it lacks of the other.
#[derive(Clone, Debug)]
pub struct Imported {
    pub toml: String,
    /// Beside those that are only comments.
    pub services: usize,
    /// In the order of the files' lines.
    pub notes: Vec<Note>,
}

impl Imported {
    /// # Errors
    /// Why `shunt check` would refuse it.
    pub fn check(&self) -> Result<(), ConfigErrors> {
        config::parse("the imported configuration", &self.toml).map(|_| ())
    }

    fn new(drafts: Vec<Draft>, options: &Options, mut notes: Notes) -> Self {
        let services = fit::fit(drafts, options, &mut notes);
        let (toml, services) = write::write(&services, options);
        Self {
            toml,
            services,
            notes: notes.finish(),
        }
    }
}

/// Reads a configuration of nginx.
///
/// # Errors
/// The first thing that nginx would not read either.
pub fn nginx(
    source: &Source,
    files: &dyn Files,
    options: &Options,
) -> Result<Imported, SyntaxError> {
    let mut notes = Notes::default();
    let drafts = nginx::read(source, files, options, &mut notes)?;
    Ok(Imported::new(drafts, options, notes))
}

/// Reads a configuration of HAProxy.
///
/// # Errors
/// The first thing that HAProxy would not read either.
pub fn haproxy(source: &Source, options: &Options) -> Result<Imported, SyntaxError> {
    let mut notes = Notes::default();
    let drafts = haproxy::read(source, options, &mut notes)?;
    Ok(Imported::new(drafts, options, notes))
}

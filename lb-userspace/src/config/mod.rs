//! TOML text to [`Desired`]: parsed once, checked wholly, every error with its place.
//!
//! | module | question it answers |
//! |---|---|
//! | `error` | what is told about a mistake? |
//! | `report` | where are the mistakes found so far? |
//! | `syntax` | why is this no TOML? |
//! | `section`, `field` | what stands under a key, and is it of the right kind? |
//! | `address`, `duration`, `text` | is this one value usable? |
//! | `daemon`, `on_change`, `snat`, `service`, `backend`, `health` | what does this table mean? |
//! | `soundness` | does a service make sense in itself? |
//! | `conflicts`, `claims` | do all services go together, and who listens where? |

mod address;
mod backend;
mod claims;
mod conflicts;
mod daemon;
mod duration;
mod error;
mod field;
mod health;
mod on_change;
mod report;
mod section;
mod service;
mod share;
mod snat;
mod soundness;
mod suggest;
mod syntax;
mod text;

use std::{fs, io, path::Path, path::PathBuf};

use toml::de::DeTable;

use self::{report::Report, section::Section, service::Service};
use crate::desired::Desired;

pub use self::error::{ConfigError, ConfigErrors};

/// Why a file gave no [`Desired`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the configuration {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Wrong(#[from] ConfigErrors),
}

/// Reads a file and says what it means.
///
/// # Errors
/// [`LoadError::Read`] where it cannot be read, [`LoadError::Wrong`] where anything in it is wrong.
pub fn load(path: &Path) -> Result<Desired, LoadError> {
    let bytes = fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let file = path.display().to_string();
    let text = syntax::decode(&file, &bytes)?;
    Ok(parse(&file, text)?)
}

/// Says what a text means. `file` is what errors call it.
///
/// # Errors
/// Everything that is wrong, in file order. Of text that is no TOML only the first mistake, because all others
/// may follow from it.
pub fn parse(file: &str, text: &str) -> Result<Desired, ConfigErrors> {
    let report = Report::new(file, text);
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => return Err(syntax::explain(report, &error)),
    };
    let desired = read(Section::root(root.get_ref(), &report), &report);
    report.finish(desired)
}

/// Wrong values are reported and replaced by their defaults, so that the rest can be checked too.
fn read(mut root: Section, report: &Report) -> Desired {
    let daemon = daemon::read(&mut root);
    let services = service::all(&mut root);
    root.finish();
    conflicts::check(&services, report);
    snat::check(&daemon.snat_addresses, &services, report);
    Desired {
        daemon,
        services: services.into_iter().map(Service::settings).collect(),
    }
}

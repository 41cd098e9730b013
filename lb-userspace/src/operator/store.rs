//! Where orders are kept: a file that is replaced as a whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::Orders;

const FILE: &str = "orders.toml";
const HEAD: &str =
    "# What `shunt drain`, `maint`, `ready` and `weight` ordered. Written by the daemon.\n";

/// The file below a directory.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// Why orders are not kept, or not known.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("reading the orders in {}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the orders in {} are not of this version's form; remove the file to begin without any", .path.display())]
    Form {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
    #[error("keeping the order in {}; nothing has changed", .path.display())]
    Write { path: PathBuf, source: io::Error },
}

impl Store {
    pub fn new(directory: &Path) -> Self {
        Self {
            path: directory.join(FILE),
        }
    }

    /// No file: no orders.
    pub fn load(&self) -> Result<Orders, StoreError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Orders::default()),
            Err(source) => {
                return Err(StoreError::Read {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        toml::from_str(&text).map_err(|error| StoreError::Form {
            path: self.path.clone(),
            source: Box::new(error),
        })
    }

    pub fn save(&self, orders: &Orders) -> Result<(), StoreError> {
        self.try_save(orders).map_err(|source| StoreError::Write {
            path: self.path.clone(),
            source,
        })
    }

    /// Beside it first: whoever reads finds the old file or the new one.
    fn try_save(&self, orders: &Orders) -> io::Result<()> {
        let text = toml::to_string(orders).map_err(io::Error::other)?;
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let new = self.path.with_extension("toml.new");
        fs::write(&new, format!("{HEAD}{text}"))?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::{AdminState, Change};

    /// Removed with the value.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("shunt-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            // Not there is just as well.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_kept_is_known_again() {
        let directory = Directory::new("orders");
        let store = Store::new(&directory.0.join("not/there/yet"));
        assert_eq!(store.load().unwrap(), Orders::default());
        let target = "web/10.0.0.11:8001".parse().unwrap();
        let orders = Orders::default()
            .with(&target, Change::State(AdminState::Maint))
            .with(&target, Change::Weight(Some(7)));
        store.save(&orders).unwrap();
        assert_eq!(store.load().unwrap(), orders);
        store.save(&Orders::default()).unwrap();
        assert_eq!(store.load().unwrap(), Orders::default());
    }

    #[test]
    fn a_file_of_another_form_is_told() {
        let directory = Directory::new("form");
        let store = Store::new(&directory.0);
        fs::create_dir_all(&directory.0).unwrap();
        for text in [
            "web = 3",
            "[web.api1]\nstate = \"off\"",
            "[web.api1]\nweigth = 3",
        ] {
            fs::write(&store.path, text).unwrap();
            let error = store.load().unwrap_err().to_string();
            assert!(error.contains("remove the file"), "{text}: {error}");
        }
    }
}

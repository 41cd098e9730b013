//! What is told about a mistake: where it is, what was found, what was expected, what to do.

use std::fmt;

/// One mistake in a configuration.
///
/// ```text
/// shunt.toml:12:11: service[web].backend[api1].weight: found 300, expected a whole number from 0 to 256
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The path of the key; empty where the text is no TOML.
    pub key: String,
    pub found: String,
    pub expected: String,
    /// What to do, where `expected` does not say it all.
    pub help: Option<String>,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            key,
            found,
            expected,
            help,
        } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        write!(f, "found {found}, expected {expected}")?;
        if let Some(help) = help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, in file order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

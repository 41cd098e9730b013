//! Collects mistakes while a configuration is read.

use std::cell::RefCell;

use super::error::{ConfigError, ConfigErrors};

/// Where something was written.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// In bytes from the start of the text.
    pub(super) offset: usize,
    pub(super) key: String,
}

impl Place {
    /// Another key at the same place, for what is missing there.
    pub(super) fn child(&self, key: &str) -> Self {
        Self {
            offset: self.offset,
            key: join(&self.key, key),
        }
    }
}

pub(super) fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// One mistake before its place is turned into line and column.
#[derive(Debug)]
pub(super) struct Mistake {
    found: String,
    expected: String,
    help: Option<String>,
}

impl Mistake {
    pub(super) fn new(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            expected: expected.into(),
            help: None,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }
}

#[derive(Debug)]
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self {
            file,
            text,
            lines: std::iter::once(0).chain(after_newlines).collect(),
            errors: RefCell::default(),
        }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn add(&self, place: &Place, mistake: Mistake) {
        let line = self.line(place);
        let start = self.lines[line - 1];
        let before = self.text.get(start..place.offset).unwrap_or_default();
        self.errors.borrow_mut().push(ConfigError {
            file: self.file.to_owned(),
            line,
            column: before.chars().count() + 1,
            key: place.key.clone(),
            found: mistake.found,
            expected: mistake.expected,
            help: mistake.help,
        });
    }

    /// From 1.
    pub(super) fn line(&self, place: &Place) -> usize {
        // The first line starts at 0, which is never after a place: the result is at least 1.
        self.lines.partition_point(|&start| start <= place.offset)
    }

    /// `value`, unless anything was reported.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigErrors> {
        let errors = self.into_errors();
        if errors.0.is_empty() {
            Ok(value)
        } else {
            Err(errors)
        }
    }

    pub(super) fn into_errors(self) -> ConfigErrors {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| (error.line, error.column));
        ConfigErrors(errors)
    }
}

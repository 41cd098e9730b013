//! Why a text cannot be read.

use super::place::{Place, clip};

/// The first thing that the other program would not read either.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: found {found}, expected {expected}")]
pub struct SyntaxError {
    pub place: Place,
    pub found: String,
    pub expected: String,
}

impl SyntaxError {
    pub(super) fn new(place: Place, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            place,
            found: found.into(),
            expected: expected.into(),
        }
    }
}

pub(super) fn quote(text: &str) -> String {
    format!("`{}`", clip(text))
}

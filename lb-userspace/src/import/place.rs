//! Where something was written, and what.

use std::{fmt, sync::Arc};

/// A line of a file.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Words of a configuration, as far as they fit into a message.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Excerpt {
    pub place: Place,
    pub text: String,
}

impl Excerpt {
    pub(super) fn new(place: &Place, text: &str) -> Self {
        Self {
            place: place.clone(),
            text: clip(text),
        }
    }

    pub(super) fn of(place: &Place, words: &[String]) -> Self {
        Self::new(place, &words.join(" "))
    }
}

/// A text, and what messages call the place it comes from.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) file: Arc<str>,
    pub(super) text: String,
}

impl Source {
    /// What is not UTF-8 is most likely a comment, and else no name or address that could be taken over.
    pub fn new(file: &str, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Self {
            file: printable(file).into(),
            text: text.to_owned(),
        }
    }

    pub(super) fn place(&self, line: usize) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line,
        }
    }
}

/// Without what moves the cursor, or ends a comment.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

pub(super) fn clip(text: &str) -> String {
    const LONGEST: usize = 100;
    let text = printable(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

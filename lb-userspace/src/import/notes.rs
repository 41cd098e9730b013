//! What has no counterpart, said line by line.

use std::{collections::HashSet, fmt};

use super::place::{Excerpt, printable};

/// Why something was not taken over as it stands, or what to do instead.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Note {
    pub about: Excerpt,
    pub why: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Excerpt { place, text } = &self.about;
        write!(f, "{place}: `{text}`: {}", self.why)
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes(Vec<Note>);

impl Notes {
    pub(super) fn add(&mut self, about: &Excerpt, why: impl Into<String>) {
        self.0.push(Note {
            about: about.clone(),
            // It may quote what was written.
            why: printable(&why.into()),
        });
    }

    /// In the order of the files' lines. What several services have in common is said once.
    pub(super) fn finish(mut self) -> Vec<Note> {
        self.0.sort_by(|a, b| a.about.place.cmp(&b.about.place));
        let mut said = HashSet::new();
        self.0.retain(|note| said.insert(note.clone()));
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::place::Source;

    #[test]
    fn a_note_is_a_line_and_said_once() {
        let place = Source::new("a\nb", b"").place(3);
        let about = Excerpt::new(&place, "x\ny");
        let mut notes = Notes::default();
        notes.add(&about, "z\r");
        notes.add(&about, "z\r");
        let lines: Vec<_> = notes.finish().iter().map(Note::to_string).collect();
        assert_eq!(lines, [r"a\nb:3: `x\ny`: z\r"]);
    }
}

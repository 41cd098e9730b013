//! Sections and their lines.

use super::words;
use crate::import::{
    error::{SyntaxError, quote},
    notes::Notes,
    place::{Excerpt, Place, Source},
};

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Line {
    /// At least one.
    pub(super) words: Vec<String>,
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Defaults,
    Frontend,
    Backend,
    Listen,
    /// Nothing of it is about balancing.
    Other,
}

#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) header: Line,
    pub(super) lines: Vec<Line>,
    /// The section whose lines come first.
    defaults: Option<usize>,
}

const OTHERS: &[&str] = &[
    "acme",
    "cache",
    "crt-store",
    "dynamic-update",
    "fcgi-app",
    "global",
    "http-errors",
    "log-forward",
    "log-profile",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "traces",
    "userlist",
];

impl Line {
    pub(super) fn excerpt(&self) -> Excerpt {
        Excerpt::of(&self.place, &self.words)
    }

    /// Some of its words.
    pub(super) fn part(&self, words: &[String]) -> Excerpt {
        Excerpt::of(&self.place, words)
    }

    pub(super) fn texts(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }
}

pub(super) fn parse(source: &Source, notes: &mut Notes) -> Result<Vec<Section>, SyntaxError> {
    let mut sections: Vec<Section> = Vec::new();
    for (index, text) in source.text.split('\n').enumerate() {
        let place = source.place(index + 1);
        let words = match words::split(text) {
            Ok(words) => words,
            Err((found, expected)) => return Err(SyntaxError::new(place, found, expected)),
        };
        let line = Line { words, place };
        let Some(first) = line.words.first() else {
            continue;
        };
        if first.starts_with('.') {
            let why = "conditions are not evaluated: all lines are read";
            notes.add(&line.excerpt(), why);
        } else if let Some(kind) = kind(first) {
            let section = section(kind, line, &sections)?;
            sections.push(section);
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        } else {
            let expected = "a section, such as `backend NAME`";
            return Err(SyntaxError::new(line.place, quote(first), expected));
        }
    }
    Ok(sections)
}

fn kind(word: &str) -> Option<Kind> {
    match word {
        "defaults" => Some(Kind::Defaults),
        "frontend" => Some(Kind::Frontend),
        "backend" => Some(Kind::Backend),
        "listen" => Some(Kind::Listen),
        _ => OTHERS.contains(&word).then_some(Kind::Other),
    }
}

fn section(kind: Kind, header: Line, before: &[Section]) -> Result<Section, SyntaxError> {
    let words = header.texts();
    let needs_name = !matches!(kind, Kind::Defaults | Kind::Other);
    let name = words.get(1).copied().filter(|name| *name != "from");
    if needs_name && name.is_none() {
        let found = format!("{} without a name", quote(words[0]));
        return Err(SyntaxError::new(header.place.clone(), found, "a name"));
    }
    let mut pairs = words.iter().zip(words.iter().skip(1));
    let from = pairs.find(|(word, _)| **word == "from");
    let is_defaults = |section: &Section| section.kind == Kind::Defaults;
    let defaults = match from {
        Some((_, base)) => {
            let is_base = |section: &Section| is_defaults(section) && section.name == **base;
            let index = before.iter().rposition(is_base);
            Some(index.ok_or_else(|| {
                let expected = "the name of a `defaults` section above";
                SyntaxError::new(header.place.clone(), quote(base), expected)
            })?)
        }
        // Sections of defaults begin with nothing.
        None if kind == Kind::Defaults => None,
        None => before.iter().rposition(is_defaults),
    };
    Ok(Section {
        kind,
        name: name.unwrap_or_default().to_owned(),
        lines: Vec::new(),
        defaults,
        header,
    })
}

/// The lines of a section, after those of its defaults.
pub(super) fn all_lines<'a>(section: &'a Section, sections: &'a [Section]) -> Vec<&'a Line> {
    let mut chain = vec![section];
    let mut next = section.defaults;
    // Each stands before the one that names it.
    while let Some(defaults) = next.and_then(|index| sections.get(index)) {
        chain.push(defaults);
        next = defaults.defaults;
    }
    chain
        .into_iter()
        .rev()
        .flat_map(|section| &section.lines)
        .collect()
}

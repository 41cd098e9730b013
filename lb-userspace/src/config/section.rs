//! One table of a configuration: hands out its keys and, at the end, names those nobody asked for.

use toml::de::{DeTable, DeValue};

use super::{
    field::{self, Field},
    report::{Mistake, Place, Report, join},
    suggest,
};

#[derive(Debug)]
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    place: Place,
    report: &'a Report<'a>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a DeTable<'a>, report: &'a Report<'a>) -> Self {
        let place = Place {
            offset: 0,
            key: String::new(),
        };
        Self::new(table, place, report)
    }

    pub(super) fn new(table: &'a DeTable<'a>, place: Place, report: &'a Report<'a>) -> Self {
        Self {
            table,
            place,
            report,
            asked: Vec::new(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn report(&self) -> &'a Report<'a> {
        self.report
    }

    /// The key's value, if it is there.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<Field<'a>> {
        self.asked.push(key);
        let value = self.table.get(key)?;
        let place = Place {
            offset: value.span().start,
            key: join(&self.place.key, key),
        };
        Some(Field::new(value.get_ref(), place, self.report))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The key's value; reported if it is not there.
    pub(super) fn required(&mut self, key: &'static str, expected: &str) -> Option<Field<'a>> {
        let field = self.optional(key);
        if field.is_none() {
            self.missing(key, expected);
        }
        field
    }

    pub(super) fn missing(&self, key: &str, expected: &str) {
        self.report
            .add(&self.place.child(key), Mistake::new("nothing", expected));
    }

    /// A table below this one.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        self.optional(key)?.section()
    }

    /// The tables of `[[header]]`. Errors call each by the first key of `labels` it has, else by its number.
    pub(super) fn sections(
        &mut self,
        key: &'static str,
        header: &str,
        labels: &[&str],
    ) -> Option<Vec<Section<'a>>> {
        let place = self.place.child(key);
        let expected = format!("one or more tables `[[{header}]]`");
        let elements = self.required(key, &expected)?.elements(&expected)?;
        // All or nothing: a list with anything else in it is no list of tables.
        let section = |(index, element): (usize, Field<'a>)| {
            let mut section = element.section()?;
            let label = section
                .label(labels)
                .unwrap_or_else(|| format!("#{}", index + 1));
            section.place.key = format!("{}[{label}]", place.key);
            Some(section)
        };
        elements.into_iter().enumerate().map(section).collect()
    }

    fn label(&self, keys: &[&str]) -> Option<String> {
        let text = |key: &&str| match self.table.get(*key)?.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(field::clip(text)),
            _ => None,
        };
        keys.iter().find_map(text)
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        let mut known = self.asked;
        known.sort_unstable();
        known.dedup();
        let unknown = self
            .table
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()));
        for key in unknown {
            let place = Place {
                offset: key.span().start,
                key: join(&self.place.key, &field::clip(key.get_ref())),
            };
            let mistake = Mistake::new("an unknown key", format!("one of {}", known.join(", ")));
            let mistake = match suggest::nearest(key.get_ref(), known.iter().copied()) {
                Some(word) => mistake.help(format!("did you mean `{word}`?")),
                None => mistake,
            };
            self.report.add(&place, mistake);
        }
    }
}

//! One value of a configuration, read as the kind it has to be.

use std::{fmt, ops::RangeInclusive};

use toml::de::DeValue;

use super::{
    report::{At, Mistake, Place, Report, join},
    section::Section,
    suggest,
};

#[derive(Debug)]
pub(super) struct Field<'a> {
    value: &'a DeValue<'a>,
    place: Place,
    report: &'a Report<'a>,
}

impl<'a> Field<'a> {
    pub(super) fn new(value: &'a DeValue<'a>, place: Place, report: &'a Report<'a>) -> Self {
        Self {
            value,
            place,
            report,
        }
    }

    /// What the field means, at its place.
    pub(super) fn at<T>(&self, value: T) -> At<T> {
        At {
            value,
            place: self.place.clone(),
        }
    }

    /// Reports a mistake here.
    pub(super) fn wrong(&self, mistake: Mistake) {
        self.report.add(&self.place, mistake);
    }

    /// Reports that this value is not what was expected.
    pub(super) fn unlike(&self, expected: impl Into<String>) {
        self.wrong(Mistake::new(self.found(), expected));
    }

    /// The value, as far as it fits into a message.
    pub(super) fn found(&self) -> String {
        match self.value {
            DeValue::String(text) => quote(text),
            DeValue::Integer(number) => clip(&number.to_string()),
            DeValue::Float(number) => clip(&number.to_string()),
            DeValue::Boolean(flag) => flag.to_string(),
            DeValue::Datetime(time) => format!("the time {time}"),
            DeValue::Array(list) if list.is_empty() => "an empty list".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self.value, DeValue::Integer(_) | DeValue::Float(_))
    }

    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        let DeValue::String(text) = self.value else {
            let mistake = Mistake::new(self.found(), expected);
            self.wrong(match self.value {
                DeValue::Array(_) | DeValue::Table(_) => mistake,
                _ => mistake.help("write it in quotes"),
            });
            return None;
        };
        Some(text)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        if let DeValue::Boolean(flag) = self.value {
            return Some(*flag);
        }
        let mistake = Mistake::new(self.found(), "true or false");
        self.wrong(match self.value {
            DeValue::String(text) if ["true", "false"].contains(&text.as_ref()) => {
                mistake.help("write it without quotes")
            }
            _ => mistake,
        });
        None
    }

    pub(super) fn whole<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + fmt::Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.value else {
            let mistake = Mistake::new(self.found(), expected);
            self.wrong(match self.value {
                DeValue::String(text) if text.parse::<u64>().is_ok() => {
                    mistake.help("write it without quotes")
                }
                _ => mistake,
            });
            return None;
        };
        let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value
            .and_then(|value| T::try_from(value).ok())
            .filter(|value| range.contains(value));
        if value.is_none() {
            self.unlike(expected);
        }
        value
    }

    /// One of `words`. `later` are words that will be understood one day and deserve to be told so.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)], later: &[&str]) -> Option<T> {
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let expected = suggest::alternatives(&known);
        let text = self.text(&expected)?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        if later.contains(&text) {
            let found = format!("{}, which is not supported yet", quote(text));
            self.wrong(Mistake::new(found, expected));
            return None;
        }
        let mistake = Mistake::new(self.found(), expected);
        self.wrong(match suggest::nearest(text, known) {
            Some(word) if words.len() > 1 => mistake.help(format!("did you mean {word:?}?")),
            _ => mistake,
        });
        None
    }

    /// The elements of a list; reported if there are none.
    pub(super) fn elements(&self, expected: &str) -> Option<Vec<Field<'a>>> {
        let list = match self.value {
            DeValue::Array(list) if !list.is_empty() => list,
            DeValue::String(text) => {
                let help = format!("write [{}]", quote(text));
                self.wrong(Mistake::new(self.found(), expected).help(help));
                return None;
            }
            _ => {
                self.unlike(expected);
                return None;
            }
        };
        let element = |(index, element): (usize, &'a toml::Spanned<DeValue<'a>>)| {
            let place = Place {
                offset: element.span().start,
                key: format!("{}[#{}]", self.place.key, index + 1),
            };
            Field::new(element.get_ref(), place, self.report)
        };
        Some(list.iter().enumerate().map(element).collect())
    }

    /// The keys and values of a table whose keys are not known before.
    pub(super) fn entries(&self, expected: &str) -> Option<Vec<(String, Field<'a>)>> {
        let DeValue::Table(table) = self.value else {
            self.unlike(expected);
            return None;
        };
        let entry = |(key, value): (&'a toml::Spanned<_>, &'a toml::Spanned<DeValue<'a>>)| {
            let name: &std::borrow::Cow<'a, str> = key.get_ref();
            let place = Place {
                offset: value.span().start,
                key: join(&self.place.key, &clip(name)),
            };
            (
                name.to_string(),
                Field::new(value.get_ref(), place, self.report),
            )
        };
        Some(table.iter().map(entry).collect())
    }

    pub(super) fn section(&self) -> Option<Section<'a>> {
        let DeValue::Table(table) = self.value else {
            self.unlike("a table");
            return None;
        };
        Some(Section::new(table, self.place.clone(), self.report))
    }
}

/// Text in quotes, as far as it fits into a message.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", clip(text))
}

/// Text on one line, as far as it fits into a message.
pub(super) fn clip(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut characters = text.chars();
    let mut clipped: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() {
        clipped.push('…');
    }
    clipped.escape_debug().to_string()
}

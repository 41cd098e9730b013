//! Which HTTP statuses a check takes for an answer of a healthy backend: `200-299,401`.

use std::{fmt, ops::RangeInclusive, str::FromStr};

const ALL: RangeInclusive<u16> = 100..=999;

/// One or more ranges, as they were written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statuses(Vec<RangeInclusive<u16>>);

impl Statuses {
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

impl Default for Statuses {
    /// As HAProxy and nginx: 2xx and 3xx.
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("2xx or 3xx");
        }
        for (number, range) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let (first, last) = (range.start(), range.end());
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// Another text than a list of statuses and ranges of them.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no status from 100 to 999, and no range of them")]
pub struct NotStatuses(String);

impl FromStr for Statuses {
    type Err = NotStatuses;

    fn from_str(text: &str) -> Result<Self, NotStatuses> {
        let ranges = text.split(',').map(|part| {
            let part = part.trim();
            range(part).ok_or_else(|| NotStatuses(part.to_owned()))
        });
        Ok(Self(ranges.collect::<Result<_, _>>()?))
    }
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    let is_one = ALL.contains(range.start()) && ALL.contains(range.end()) && !range.is_empty();
    is_one.then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_meant() {
        let statuses: Statuses = "200-299, 401,404".parse().unwrap();
        for (status, passes) in [
            (199, false),
            (200, true),
            (299, true),
            (300, false),
            (401, true),
            (402, false),
            (404, true),
        ] {
            assert_eq!(statuses.contains(status), passes, "{status}");
        }
        assert_eq!(statuses.to_string(), "200-299,401,404");
        assert_eq!(Statuses::default().to_string(), "2xx or 3xx");
        assert!(Statuses::default().contains(304));
    }

    #[test]
    fn what_is_none_is_named() {
        for (text, part) in [
            ("", ""),
            ("2xx", "2xx"),
            ("200,", ""),
            ("99", "99"),
            ("1000", "1000"),
            ("200,299-200", "299-200"),
            ("200-", "200-"),
        ] {
            let error = text.parse::<Statuses>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("`{part}` is no status")),
                "{text}: {error}"
            );
        }
    }
}

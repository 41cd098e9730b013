//! Versions as programs print them.

use std::fmt;

/// Three numbers; a suffix such as `-nightly` is not kept.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Version {
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// The first word of `text` that is a version; its patch may be missing.
    pub fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let end = word
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(word.len());
        let (numbers, suffix) = word.split_at(end);
        if !(suffix.is_empty() || suffix.starts_with(['-', '+'])) {
            return None;
        }
        let mut numbers = numbers.split('.').map(str::parse);
        let version = Self {
            major: numbers.next()?.ok()?,
            minor: numbers.next()?.ok()?,
            patch: numbers.next().unwrap_or(Ok(0)).ok()?,
        };
        numbers.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, expected) in [
            ("bpf-linker 0.13.0", Some((0, 13, 0))),
            ("release: 1.97.0-nightly", Some((1, 97, 0))),
            ("LLVM version: 22.1", Some((22, 1, 0))),
            ("1.95", Some((1, 95, 0))),
            ("0.13.0+debian", Some((0, 13, 0))),
            ("rustc 1.96.0 (ac68faa20 2026-05-25)", Some((1, 96, 0))),
            ("commit-date: 2026-05-25", None),
            ("1.2.3.4", None),
            ("1.x", None),
            ("99999999999.0.0", None),
            ("", None),
        ] {
            let expected = expected.map(|(major, minor, patch)| Version::new(major, minor, patch));
            assert_eq!(Version::find(text), expected, "{text:?}");
        }
    }

    #[test]
    fn versions_order_by_number_and_not_by_letter() {
        assert!(Version::new(1, 100, 0) > Version::new(1, 95, 9));
    }
}

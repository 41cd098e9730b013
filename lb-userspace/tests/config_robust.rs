//! No text makes the parser panic, and every error it gives has a place in that text.

use lb_userspace::config::{self, ConfigErrors};
use proptest::{prelude::*, sample::Index};

const EXAMPLES: &[&str] = &[
    include_str!("../../config/shunt.toml"),
    include_str!("../../config/gateway.toml"),
    include_str!("../../config/dns-udp.toml"),
    include_str!("../../config/ports.toml"),
];

/// Pieces that mean something to TOML or to a configuration.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    "=",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    "\0",
    "\u{feff}",
    "é",
    "-1",
    "0",
    "300",
    "99999999999999999999",
    "0x10",
    "1e400",
    "nan",
    "true",
    "2026-01-01T00:00:00Z",
    "\"2s\"",
    "\"584942417355years\"",
    "\"::1\"",
    "\"[fe80::1%3]:80\"",
    "\"192.0.2.9:0-65536\"",
    "\"192.0.2.9:1-65535\"",
    "\"[2001:db8::9]\"",
    "[[service]]",
    "[[service.backend]]",
    "[service.health]",
    "[daemon]",
    "[daemon.timeouts]",
    "daemon",
    "service",
    "backend",
    "health",
    "weight",
    "listen",
    "name = ",
    "address = ",
    "\\u0000",
    "\\",
];

/// One edit: which piece, where from, how much of the text it replaces.
type Edit = (Index, Index, usize);

fn edit(text: &str, (piece, place, length): &Edit) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let start = place.index(characters.len() + 1);
    let end = (start + length).min(characters.len());
    characters.splice(start..end, piece.get(PIECES).chars());
    characters.into_iter().collect()
}

/// Where an error is has to exist: at most one line and one column after the last.
fn places_exist(text: &str, errors: &ConfigErrors) -> Result<(), TestCaseError> {
    let lines: Vec<_> = text.split('\n').collect();
    prop_assert!(!errors.0.is_empty());
    for error in &errors.0 {
        let line = error.line.checked_sub(1).and_then(|index| lines.get(index));
        prop_assert!(line.is_some(), "{error}");
        let columns = line.map_or(0, |line| line.chars().count() + 1);
        prop_assert!((1..=columns).contains(&error.column), "{error}");
        prop_assert!(
            !error.found.is_empty() && !error.expected.is_empty(),
            "{error}"
        );
        prop_assert!(!error.to_string().contains('\0'));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text(text in any::<String>()) {
        if let Err(errors) = config::parse("any", &text) {
            places_exist(&text, &errors)?;
        }
    }

    #[test]
    fn any_order_of_pieces(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = pieces.concat();
        if let Err(errors) = config::parse("pieces", &text) {
            places_exist(&text, &errors)?;
        }
    }

    #[test]
    fn edited_examples(
        example in prop::sample::select(EXAMPLES),
        edits in prop::collection::vec(any::<(Index, Index)>().prop_flat_map(|(piece, place)| (Just(piece), Just(place), 0usize..20)), 1..6),
    ) {
        let text = edits.iter().fold(example.to_owned(), |text, change| edit(&text, change));
        if let Err(errors) = config::parse("edited", &text) {
            places_exist(&text, &errors)?;
        }
    }
}

#[test]
fn depth_has_an_end() {
    for open in ["[", "{ a = ", "a."] {
        let text = format!("[daemon]\ninterfaces = {}", open.repeat(100_000));
        assert!(config::parse("deep", &text).is_err());
        assert!(config::parse("deep", &open.repeat(100_000)).is_err());
    }
}

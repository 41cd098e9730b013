//! Durations, which carry their unit: `"500ms"`, `"2s"`, `"1h 30m"`.

use std::{ops::RangeInclusive, time::Duration};

use super::{field::Field, report::Mistake, section::Section};

const EXAMPLES: &str = r#"such as "500ms", "2s" or "1h""#;

/// A duration within `range`, or `default` where the key is missing.
pub(super) fn read(
    section: &mut Section,
    key: &'static str,
    default: Duration,
    range: RangeInclusive<Duration>,
) -> Duration {
    section
        .optional(key)
        .and_then(|field| parse(&field, &range))
        .unwrap_or(default)
}

fn parse(field: &Field, range: &RangeInclusive<Duration>) -> Option<Duration> {
    let expected = format!(
        "a duration from {} to {}, {EXAMPLES}",
        humantime::format_duration(*range.start()),
        humantime::format_duration(*range.end()),
    );
    if field.is_number() {
        let mistake = Mistake::new(
            format!("{}, a number without a unit", field.found()),
            expected,
        );
        field.wrong(mistake.help(format!(
            r#"write "{}s" if seconds are meant"#,
            field.found()
        )));
        return None;
    }
    match humantime::parse_duration(field.text(&expected)?) {
        Ok(duration) if range.contains(&duration) => return Some(duration),
        Ok(_) => field.unlike(expected),
        Err(error) => {
            field.wrong(Mistake::new(field.found(), expected).help(error.to_string()));
        }
    }
    None
}

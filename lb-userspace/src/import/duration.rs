//! Times as nginx and HAProxy write them: `30s`, `1h30m`, `500`.

use std::{ops::RangeInclusive, time::Duration};

use super::{notes::Notes, place::Excerpt};

/// A number and what it counts, in microseconds.
type Unit = (&'static str, u64);

const SECOND: u64 = 1_000_000;
const NGINX: &[Unit] = &[
    ("ms", 1000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
    ("d", 86_400 * SECOND),
    ("w", 7 * 86_400 * SECOND),
    ("M", 30 * 86_400 * SECOND),
    ("y", 365 * 86_400 * SECOND),
];
const HAPROXY: &[Unit] = &[
    ("us", 1),
    ("ms", 1000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
    ("d", 86_400 * SECOND),
];

/// What a configuration of shunt takes.
pub(super) const CHECKS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
pub(super) const FAIL_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
pub(super) const SLOW_STARTS: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(24 * 3600);

/// Without a unit it is seconds.
pub(super) fn nginx(text: &str) -> Option<Duration> {
    parse(text, NGINX, SECOND)
}

/// Without a unit it is milliseconds.
pub(super) fn haproxy(text: &str) -> Option<Duration> {
    parse(text, HAPROXY, 1000)
}

fn parse(text: &str, units: &[Unit], default: u64) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit());
        let (number, after) = rest.split_at(digits.unwrap_or(rest.len()));
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        let factor = match units.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => default,
            None => return None,
        };
        let part = number.parse::<u64>().ok()?.checked_mul(factor)?;
        total = total.checked_add(part)?;
        rest = after.trim_start();
    }
    Some(Duration::from_micros(total))
}

/// As a configuration has it.
pub(super) fn value(time: Duration) -> toml_edit::Value {
    humantime::format_duration(time).to_string().into()
}

/// The time, if a key of shunt takes it; else that is said.
pub(super) fn within(
    time: Option<Duration>,
    range: &RangeInclusive<Duration>,
    said: &Excerpt,
    notes: &mut Notes,
) -> Option<Duration> {
    let usable = time.filter(|time| range.contains(time));
    if usable.is_none() {
        let (least, most) = (range.start(), range.end());
        notes.add(
            said,
            format!(
                "no time from {} to {}: left out",
                humantime::format_duration(*least),
                humantime::format_duration(*most)
            ),
        );
    }
    usable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_has_its_units() {
        let rows = [
            ("30", Some(30_000), Some(30)),
            ("30s", Some(30_000), Some(30_000)),
            ("500ms", Some(500), Some(500)),
            ("1h30m", Some(5_400_000), Some(5_400_000)),
            ("1h 30m", Some(5_400_000), Some(5_400_000)),
            ("1w", Some(604_800_000), None),
            ("1M", Some(2_592_000_000), None),
            ("2000us", None, Some(2)),
            ("", None, None),
            ("s", None, None),
            ("-1s", None, None),
            ("1.5s", None, None),
            ("99999999999999999999s", None, None),
            ("9999999999999999999y", None, None),
        ];
        for (text, in_nginx, in_haproxy) in rows {
            assert_eq!(nginx(text), in_nginx.map(Duration::from_millis), "{text}");
            assert_eq!(
                haproxy(text),
                in_haproxy.map(Duration::from_millis),
                "{text}"
            );
        }
    }
}

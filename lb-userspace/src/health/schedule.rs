//! When to check.
//!
//! The first checks of many backends are spread over one interval; what follows is spaced by an interval that jitter
//! only ever shortens. Counted from start to start, `fall` checks after the last pass so begin within
//! `interval * fall`, and the last of them has failed within `interval * fall + timeout`. This holds as long as
//! a check ends before the next is due: `timeout <= interval`. With a shorter interval between checks that fail it is sooner.

use std::{
    hash::Hasher as _,
    time::{Duration, Instant},
};

use siphasher::sip::SipHasher13;

use super::{Health, Machine};

/// How far apart the checks of a backend are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Intervals {
    /// While it is as it was.
    pub steady: Duration,
    /// While the last check contradicts what is known of it: a change may be on its way.
    pub fast: Duration,
    /// While it is down.
    pub down: Duration,
}

impl Intervals {
    pub const fn of(&self, machine: &Machine) -> Duration {
        match machine.health() {
            _ if machine.streak() > 0 => self.fast,
            Health::Down => self.down,
            Health::Up | Health::Unknown => self.steady,
        }
    }
}

/// The part of the interval that jitter may take away is one in so many: 5 %.
const JITTER: u32 = 20;

/// How long the first check waits: a moment of `0..interval` that the names decide, so that thousands of backends are
/// spread evenly and a restart finds each where it was.
pub fn first(service: &str, backend: &str, interval: Duration) -> Duration {
    let mut hasher = SipHasher13::new();
    hasher.write(service.as_bytes());
    // No name contains it, so that no two pairs hash the same text.
    hasher.write(&[0xff]);
    hasher.write(backend.as_bytes());
    let share = u128::from(hasher.finish());
    let nanoseconds = (interval.as_nanos() * share) >> u64::BITS;
    Duration::from_nanos_u128(nanoseconds)
}

/// When the check after the one due at `due` is due. `jitter` of 0..=1 shortens the interval by up to 5 %; anything
/// else leaves it as it is.
///
/// A check that was late by more than an interval is not made up for: the next one is due at once, at `now`.
pub fn next(due: Instant, now: Instant, interval: Duration, jitter: f64) -> Instant {
    let shortened = match jitter {
        0.0..=1.0 => (interval / JITTER).mul_f64(jitter),
        _ => Duration::ZERO,
    };
    (due + interval - shortened).max(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::Event;

    const INTERVAL: Duration = Duration::from_secs(2);

    #[test]
    fn first_checks_of_thousands_are_spread_evenly() {
        const BUCKETS: usize = 20;
        const BACKENDS: usize = 4000;
        let mut counts = [0_u32; BUCKETS];
        for service in ["web", "api"] {
            for backend in 0..BACKENDS / 2 {
                let name = format!("10.0.{}.{}:8001", backend / 250, backend % 250);
                let wait = first(service, &name, INTERVAL).as_secs_f64();
                counts[(wait / INTERVAL.as_secs_f64() * BUCKETS as f64) as usize] += 1;
            }
        }
        let expected = (BACKENDS / BUCKETS) as f64;
        let chi2: f64 = counts
            .iter()
            .map(|&count| (f64::from(count) - expected).powi(2) / expected)
            .sum();
        // 19 degrees of freedom: 0.1 % of random spreads exceed 43.8.
        assert!(chi2 < 43.8, "chi² {chi2}: {counts:?}");
    }

    #[test]
    fn both_names_count_and_where_one_ends() {
        let wait = |service, backend| first(service, backend, INTERVAL);
        assert_eq!(wait("web", "a"), wait("web", "a"));
        assert_ne!(wait("web", "a"), wait("api", "a"));
        assert_ne!(wait("web", "a"), wait("web", "b"));
        assert_ne!(wait("web", "1a"), wait("web1", "a"));
    }

    #[test]
    fn a_change_on_its_way_is_checked_fast() {
        let [steady, fast, down] = [2, 1, 10].map(Duration::from_secs);
        let intervals = Intervals { steady, fast, down };
        let now = Instant::now();
        let mut machine = Machine::new(2, 2, Health::Unknown);
        assert_eq!(intervals.of(&machine), steady);
        for (event, expected) in [
            (Event::Passed, steady),
            (Event::Failed, fast),
            (Event::Passed, steady),
            (Event::Failed, fast),
            (Event::Failed, down),
            (Event::Passed, fast),
            (Event::Failed, down),
            (Event::Passed, fast),
            (Event::Passed, steady),
        ] {
            machine.on(event, now);
            assert_eq!(intervals.of(&machine), expected, "after {event:?}");
        }
    }

    #[test]
    fn jitter_takes_at_most_a_twentieth() {
        let due = Instant::now();
        let delay = |jitter| next(due, due, INTERVAL, jitter) - due;
        assert_eq!(delay(0.0), INTERVAL);
        assert_eq!(delay(0.5), Duration::from_millis(1950));
        assert_eq!(delay(1.0), Duration::from_millis(1900));
        for nonsense in [-7.0, 7.0, f64::NAN, f64::INFINITY] {
            assert_eq!(delay(nonsense), INTERVAL);
        }
    }

    #[test]
    fn missed_checks_are_not_made_up_for() {
        let due = Instant::now();
        let late = due + INTERVAL * 10;
        assert_eq!(next(due, late, INTERVAL, 0.0), late);
    }

    proptest! {
        #[test]
        fn first_lies_within_the_interval(
            service in ".*", backend in ".*", milliseconds in 1_u64..100_000,
        ) {
            let interval = Duration::from_millis(milliseconds);
            prop_assert!(first(&service, &backend, interval) < interval);
        }

        /// A backend that dies at any moment is found out in time.
        #[test]
        fn ejection_takes_at_most_fall_intervals_and_one_timeout(
            fall in 1_u32..6,
            timeout in 1_u64..=2000,
            death in 0_u64..20_000,
            jitters in prop::collection::vec(0.0..1.0, 64),
        ) {
            let timeout = Duration::from_millis(timeout);
            let start = Instant::now();
            let death = start + Duration::from_millis(death);
            let mut machine = Machine::new(2, fall, Health::Up);
            let mut due = start + first("web", "a", INTERVAL);
            let mut ejected = None;
            for jitter in jitters {
                // A check that begins before death passes at once.
                let (event, end) = if due < death {
                    (Event::Passed, due)
                } else {
                    (Event::Failed, due + timeout)
                };
                if machine.on(event, end).is_some() {
                    ejected = Some(end);
                    break;
                }
                due = next(due, end, INTERVAL, jitter);
            }
            let slowest = INTERVAL * fall + timeout
                // A backend that dies before the first check is found out by that.
                + first("web", "a", INTERVAL).saturating_sub(death - start);
            let took = ejected.map(|end| end - death);
            prop_assert!(took.is_some_and(|took| took <= slowest), "{took:?} > {slowest:?}");
        }
    }
}

//! Passive checks: what becomes of clients' own connections says that a backend fails, in the words of nginx.
//!
//! `max_fails` connections that are refused or not answered within `fail_timeout` take a backend out for `fail_timeout`. Then
//! it gets new flows again. If it fails again before it has done well for as long as it was out, it is out for twice as long.
//!
//! No I/O, and time is an argument.

use std::time::{Duration, Instant};

/// When a backend fails, and for how long it is out then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// 0: never.
    pub max_fails: u32,
    pub fail_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_fails: 0,
            fail_timeout: Duration::from_secs(10),
        }
    }
}

/// It is out for at most so many times `fail_timeout`.
const LONGEST: u32 = 64;

#[derive(Clone, Debug, Default)]
pub struct Passive {
    /// Failures, and since when they are counted.
    counted: Option<(Instant, u32)>,
    state: State,
    /// How many times `fail_timeout` it was out at last; 0: it is trusted.
    times: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    In,
    Out(Instant),
    /// In again, but not trusted before then.
    Probation(Instant),
}

/// What changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Out for so long, after so many failures.
    Out { fails: u32, wait: Duration },
    /// It gets new flows again.
    In,
}

impl Passive {
    pub const fn is_out(&self) -> bool {
        matches!(self.state, State::Out(_))
    }

    /// For how much longer it is out.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Out(until) => Some(until.saturating_duration_since(now)),
            State::In | State::Probation(_) => None,
        }
    }

    /// Takes note of so many failures since the last time, and of the time.
    pub fn on(&mut self, fails: u32, limits: Limits, now: Instant) -> Option<Verdict> {
        if limits.max_fails == 0 {
            let was_out = self.is_out();
            *self = Self::default();
            return was_out.then_some(Verdict::In);
        }
        match self.state {
            // What fails now was sent before.
            State::Out(until) if now < until => return None,
            State::Out(until) => {
                let wait = limits.fail_timeout * self.times;
                self.state = State::Probation(until.max(now) + wait);
                self.counted = None;
                return Some(Verdict::In);
            }
            State::Probation(until) if now >= until => {
                self.state = State::In;
                self.times = 0;
            }
            State::In | State::Probation(_) => {}
        }
        if fails == 0 {
            return None;
        }
        let (since, before) = match self.counted {
            Some((since, count)) if now.saturating_duration_since(since) < limits.fail_timeout => {
                (since, count)
            }
            _ => (now, 0),
        };
        let fails = before.saturating_add(fails);
        self.counted = Some((since, fails));
        if fails < limits.max_fails {
            return None;
        }
        self.times = (self.times * 2).clamp(1, LONGEST);
        let wait = limits.fail_timeout * self.times;
        self.state = State::Out(now + wait);
        Some(Verdict::Out { fails, wait })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        max_fails: 3,
        fail_timeout: Duration::from_secs(10),
    };

    fn second(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// At which second so many failures are heard of, and what comes of it: for how long it is out, or 0: it is in again.
    #[test]
    fn a_backend_that_fails_is_out_for_longer_each_time() {
        let start = Instant::now();
        let mut passive = Passive::default();
        for (at, fails, expected) in [
            (0, 2, None),
            // Another window.
            (11, 2, None),
            (12, 1, Some(10)),
            (13, 9, None),
            (22, 0, Some(0)),
            // Out for ten seconds, not trusted for ten.
            (25, 3, Some(20)),
            (45, 0, Some(0)),
            (46, 5, Some(40)),
            (86, 0, Some(0)),
            // Trusted again after forty.
            (126, 2, None),
            (127, 1, Some(10)),
        ] {
            let verdict = passive.on(fails, LIMITS, second(start, at));
            let found = verdict.map(|verdict| match verdict {
                Verdict::Out { wait, .. } => wait.as_secs(),
                Verdict::In => 0,
            });
            assert_eq!(found, expected, "second {at}");
        }
    }

    #[test]
    fn without_a_limit_nothing_is_out() {
        let now = Instant::now();
        let mut passive = Passive::default();
        passive.on(3, LIMITS, now);
        assert!(passive.is_out());
        let none = Limits::default();
        assert_eq!(passive.on(9, none, now), Some(Verdict::In));
        assert_eq!(passive.on(9, none, now), None);
    }

    proptest! {
        /// It always comes back, at the latest after 64 times.
        #[test]
        fn nobody_is_out_for_ever(steps in prop::collection::vec((0_u64..200, 0_u32..10), 0..200)) {
            let mut now = Instant::now();
            let mut passive = Passive::default();
            for (seconds, fails) in steps {
                now += Duration::from_secs(seconds);
                passive.on(fails, LIMITS, now);
                prop_assert!(passive.left(now).unwrap_or_default() <= LIMITS.fail_timeout * LONGEST);
            }
            passive.on(0, LIMITS, now + LIMITS.fail_timeout * LONGEST);
            prop_assert!(!passive.is_out());
        }
    }
}

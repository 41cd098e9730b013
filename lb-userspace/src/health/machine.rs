//! What the results of checks mean.
//!
//! ```text
//!                  Unknown
//!     Passed      ╱       ╲      Failed
//!                ▼         ▼
//!               Up ──────► Down
//!                  `fall` Failed in a row
//!               Up ◄────── Down
//!                  `rise` Passed in a row; twice as many each time that it
//!                  had been up for less than the flap window
//! ```
//!
//! The first result decides at once: a backend that passes may serve, and one that fails never served, so
//! that nothing is lost by not asking again. From then on a single result decides nothing unless
//! `rise` or `fall` is 1, and one that agrees with the present state starts the count afresh.

use std::time::{Duration, Instant};

/// What is known of a backend.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Health {
    /// Not checked yet; takes no traffic.
    Unknown,
    Up,
    Down,
}

impl Health {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    Passed,
    Failed,
}

/// A change of state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transition {
    pub from: Health,
    pub to: Health,
    /// How long the state before lasted; `None` for the initial one, whose beginning nobody saw.
    pub after: Option<Duration>,
}

/// The health of one backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Machine {
    rise: u32,
    fall: u32,
    health: Health,
    since: Option<Instant>,
    streak: u32,
    /// Who has been up for less than that is flapping; zero: nobody is.
    flap_window: Duration,
    /// How many times in a row it went down within the window.
    flaps: u32,
}

/// A backend that flaps needs `rise` times two to the power of so much at most: 64.
const MOST_FLAPS: u32 = 6;

impl Machine {
    /// `rise` and `fall` of 0 mean 1: no state changes without an event.
    pub const fn new(rise: u32, fall: u32, initial: Health) -> Self {
        Self {
            rise,
            fall,
            health: initial,
            since: None,
            streak: 0,
            flap_window: Duration::ZERO,
            flaps: 0,
        }
    }

    /// With a flap window.
    #[must_use]
    pub const fn damped(self, flap_window: Duration) -> Self {
        Self {
            flap_window,
            ..self
        }
    }

    /// Passes in a row after which it is up again.
    const fn passes_needed(&self) -> u32 {
        let rise = if self.rise == 0 { 1 } else { self.rise };
        rise.saturating_mul(1 << self.flaps)
    }

    pub const fn health(&self) -> Health {
        self.health
    }

    /// When the present state began; `None` while it is the initial one.
    pub const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// How many of the latest events, in a row, contradict the present state.
    pub const fn streak(&self) -> u32 {
        self.streak
    }

    /// Takes the result of a check that ended at `now`.
    pub fn on(&mut self, event: Event, now: Instant) -> Option<Transition> {
        let (to, needed) = match (self.health, event) {
            (Health::Unknown, Event::Passed) => (Health::Up, 1),
            (Health::Unknown, Event::Failed) => (Health::Down, 1),
            (Health::Down, Event::Passed) => (Health::Up, self.passes_needed()),
            (Health::Up, Event::Failed) => (Health::Down, self.fall),
            (Health::Up, Event::Passed) | (Health::Down, Event::Failed) => {
                self.streak = 0;
                return None;
            }
        };
        self.streak = self.streak.saturating_add(1);
        (self.streak >= needed).then(|| self.turn(to, now))
    }

    fn turn(&mut self, to: Health, now: Instant) -> Transition {
        let transition = Transition {
            from: self.health,
            to,
            after: self.since.map(|since| now.saturating_duration_since(since)),
        };
        if to == Health::Down {
            let flaps = transition.after.is_some_and(|up| up < self.flap_window);
            self.flaps = if flaps {
                (self.flaps + 1).min(MOST_FLAPS)
            } else {
                0
            };
        }
        self.health = to;
        self.since = Some(now);
        self.streak = 0;
        transition
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        Event::{Failed, Passed},
        Health::{Down, Unknown, Up},
        *,
    };

    /// A machine with rise 2 and fall 3 in `health`, after `streak` events against it.
    fn machine(health: Health, streak: u32) -> Machine {
        Machine {
            streak,
            ..Machine::new(2, 3, health)
        }
    }

    #[test]
    fn every_state_and_event() {
        let rows = [
            // state, event, state after, changed
            ((Unknown, 0), Passed, (Up, 0), true),
            ((Unknown, 0), Failed, (Down, 0), true),
            ((Up, 0), Passed, (Up, 0), false),
            ((Up, 2), Passed, (Up, 0), false),
            ((Up, 0), Failed, (Up, 1), false),
            ((Up, 1), Failed, (Up, 2), false),
            ((Up, 2), Failed, (Down, 0), true),
            ((Down, 0), Failed, (Down, 0), false),
            ((Down, 1), Failed, (Down, 0), false),
            ((Down, 0), Passed, (Down, 1), false),
            ((Down, 1), Passed, (Up, 0), true),
        ];
        let now = Instant::now();
        for ((health, streak), event, (after, streak_after), changed) in rows {
            let mut machine = machine(health, streak);
            let transition = machine.on(event, now);
            let row = format!("{health:?}/{streak} on {event:?}");
            assert_eq!(machine.health(), after, "{row}");
            assert_eq!(machine.streak(), streak_after, "{row}");
            assert_eq!(machine.since(), changed.then_some(now), "{row}");
            let expected = changed.then_some(Transition {
                from: health,
                to: after,
                after: None,
            });
            assert_eq!(transition, expected, "{row}");
        }
    }

    #[test]
    fn a_pass_between_failures_starts_the_count_afresh() {
        let mut machine = machine(Up, 0);
        let now = Instant::now();
        for event in [Failed, Failed, Passed, Failed, Failed] {
            assert_eq!(machine.on(event, now), None);
        }
        assert_eq!(machine.on(Failed, now).map(|change| change.to), Some(Down));
    }

    #[test]
    fn a_transition_says_how_long_the_state_before_lasted() {
        let start = Instant::now();
        let mut machine = Machine::new(1, 1, Unknown);
        let mut at = |event, seconds| {
            let change = machine.on(event, start + Duration::from_secs(seconds));
            change.and_then(|change| change.after)
        };
        assert_eq!(at(Passed, 5), None);
        assert_eq!(at(Failed, 65), Some(Duration::from_secs(60)));
        // A clock that seems to go back is no reason to fail.
        assert_eq!(at(Passed, 64), Some(Duration::ZERO));
    }

    #[test]
    fn zero_counts_as_one() {
        let mut machine = Machine::new(0, 0, Up);
        let now = Instant::now();
        assert_eq!(machine.on(Passed, now), None);
        assert!(machine.on(Failed, now).is_some());
        assert!(machine.on(Passed, now).is_some());
    }

    #[test]
    fn who_falls_within_the_window_needs_twice_as_many_passes_each_time() {
        let window = Duration::from_secs(60);
        let start = Instant::now();
        let mut machine = Machine::new(2, 1, Up).damped(window);
        let mut now = start;
        let mut passes = |machine: &mut Machine, after: Duration| {
            now += after;
            machine.on(Failed, now).unwrap();
            let passes = (1..).find(|_| machine.on(Passed, now).is_some());
            passes.unwrap()
        };
        let (soon, late) = (Duration::from_secs(59), window);
        // How long it was up before nobody saw.
        assert_eq!(passes(&mut machine, soon), 2);
        for expected in [4, 8, 16, 32, 64, 128, 128, 128] {
            assert_eq!(passes(&mut machine, soon), expected);
        }
        assert_eq!(passes(&mut machine, late), 2);
        assert_eq!(passes(&mut machine, soon), 4);
    }

    #[test]
    fn without_a_window_nobody_flaps() {
        let mut machine = Machine::new(2, 1, Up);
        let now = Instant::now();
        for _ in 0..10 {
            machine.on(Failed, now).unwrap();
            assert_eq!(machine.on(Passed, now), None);
            machine.on(Passed, now).unwrap();
        }
    }

    /// The rule as one would say it, from the whole history.
    fn reference(rise: usize, fall: usize, history: &[Event]) -> Health {
        let mut health = Unknown;
        let mut since = 0;
        for end in 1..=history.len() {
            let ends_with = |event: Event, times: usize| {
                let seen = &history[since..end];
                seen.len() >= times && seen[seen.len() - times..].iter().all(|&e| e == event)
            };
            let next = match health {
                Unknown if ends_with(Passed, 1) => Up,
                Unknown => Down,
                Up if ends_with(Failed, fall) => Down,
                Down if ends_with(Passed, rise) => Up,
                unchanged => unchanged,
            };
            if next != health {
                (health, since) = (next, end);
            }
        }
        health
    }

    proptest! {
        #[test]
        fn agrees_with_the_rule_on_every_history(
            rise in 1_u32..5,
            fall in 1_u32..5,
            history in prop::collection::vec(
                prop::sample::select(vec![Passed, Failed]), 0..60),
        ) {
            let now = Instant::now();
            let mut machine = Machine::new(rise, fall, Unknown);
            for (seen, &event) in (1..).zip(&history) {
                let before = machine.health();
                let change = machine.on(event, now);
                prop_assert_eq!(
                    machine.health(),
                    reference(rise as usize, fall as usize, &history[..seen])
                );
                prop_assert_eq!(change.is_some(), machine.health() != before);
                prop_assert!(machine.streak() < rise.max(fall));
            }
        }
    }
}

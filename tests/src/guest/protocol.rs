//! What host and guest of a test VM say to each other: a plan in the image, words on the kernel's command line, and one
//! JSON object a line on the second serial port.

use serde::{Deserialize, Serialize};

/// Where the plan is in the image.
pub const PLAN: &str = "/tests/plan.json";
/// Where the test binaries are.
pub const TESTS: &str = "/tests";
/// The serial port of the events; the kernel's console is the first one.
pub const EVENTS: &str = "/dev/ttyS1";
/// The first test to run, an index into the plan, as `shunt.first=N` on the command line.
pub const FIRST: &str = "shunt.first";
/// On the command line: the first test only.
pub const ONLY: &str = "shunt.only";
/// On the command line: a shell on the console instead of the tests.
pub const SHELL: &str = "shunt.shell";

/// What the guest has to do.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Plan {
    /// How long one test may run.
    pub limit_seconds: u64,
    pub tests: Vec<Test>,
}

/// One test function.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Test {
    /// The file in `tests/tests` that it is in.
    pub binary: String,
    /// As the test harness lists it.
    pub name: String,
}

impl std::fmt::Display for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.binary, self.name)
    }
}

/// What the guest reports. Tests are named by their place in the plan.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Init runs and everything is mounted.
    Ready {
        kernel: String,
    },
    Started {
        test: usize,
    },
    /// A line that the test printed.
    Output {
        test: usize,
        line: String,
    },
    Ended {
        test: usize,
        millis: u64,
        outcome: Outcome,
    },
    /// Something outside of the tests went wrong.
    Trouble {
        what: String,
    },
    /// No test is left; the guest powers off.
    Done,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Passed,
    Failed {
        reason: String,
    },
    /// The machine lacks what the test [needs](crate::needs).
    NotRun {
        reason: String,
    },
}

impl Event {
    /// As one line, without its end.
    pub fn to_line(&self) -> String {
        // Strings and integers only.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None` for a line that is no event: a firmware's greeting, for example.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim()).ok()
    }
}

/// The value of `KEY=VALUE` on a kernel's command line; empty for `KEY` alone.
pub fn argument<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| {
        let rest = word.strip_prefix(key)?;
        rest.strip_prefix('=').or(rest.is_empty().then_some(rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_serial_line() {
        for event in [
            Event::Ready {
                kernel: "6.12".into(),
            },
            Event::Output {
                test: 3,
                line: "a \"quoted\" line\twith é and \u{1b}[0m".into(),
            },
            Event::Ended {
                test: 3,
                millis: 12,
                outcome: Outcome::NotRun {
                    reason: "no module ipip".into(),
                },
            },
            Event::Done,
        ] {
            let line = event.to_line();
            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Event::parse(&format!("{line}\r\n")), Some(event));
        }
        assert_eq!(Event::parse("SeaBIOS (version 1.16)"), None);
    }

    #[test]
    fn arguments_are_whole_words() {
        let line = "console=ttyS0 shunt.first=12 shunt.shell quiet";
        assert_eq!(argument(line, FIRST), Some("12"));
        assert_eq!(argument(line, SHELL), Some(""));
        assert_eq!(argument(line, "shunt"), None);
        assert_eq!(argument(line, "first"), None);
    }
}

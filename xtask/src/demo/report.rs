//! What was expected, what was measured, and whether they agree.

use std::fmt::Display;

use comfy_table::{Attribute, Cell, Color, Table, presets};
use serde_json::{Value, json};

/// One claim.
#[derive(Debug)]
struct Expectation {
    step: &'static str,
    what: String,
    expected: String,
    measured: String,
    holds: bool,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Report {
    expectations: Vec<Expectation>,
    figures: serde_json::Map<String, Value>,
}

impl Report {
    /// Takes in one claim.
    pub fn expect(
        &mut self,
        step: &'static str,
        what: impl Display,
        expected: impl Display,
        measured: impl Display,
        holds: bool,
    ) {
        self.expectations.push(Expectation {
            step,
            what: what.to_string(),
            expected: expected.to_string(),
            measured: measured.to_string(),
            holds,
        });
    }

    /// Takes in what a step measured, for other programs to read.
    pub fn figures(&mut self, step: &'static str, figures: Value) {
        self.figures.insert(step.to_owned(), figures);
    }

    /// Whether every claim does; none is no success.
    pub fn holds(&self) -> bool {
        !self.expectations.is_empty() && self.expectations.iter().all(|claim| claim.holds)
    }

    pub fn to_table(&self) -> Table {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_FULL_CONDENSED)
            .set_header(["step", "what", "expected", "measured", ""]);
        let mut last = "";
        for claim in &self.expectations {
            let step = if claim.step == last { "" } else { claim.step };
            last = claim.step;
            let verdict = match claim.holds {
                true => Cell::new("ok").fg(Color::Green),
                false => Cell::new("FAILED")
                    .fg(Color::Red)
                    .add_attribute(Attribute::Bold),
            };
            table.add_row([
                Cell::new(step),
                Cell::new(&claim.what),
                Cell::new(&claim.expected),
                Cell::new(&claim.measured),
                verdict,
            ]);
        }
        table
    }

    pub fn to_json(&self) -> Value {
        let claims: Vec<Value> = self
            .expectations
            .iter()
            .map(|claim| {
                json!({
                    "step": claim.step,
                    "what": claim.what,
                    "expected": claim.expected,
                    "measured": claim.measured,
                    "holds": claim.holds,
                })
            })
            .collect();
        json!({"passed": self.holds(), "expectations": claims, "figures": self.figures})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_only_when_every_claim_holds() {
        let mut report = Report::default();
        assert!(!report.holds());
        report.expect("one", "a", 1, 1, true);
        assert!(report.holds());
        report.expect("two", "b", 2, 3, false);
        assert!(!report.holds());
        report.figures("two", json!({"b": 3}));
        let json = report.to_json();
        assert_eq!(json["passed"], false);
        assert_eq!(json["expectations"][1]["measured"], "3");
        assert_eq!(json["figures"]["two"]["b"], 3);
        assert!(report.to_table().to_string().contains("FAILED"));
    }
}

//! What is said at the end? Cargo's familiar lines, and one table of kernels and tests.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use shunt_tests::{
    guest::protocol::{Outcome, Plan},
    load::Load,
};

use super::session::{Report, Verdict};

/// How many tests of one kernel, or of all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub not_run: usize,
    /// Never started, because the machine did not boot or time was up.
    pub lost: usize,
}

impl Counts {
    pub fn of(report: &Report) -> Self {
        let mut counts = Self::default();
        for verdict in &report.verdicts {
            match verdict.as_ref().map(|verdict| &verdict.outcome) {
                Some(Outcome::Passed) => counts.passed += 1,
                Some(Outcome::Failed { .. }) => counts.failed += 1,
                Some(Outcome::NotRun { .. }) => counts.not_run += 1,
                None => counts.lost += 1,
            }
        }
        counts
    }

    pub fn is_good(self) -> bool {
        self.failed == 0 && self.lost == 0
    }
}

pub fn print(plan: &Plan, reports: &[Report], filtered_out: usize) {
    print_failures(plan, reports);
    println!("\n{}", table(plan, reports));
    print_loads(reports);
    print_not_run(plan, reports);
    for report in reports {
        println!("{}", summary(report, filtered_out));
    }
}

fn verdicts<'a>(plan: &'a Plan, report: &'a Report) -> impl Iterator<Item = (String, &'a Verdict)> {
    plan.tests
        .iter()
        .zip(&report.verdicts)
        .filter_map(|(test, verdict)| {
            Some((format!("[{}] {test}", report.kernel), verdict.as_ref()?))
        })
}

fn print_failures(plan: &Plan, reports: &[Report]) {
    let mut names = Vec::new();
    for report in reports {
        for (name, verdict) in verdicts(plan, report) {
            let Outcome::Failed { reason } = &verdict.outcome else {
                continue;
            };
            if names.is_empty() {
                println!("\nfailures:");
            }
            println!(
                "\n---- {name} ----\n{}\n{reason}",
                verdict.output.join("\n")
            );
            names.push(name);
        }
    }
    if !names.is_empty() {
        println!("\nfailures:");
        for name in names {
            println!("    {name}");
        }
    }
}

fn print_loads(reports: &[Report]) {
    for report in reports {
        if let Some(load) = slowest_load(report) {
            println!(
                "Linux {}, what took the verifier longest: {load}",
                report.kernel
            );
        }
    }
}

fn print_not_run(plan: &Plan, reports: &[Report]) {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for report in reports {
        for (name, verdict) in verdicts(plan, report) {
            if let Outcome::NotRun { reason } = &verdict.outcome {
                reasons.entry(reason.clone()).or_default().push(name);
            }
        }
        if let Some(trouble) = &report.trouble {
            println!("Linux {}: {trouble}", report.kernel);
        }
    }
    for (reason, names) in reasons {
        println!("not run, {reason}: {}", names.join(", "));
    }
}

/// As cargo says it; what was not run counts as ignored.
fn summary(report: &Report, filtered_out: usize) -> String {
    let counts = Counts::of(report);
    let word = if counts.is_good() { "ok" } else { "FAILED" };
    let lost = match counts.lost {
        0 => String::new(),
        lost => format!(" {lost} never started;"),
    };
    format!(
        "\n     Running on Linux {}, {} boots\ntest result: {word}. {} passed; {} failed;{lost} {} ignored; 0 measured; \
         {filtered_out} filtered out; finished in {:.2}s",
        report.kernel,
        report.boots.len(),
        counts.passed,
        counts.failed,
        counts.not_run,
        report.took.as_secs_f64()
    )
}

fn table(plan: &Plan, reports: &[Report]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let kernels = reports.iter().map(|report| report.kernel.clone());
    table.set_header(["test".to_owned()].into_iter().chain(kernels));
    for (number, test) in plan.tests.iter().enumerate() {
        let cells = reports
            .iter()
            .map(|report| cell(report.verdicts[number].as_ref()));
        table.add_row([test.to_string()].into_iter().chain(cells));
    }
    let boots = reports.iter().map(|report| {
        let boots = report
            .boots
            .iter()
            .map(|boot| format!("{:.1}", boot.as_secs_f64()));
        format!("{} s", boots.collect::<Vec<_>>().join(" "))
    });
    table.add_row(["until init".to_owned()].into_iter().chain(boots));
    let totals = reports
        .iter()
        .map(|report| format!("{:.1} s", report.took.as_secs_f64()));
    table.add_row(["in all".to_owned()].into_iter().chain(totals));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Of the programs that tests told of.
fn slowest_load(report: &Report) -> Option<Load> {
    let verdicts = report.verdicts.iter().flatten();
    let lines = verdicts.flat_map(|verdict| &verdict.output);
    lines
        .filter_map(|line| Load::parse(line))
        .max_by_key(|load| load.took)
}

fn cell(verdict: Option<&Verdict>) -> String {
    let Some(verdict) = verdict else {
        return "-".to_owned();
    };
    match &verdict.outcome {
        Outcome::Passed => format!("{:.1} s", verdict.took.as_secs_f64()),
        Outcome::Failed { .. } => "FAILED".to_owned(),
        Outcome::NotRun { .. } => "not run".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shunt_tests::guest::protocol::Test;

    use super::*;

    fn verdict(outcome: Outcome) -> Option<Verdict> {
        Some(Verdict {
            outcome,
            took: Duration::from_millis(1500),
            output: Vec::new(),
        })
    }

    fn report(verdicts: Vec<Option<Verdict>>) -> Report {
        Report {
            kernel: "6.12".into(),
            verdicts,
            trouble: None,
            boots: vec![Duration::from_secs(4)],
            took: Duration::from_secs(9),
        }
    }

    #[test]
    fn the_summary_is_cargos() {
        let failed = Outcome::Failed { reason: "x".into() };
        let not_run = Outcome::NotRun { reason: "y".into() };
        let text = summary(&report(vec![verdict(Outcome::Passed), verdict(not_run)]), 3);
        assert!(
            text.ends_with(
                "test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 9.00s"
            ),
            "{text}"
        );
        let text = summary(&report(vec![verdict(failed), None]), 0);
        assert!(
            text.contains("FAILED. 0 passed; 1 failed; 1 never started;"),
            "{text}"
        );
    }

    #[test]
    fn the_slowest_program_is_found_among_all_that_tests_say() {
        let mut fast = verdict(Outcome::Passed);
        let mut slow = verdict(Outcome::Passed);
        for (verdict, lines) in [
            (&mut fast, ["running 1 test", "loaded a in 5 ms"]),
            (
                &mut slow,
                [
                    "loaded b in 90 ms, 7 instructions verified",
                    "loaded c in 10 ms",
                ],
            ),
        ] {
            if let Some(verdict) = verdict {
                verdict.output = lines.map(str::to_owned).into();
            }
        }
        let load = slowest_load(&report(vec![None, fast, slow]));
        assert_eq!(load.map(|load| load.program).as_deref(), Some("b"));
        assert_eq!(slowest_load(&report(vec![None])), None);
    }

    #[test]
    fn the_table_has_a_cell_for_each_kernel() {
        let tests = ["a", "b"].map(|name| Test {
            binary: "balance".into(),
            name: name.into(),
        });
        let plan = Plan {
            limit_seconds: 1,
            tests: tests.into(),
        };
        let text = table(&plan, &[report(vec![verdict(Outcome::Passed), None])]).to_string();
        assert!(
            text.contains("balance::a") && text.contains("1.5 s"),
            "{text}"
        );
        assert!(text.contains("balance::b"), "{text}");
    }
}

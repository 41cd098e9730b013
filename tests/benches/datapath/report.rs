//! How figures are shown: as a table, or as JSON.

use std::{collections::BTreeMap, fs};

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use crate::{
    cases::{Case, Goal},
    measure::{Effort, Measurement},
    stage::{Measured, Program},
};

pub struct Report {
    pub cpu: usize,
    pub effort: Effort,
    pub programs: Vec<Program>,
    pub rows: Vec<(Case, Measured)>,
}

impl Report {
    pub fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            println!("{}", serde_json::to_string_pretty(&self.json()?)?);
            return Ok(());
        }
        println!("{}\n\n{}\n\n{}", self.head()?, self.cases(), self.sizes());
        Ok(())
    }

    fn head(&self) -> anyhow::Result<String> {
        Ok(format!(
            "Net nanoseconds per packet, {} runs of {} packets on CPU {} ({}, Linux {}).\n\
             Katran's figures are quoted from a measurement by the same method, not measured here.",
            self.effort.runs,
            self.effort.packets,
            self.cpu,
            processor()?,
            kernel()?,
        ))
    }

    fn cases(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let has_peer = self.rows.iter().any(|(_, row)| row.beside.is_some());
        let mut header = vec!["case", "p10", "median", "goal", "", "Katran", "FIB"];
        if has_peer {
            header.extend(["beside", "ratio"]);
        }
        let columns = header.len();
        table.set_header(header);
        for (case, measured) in &self.rows {
            let Measured { ours, beside } = measured;
            let goal = self.goal(case);
            let mut cells = vec![
                case.name.clone(),
                format!("{:.1}", ours.p10),
                format!("{:.1}", ours.median),
                goal.map_or_else(String::new, |goal| format!("{goal:.1}")),
                goal.map_or("", |goal| verdict(ours.p10, goal)).to_owned(),
                case.katran
                    .map_or_else(String::new, |katran| format!("{katran:.1}")),
                format!("{:.3}", ours.lookups),
            ];
            if let Some(beside) = beside {
                cells.push(format!("{:.1}", beside.p10));
                cells.push(format!("{:.2}", ours.p10 / beside.p10));
            }
            table.add_row(cells);
        }
        for index in (1..columns).filter(|&index| index != 4) {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.to_string()
    }

    fn sizes(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "program",
            "verified instructions",
            "BPF bytes",
            "machine code bytes",
        ]);
        for program in &self.programs {
            table.add_row([
                program.name.to_owned(),
                program.verified.to_string(),
                program.translated.to_string(),
                program.jitted.to_string(),
            ]);
        }
        table.to_string()
    }

    /// In nanoseconds; `None` also where the case that it is a multiple of was not measured.
    fn goal(&self, case: &Case) -> Option<f64> {
        match case.goal.as_ref()? {
            Goal::Nanoseconds(nanoseconds) => Some(*nanoseconds),
            Goal::Times(times, name) => {
                let other = self.rows.iter().find(|(case, _)| case.name == *name)?;
                Some(times * other.1.ours.p10)
            }
        }
    }

    fn json(&self) -> anyhow::Result<Value> {
        let cases: Vec<Value> = self
            .rows
            .iter()
            .map(|(case, Measured { ours, beside })| {
                json!({
                    "case": case.name,
                    "family": case.family.to_string(),
                    "protocol": case.protocol.name(),
                    "flows": 1_u32 << case.flow_bits,
                    "verdict": case.verdict.name(),
                    "net_ns": net(ours),
                    "wrapper_ns": ours.wrapper,
                    "fib_lookups_per_packet": ours.lookups,
                    "goal_ns": self.goal(case),
                    "katran_quoted_ns": case.katran,
                    "beside_net_ns": beside.as_ref().map(net),
                })
            })
            .collect();
        let programs: BTreeMap<&str, Value> = self
            .programs
            .iter()
            .map(|program| {
                let sizes = json!({
                    "verified_instructions": program.verified,
                    "bpf_bytes": program.translated,
                    "machine_code_bytes": program.jitted,
                });
                (program.name, sizes)
            })
            .collect();
        Ok(json!({
            "machine": { "processor": processor()?, "kernel": kernel()?, "cpu": self.cpu },
            "runs": self.effort.runs,
            "packets_per_run": self.effort.packets,
            "cases": cases,
            "programs": programs,
        }))
    }
}

fn net(measurement: &Measurement) -> Value {
    json!({ "p10": measurement.p10, "median": measurement.median })
}

/// Measured figures have a decimal; a goal is missed only by more than that.
fn verdict(nanoseconds: f64, goal: f64) -> &'static str {
    if nanoseconds <= goal + 0.05 {
        "met"
    } else {
        "missed"
    }
}

fn processor() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("reading /proc/cpuinfo")?;
    let value = |key: &str| {
        text.lines()
            .find(|line| line.starts_with(key))
            .and_then(|line| line.split_once(':'))
            .map_or("?", |(_, value)| value.trim())
    };
    Ok(format!(
        "{}, family {}",
        value("model name"),
        value("cpu family")
    ))
}

fn kernel() -> anyhow::Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(release.trim().to_owned())
}

use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use lb_common::verdict::Event;

use super::StatusArgs;
use crate::{
    api::{self, BackendStatus, PoolStatus, ServiceStatus, Status},
    operator::AdminState,
    scheduler::ALL_OF_IT,
};

pub fn show(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let socket = args.socket.path()?;
    let status = super::wait_for(api::status(&socket))??;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        print!("{}", human(&status));
    }
    Ok(ExitCode::SUCCESS)
}

/// What an operator wants to see first.
fn human(status: &Status) -> String {
    let interfaces: Vec<_> = status
        .interfaces
        .iter()
        .map(|interface| {
            format!(
                "{} (XDP {}, {})",
                interface.name, interface.mode, interface.egress
            )
        })
        .collect();
    let mut text = format!("shunt {} on {}\n", status.version, interfaces.join(", "));
    if let Some(error) = &status.error {
        text += &format!("NOT UP TO DATE: {error}\n");
    }
    for service in &status.services {
        text += &format!("\n{}\n{}\n", headline(service), backends(service));
    }
    text += &format!("\nrecorded flows: {}\n", status.flows.recorded);
    if status.flows.translated > 0 {
        text += &format!("translated flows: {}\n", status.flows.translated);
    }
    text += &counters("packets", &status.verdicts);
    text += &local_clients(status);
    text
}

/// Calls of sockets: their packets are not seen.
fn local_clients(status: &Status) -> String {
    let clients = &status.local_clients;
    if let Some(reason) = &clients.reason {
        return format!("clients on this host: not balanced: {reason}\n");
    }
    let count = |event: Event| {
        let count = status.events.get(event.name()).copied();
        count.unwrap_or_default()
    };
    format!(
        "clients on this host: {} connected, {} datagrams, {} refused; network namespaces: {}\n",
        count(Event::LocalConnected),
        count(Event::LocalSent),
        count(Event::LocalRefused),
        clients.namespaces,
    )
}

fn headline(service: &ServiceStatus) -> String {
    let pools: Vec<_> = service.pools.iter().map(pool).collect();
    let panic = if service.panic {
        "  PANIC: too few are healthy, all are used"
    } else {
        ""
    };
    format!(
        "{}  {} {}  {}, {}  [{}]{panic}",
        service.name,
        service.protocol,
        service.listen.join(" "),
        service.scheduler,
        service.forward,
        pools.join("; ")
    )
}

fn pool(pool: &PoolStatus) -> String {
    let mut text = format!("{} {} slots", pool.family, pool.size);
    for (count, what) in [
        (pool.transition, "in transition"),
        (pool.settled, "settled"),
    ] {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

fn backends(service: &ServiceStatus) -> Table {
    let total: usize = service.backends.iter().map(|backend| backend.slots).sum();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "backend",
        "address",
        "weight",
        "health",
        "role",
        "share",
        "open",
        "packets",
        "bytes",
        "last check",
    ]);
    for backend in &service.backends {
        table.add_row([
            backend.name.clone(),
            backend.address.clone(),
            weight(backend),
            backend.health.clone(),
            role(backend).to_owned(),
            share(backend.slots, total),
            open(backend),
            backend.packets.to_string(),
            backend.bytes.to_string(),
            backend.last_check.clone().unwrap_or_default(),
        ]);
    }
    for column in [2, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn weight(backend: &BackendStatus) -> String {
    let mut text = match backend.ordered_weight {
        Some(weight) => format!("{weight} (configured: {})", backend.weight),
        None => backend.weight.to_string(),
    };
    if backend.sixteenths != ALL_OF_IT {
        text += &format!(" (slow start, {}/{ALL_OF_IT})", backend.sixteenths);
    }
    text
}

fn role(backend: &BackendStatus) -> &str {
    if backend.state != AdminState::Ready.name() {
        return &backend.state;
    }
    if backend.out_seconds.is_some() {
        return "failing";
    }
    match (backend.backup, backend.active) {
        (false, true) => "active",
        (true, true) => "backup, promoted",
        (true, false) => "backup",
        (false, false) => "out",
    }
}

/// Connections, and how many it may have.
fn open(backend: &BackendStatus) -> String {
    let limit = match backend.max_conns {
        0 => String::new(),
        limit => format!(" of {limit}"),
    };
    match backend.open {
        Some(open) => format!("{open}{limit}"),
        None => "-".to_owned(),
    }
}

fn share(slots: usize, total: usize) -> String {
    if total == 0 {
        return "-".to_owned();
    }
    format!("{:.1} %", 100.0 * slots as f64 / total as f64)
}

fn counters(what: &str, counters: &std::collections::BTreeMap<String, u64>) -> String {
    let seen: Vec<_> = counters
        .iter()
        .filter(|(_, value)| **value > 0)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    if seen.is_empty() {
        return format!("{what}: none yet\n");
    }
    format!("{what}: {}\n", seen.join(", "))
}

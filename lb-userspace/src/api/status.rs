use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What the daemon knows and the datapath counted, at one moment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Status {
    pub version: String,
    pub interfaces: Vec<InterfaceStatus>,
    pub local_clients: LocalClientsStatus,
    pub services: Vec<ServiceStatus>,
    pub flows: FlowStatus,
    /// Packets by what became of them, each under exactly one name.
    pub verdicts: BTreeMap<String, u64>,
    /// What else happened on their way.
    pub events: BTreeMap<String, u64>,
    /// Why the datapath could not be brought up to date, if so; it is tried again.
    pub error: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct InterfaceStatus {
    pub name: String,
    /// `native` or `generic`.
    pub mode: String,
    /// `tcx` or `clsact`.
    pub egress: String,
}

/// Clients on this host.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct LocalClientsStatus {
    /// They are balanced, those of them that are in this cgroup.
    pub cgroup: Option<PathBuf>,
    /// Why they are not.
    pub reason: Option<String>,
    /// Network namespaces they are in: the host's, and those behind `bridges`.
    pub namespaces: usize,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ServiceStatus {
    pub name: String,
    pub protocol: String,
    pub scheduler: String,
    pub forward: String,
    /// As configured: an address with a port, a range of ports, or without for every port.
    pub listen: Vec<String>,
    pub min_active: usize,
    /// Whether all backends are used, because fewer are healthy than `panic_below` allows.
    pub panic: bool,
    pub backends: Vec<BackendStatus>,
    pub pools: Vec<PoolStatus>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct BackendStatus {
    pub name: String,
    /// Without a port where the client's destination port is kept.
    pub address: String,
    /// As configured.
    pub weight: u16,
    /// What the operator ordered instead.
    pub ordered_weight: Option<u16>,
    /// `ready`, `drain` or `maint`, as the operator ordered.
    pub state: String,
    pub backup: bool,
    /// `up`, `down`, or `unknown` before the first check.
    pub health: String,
    /// Whether it takes new flows.
    pub active: bool,
    /// What the last check said.
    pub last_check: Option<String>,
    /// Seconds since `health` changed.
    pub since_seconds: Option<f64>,
    /// How much of its weight counts now: 16, or less in a slow start.
    pub sixteenths: u16,
    /// Slots of the lookup table.
    pub slots: usize,
    /// What was sent to it.
    pub packets: u64,
    pub bytes: u64,
    /// Connections that are open; `None` where not all of them are recorded.
    pub open: Option<u32>,
    /// How many it may have; 0: any number.
    pub max_conns: u32,
    /// For how much longer it gets no new connections, because some failed.
    pub out_seconds: Option<f64>,
}

/// The lookup table of one address family.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PoolStatus {
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Slots, and how many of them are in each state.
    pub size: usize,
    pub stable: usize,
    pub transition: usize,
    pub settled: usize,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct FlowStatus {
    /// Flows that are exceptions to their slot.
    pub recorded: u64,
    /// Flows of `fullnat`.
    pub translated: u64,
}

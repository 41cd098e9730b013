//! What a configuration means: checked, defaulted, ready to act on. `config` makes it, nothing else does.

mod health;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use hyper::Uri;
pub use lb_common::backend::Forward;
use lb_common::{
    flow::Seen,
    layout,
    service::{Discipline, IndexedBy},
};

pub use self::health::{Check, DnsCheck, GrpcCheck, HealthSettings, HttpCheck, Tls, UdpCheck};
use crate::{
    address::{Endpoint, Listen},
    health::passive,
};

/// The whole of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    pub daemon: DaemonSettings,
    pub services: Vec<ServiceSettings>,
}

impl Desired {
    /// Names of services whose checks take anybody for a backend.
    pub fn blindly_checked(&self) -> impl Iterator<Item = &str> {
        let services = self.services.iter();
        services
            .filter(|service| service.health.check.is_blind())
            .map(|service| service.name.as_str())
    }
}

/// `[daemon]`. None of it changes on reload.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonSettings {
    pub interfaces: Vec<String>,
    pub xdp_mode: XdpMode,
    pub redirect: Redirect,
    /// Whether clients on this host are balanced, too.
    pub local_clients: bool,
    /// And those in network namespaces behind these bridges.
    pub bridges: Vec<String>,
    pub socket: PathBuf,
    pub http: Option<SocketAddr>,
    pub pin_dir: PathBuf,
    /// Where orders of the operator are kept.
    pub state_dir: PathBuf,
    pub on_change: OnChange,
    /// Seeds table building; the same on every node of a cluster.
    pub seed: u64,
    pub timeouts: Timeouts,
    pub tables: Tables,
    /// Where packets of `fullnat` come from; unique. Of each family, none: from the address by which this host reaches
    /// the backend.
    pub snat_addresses: Vec<IpAddr>,
}

/// `[daemon.on_change]`: who is told when a backend changes.
#[derive(Clone, Debug, PartialEq)]
pub struct OnChange {
    /// A program and its arguments; never empty.
    pub command: Option<Vec<String>>,
    /// Of the scheme http, with a host.
    pub url: Option<Uri>,
    /// Each may take so long.
    pub timeout: Duration,
}

impl Default for OnChange {
    fn default() -> Self {
        Self {
            command: None,
            url: None,
            timeout: Duration::from_secs(5),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum XdpMode {
    /// Native, generic where the driver cannot.
    Auto,
    Native,
    Generic,
}

/// Whether packets leave straight through another attached interface, or through the kernel's forwarding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redirect {
    /// Straight, except into a veth, whose peer would need an XDP program of its own.
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// How long a moved slot waits for its old flows to show themselves.
    pub transition: Duration,
    /// Idle time after which an established TCP flow is forgotten.
    pub tcp: Duration,
    /// The same for a half-open one.
    pub half_open: Duration,
    pub udp: Duration,
}

/// Entries of the tables of flows, of each family. The kernel takes the memory for all of them at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tables {
    /// Recorded flows, half-open and established each.
    pub recorded: u32,
    /// Connections of `nat` that were answered.
    pub replies: u32,
    /// Flows of `fullnat`.
    pub translations: u32,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            recorded: layout::FLOWS_CAPACITY,
            replies: layout::REVERSE_CAPACITY,
            translations: layout::TRANSLATIONS_CAPACITY,
        }
    }
}

/// One `[[service]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceSettings {
    pub name: String,
    /// Never empty. No port is in two of the same precedence, of this or another service of the protocol.
    pub listen: Vec<Listen>,
    pub protocol: Protocol,
    pub forward: Forward,
    pub scheduler: Scheduler,
    /// For how long after its last flow a client's new flows go to the same backend; zero: not at all.
    pub affinity: Duration,
    pub on_down: OnDown,
    /// How many healthy backends the service wants before backups stand by.
    pub min_active: usize,
    /// With fewer healthy backends of a family than this many percent, all of them are used; 0: never.
    pub panic_below: u8,
    /// How long a backend that returns takes to get all of its share; zero: no time.
    pub slow_start: Duration,
    /// Slots of the lookup table: a prime. `None`: chosen from the number of backends.
    pub table_size: Option<u32>,
    pub health: HealthSettings,
    /// In file order, which is the order in which backups are promoted. Names and addresses are unique;
    /// each family of `listen` has a backend and the other way round.
    pub backends: Vec<BackendSettings>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheduler {
    /// A flow's slot follows from its client's address and port, and the VIP's port.
    Maglev,
    /// From its client's address alone.
    SourceHash,
    /// New flows go to one backend after the other, by weight.
    RoundRobin,
    /// To any.
    Random,
    /// To the one of any two that has fewer connections for its weight.
    LeastConn,
}

impl Scheduler {
    pub const ALL: [Self; 5] = [
        Self::Maglev,
        Self::SourceHash,
        Self::RoundRobin,
        Self::Random,
        Self::LeastConn,
    ];

    /// Which slot's owner a new flow goes to.
    pub const fn indexed_by(self) -> IndexedBy {
        match self {
            Self::Maglev => IndexedBy::Flow,
            Self::SourceHash => IndexedBy::Client,
            Self::RoundRobin => IndexedBy::Turn,
            Self::Random => IndexedBy::Random,
            Self::LeastConn => IndexedBy::LeastLoaded,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
            Self::SourceHash => "source-hash",
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
            Self::LeastConn => "least-conn",
        }
    }
}

/// What becomes of the flows of a backend that is found down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnDown {
    /// They go to others, which know nothing of them.
    #[default]
    Reselect,
    /// They stay: only new ones go to others.
    Keep,
}

/// The largest weight.
pub const HEAVIEST: u16 = 256;

/// One `[[service.backend]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendSettings {
    /// The identity that tables hash; its address where no name is given.
    pub name: String,
    /// Without a port the client's destination port is kept.
    pub address: Endpoint,
    /// Where it is checked; `None`: as the service says.
    pub check_address: Option<Endpoint>,
    /// 0..=256; 0 takes no new flows.
    pub weight: u16,
    pub backup: bool,
    /// Connections that it may have open; 0: any number.
    pub max_conns: u32,
    /// When clients' own connections say that it fails.
    pub passive: passive::Limits,
}

impl ServiceSettings {
    /// How its pools give out flows. What a hash does not say has to be recorded.
    pub fn discipline(&self) -> Discipline {
        let by = self.scheduler.indexed_by();
        let has_limits = self.backends.iter().any(|backend| backend.max_conns > 0);
        let is_affine = !self.affinity.is_zero();
        Discipline {
            by,
            tracks: !by.is_by_hash() || has_limits || is_affine,
            affinity: if is_affine {
                Seen::units(self.affinity.as_secs())
            } else {
                0
            },
        }
    }
}

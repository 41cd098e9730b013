//! The seam between what the daemon decides and where it takes effect: the kernel's maps, or a fake.

pub mod bpf;
pub mod fake;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use lb_common::{
    backend::{BackendId, BackendState},
    service::Discipline,
    slot::Slot,
};

use crate::{
    address::Endpoint,
    desired::{Forward, Protocol},
};

/// A lookup table in the datapath. A service has one for each family it listens on.
pub type PoolId = u16;

/// How the XDP program is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the kernel's receive path; works everywhere, slower.
    Generic,
}

impl Mode {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

/// How the egress program is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Egress {
    /// By a link (kernel 6.6).
    Tcx,
    /// As a filter of a qdisc.
    Clsact,
}

impl Egress {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// An interface with both programs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attachment {
    pub interface: String,
    pub mode: Mode,
    pub egress: Egress,
}

/// Whether clients on this host are balanced.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LocalClients {
    /// Those in this cgroup.
    Balanced { cgroup: PathBuf },
    /// Not wanted.
    Off,
    /// Wanted, but not possible here.
    Unavailable { reason: String },
}

/// Where the datapath takes packets and sockets from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attachments {
    pub interfaces: Vec<Attachment>,
    pub local_clients: LocalClients,
}

/// `VIP:port/protocol`; without a port, every port that has no listener of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Listener {
    pub address: Endpoint,
    pub protocol: Protocol,
}

/// What the datapath holds of one backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BackendEntry {
    /// Without a port, packets keep the port that the client sent them to.
    pub address: Endpoint,
    pub protocol: Protocol,
    pub state: BackendState,
    pub forward: Forward,
    /// A hash of the service's and the backend's name, by which the next daemon knows it again.
    pub identity: u32,
    /// Its weight for new flows, in sixteenths; 0 takes none.
    pub weight: u32,
    /// Connections that it may have open; 0: any number.
    pub max_conns: u32,
}

/// What the datapath holds of one pool.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pool {
    pub discipline: Discipline,
    pub slots: Vec<Slot>,
    /// The table before the last change of its size or discipline, as it was then, while slots still name it.
    pub former: Option<Vec<Slot>>,
}

impl Pool {
    /// Whether flows that nobody recorded are found in a table of this discipline and size as in this one.
    pub fn agrees(&self, discipline: &Discipline, size: usize) -> bool {
        self.discipline.agrees(discipline) && self.slots.len() == size
    }
}

/// One difference to apply. Each is safe on its own, at any moment, under traffic.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Op {
    /// Creates a backend or changes its state; never its address.
    PutBackend {
        id: BackendId,
        backend: BackendEntry,
    },
    /// Forgets a backend that no slot and no recorded flow names.
    RemoveBackend { id: BackendId },
    /// Writes a table beside the old one and switches to it by one store. Creates the pool where it is new. A table
    /// of another size or discipline that names [`BackendId::FORMER`] keeps the one it replaces.
    WriteTable {
        pool: PoolId,
        discipline: Discipline,
        slots: Vec<Slot>,
    },
    /// Changes single slots in place, each by one store. Never an owner, only how far its change has come.
    StepSlots {
        pool: PoolId,
        slots: Vec<(u32, Slot)>,
    },
    /// Forgets the former table, which no slot names any more.
    ForgetFormer { pool: PoolId },
    /// Forgets a pool that no listener names.
    RemovePool { pool: PoolId },
    /// Replaces all listeners, switched by one store.
    SetListeners {
        listeners: BTreeMap<Listener, PoolId>,
    },
}

/// Everything the datapath holds: what `plan` compares the target with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    pub backends: BTreeMap<BackendId, BackendEntry>,
    pub pools: BTreeMap<PoolId, Pool>,
    pub listeners: BTreeMap<Listener, PoolId>,
    /// The youngest backend id ever given, of backends long removed too.
    pub newest: BackendId,
}

impl Applied {
    /// The state after `op`.
    pub fn note(&mut self, op: &Op) {
        match op {
            Op::PutBackend { id, backend } => {
                self.newest = self.newest.max(*id);
                self.backends.insert(*id, *backend);
            }
            Op::RemoveBackend { id } => {
                self.backends.remove(id);
            }
            Op::WriteTable {
                pool,
                discipline,
                slots,
            } => {
                let pool = self.pools.entry(*pool).or_default();
                let names_former = slots.iter().any(|slot| slot.previous == BackendId::FORMER);
                let is_other = !pool.agrees(discipline, slots.len());
                let old = std::mem::replace(&mut pool.slots, slots.clone());
                pool.discipline = *discipline;
                if names_former && !old.is_empty() && is_other {
                    pool.former = Some(old);
                }
            }
            Op::StepSlots { pool, slots } => {
                let Some(pool) = self.pools.get_mut(pool) else {
                    return;
                };
                for &(index, slot) in slots {
                    if let Some(place) = pool.slots.get_mut(index as usize) {
                        *place = slot;
                    }
                }
            }
            Op::ForgetFormer { pool } => {
                if let Some(pool) = self.pools.get_mut(pool) {
                    pool.former = None;
                }
            }
            Op::RemovePool { pool } => {
                self.pools.remove(pool);
            }
            Op::SetListeners { listeners } => self.listeners.clone_from(listeners),
        }
    }

    /// Every backend that some slot names, those of former tables included.
    pub fn named(&self) -> BTreeSet<BackendId> {
        self.pools
            .values()
            .flat_map(|pool| pool.slots.iter().chain(pool.former.iter().flatten()))
            .flat_map(|slot| [slot.current, slot.previous])
            .filter(|id| id.is_somebody())
            .collect()
    }
}

/// Which slots and backends recorded and translated flows still name; idle flows are not among them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recorded {
    pub flows: u64,
    pub slots: BTreeSet<(PoolId, u32)>,
    pub backends: BTreeSet<BackendId>,
    /// Flows of `fullnat`. Their backends are among the others.
    pub translations: u64,
}

/// New flows of `fullnat` that were dropped since the maps were made, by what they did not find.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shortages {
    /// A free port of a source address, towards their backend.
    pub ports: u64,
    /// Room for their translation.
    pub translations: u64,
}

/// Packets and bytes since the maps were made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

/// A reading of every counter.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// By verdict name; each packet under exactly one.
    pub verdicts: BTreeMap<&'static str, u64>,
    /// By event name: flows recorded, promoted, and the like.
    pub events: BTreeMap<&'static str, u64>,
    pub backends: BTreeMap<BackendId, Traffic>,
    /// Connections that are open, as the programs count them.
    pub open: BTreeMap<BackendId, u32>,
    /// Network namespaces whose sockets are balanced.
    pub namespaces: usize,
}

/// Why the datapath did not take an operation.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    #[error("{what}: the datapath has room for {capacity}")]
    Full { what: &'static str, capacity: usize },
    #[error("{context}")]
    Kernel {
        context: String,
        #[source]
        source: anyhow::Error,
    },
}

impl DataplaneError {
    pub fn kernel(context: impl Into<String>, source: anyhow::Error) -> Self {
        Self::Kernel {
            context: context.into(),
            source,
        }
    }
}

/// Where operations take effect.
pub trait Dataplane: Send {
    /// What is there already: empty on a fresh start, the state a killed daemon left otherwise.
    fn applied(&self) -> Result<Applied, DataplaneError>;
    /// Applies one operation wholly, or fails and changes nothing that packets see. Applying it again is harmless.
    fn apply(&mut self, op: &Op) -> Result<(), DataplaneError>;
    /// Walks the recorded flows, forgets idle ones, and says what the others still name.
    fn recorded(&mut self) -> Result<Recorded, DataplaneError>;
    fn counters(&self) -> Result<Counters, DataplaneError>;
    /// Connections that are open to each backend, where there is a record of them: at `nat` (those that were answered), at
    /// `fullnat`, and in pools that record every flow. Takes a walk over all of them, and sets right what the programs count.
    fn open_flows(&mut self) -> Result<BTreeMap<BackendId, u64>, DataplaneError>;
    /// Reads the host's interfaces again: VLAN devices and members of bonds may have come or gone, MTUs changed.
    fn heed_interfaces(&mut self) -> Result<(), DataplaneError>;
    /// Finds out which network namespaces are behind the configured bridges by now.
    fn follow_namespaces(&mut self) -> Result<(), DataplaneError>;
    /// SYNs to each backend that were refused, or came again for want of an answer, since it was put there.
    fn failures(&self) -> Result<BTreeMap<BackendId, u64>, DataplaneError>;
    fn shortages(&self) -> Result<Shortages, DataplaneError>;
    /// Makes the datapath ask the kernel for next hops again.
    fn forget_next_hops(&mut self) -> Result<(), DataplaneError>;
}

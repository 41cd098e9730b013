//! The kernel's side: programs attached, maps written.
//!
//! | module | question it answers |
//! |---|---|
//! | [`kernel`] | what can this kernel do, and what is done without the rest? |
//! | [`object`] | what is loaded? |
//! | [`pins`], [`attach`], [`links`], [`qdisc`] | where does it stay, and which packets does it see? |
//! | [`refusal`] | why does a driver take no program? |
//! | [`interfaces`] | which interface is a frame of, and how does it leave by one? |
//! | [`local`], [`namespaces`], [`bridges`] | which sockets does it see, and which of them are balanced? |
//! | [`listeners`], [`tables`], [`backends`], [`filters`] | how is each control map written, safely under traffic? |
//! | [`flows`], [`translations`], [`replies`], [`counters`], [`fragments`] | what do the programs tell? |
//! | [`fullnat`], [`sources`], [`own_sources`] | where do packets of `fullnat` come from, and how does the kernel take them? |
//! | [`mapped`], [`hash_table`], [`batch`], [`wire`], [`netlink`], [`host`] | how are maps, addresses and the host read? |

mod attach;
mod backends;
mod batch;
mod bridges;
mod counters;
mod filters;
mod flows;
mod fragments;
mod fullnat;
mod hash_table;
mod host;
mod interfaces;
mod kernel;
mod links;
mod listeners;
mod loads;
mod local;
mod mapped;
mod namespaces;
mod netlink;
mod object;
mod own_sources;
mod pins;
mod qdisc;
mod refusal;
mod regions;
mod replies;
mod sources;
mod tables;
mod translations;
mod wire;

use std::{collections::BTreeMap, fmt, mem::offset_of, sync::atomic::Ordering};

use anyhow::Context as _;
use aya::{
    maps::HashMap,
    programs::{SchedClassifier, Xdp},
};
use aya_log::EbpfLogger;
use lb_common::{backend::BackendId, layout, service::Control};

use self::{
    attach::Attached,
    backends::Backends,
    counters::CounterMaps,
    flows::Flows,
    interfaces::Interfaces,
    listeners::Listeners,
    loads::Loads,
    local::Local,
    mapped::Mapped,
    namespaces::Namespaces,
    object::Object,
    pins::Pins,
    replies::Replies,
    sources::{Sources, Span},
    tables::Tables,
    translations::Translations,
};
pub use self::{
    fragments::Fragments,
    object::{BENCH_PROGRAMS, KernelLog, LoadedProgram},
};
use super::{
    Applied, Attachments, BackendEntry, Counters, Dataplane, DataplaneError, Mode, Op, Recorded,
    Shortages,
};
use crate::desired::{DaemonSettings, Forward};

/// The datapath in the kernel. It stays when this value goes, unless [`Self::detach`] is called.
pub struct BpfDataplane {
    object: Object,
    pins: Pins,
    attached: Vec<Attached>,
    interfaces: Interfaces,
    local: Local,
    control: Mapped<Control>,
    listeners: Listeners,
    tables: Tables,
    backends: Backends,
    loads: Loads,
    sources: Sources,
    /// Whether the kernel was made to take packets from its own addresses.
    accepts_own_sources: bool,
    flows: Flows,
    translations: Translations,
    replies: Replies,
    counters: CounterMaps,
    fragments: Option<Fragments>,
}

impl fmt::Debug for BpfDataplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BpfDataplane")
            .field("pins", &self.pins)
            .field("attached", &self.attached)
            .finish_non_exhaustive()
    }
}

impl BpfDataplane {
    /// Loads and attaches the programs. What a daemon before this one left pinned is taken over, with its maps.
    ///
    /// # Errors
    /// No right to, no such interface, another XDP program there, or a kernel that refuses.
    pub fn open(settings: &DaemonSettings, log: KernelLog) -> anyhow::Result<Self> {
        kernel::report()?;
        let pins = Pins::open(&settings.pin_dir)?;
        let is_adopted = pins.has_maps();
        match Self::load(settings, log, &pins) {
            Err(error) if !is_adopted => {
                // Nothing of a failed start may stay.
                let _ = pins.remove();
                Err(error)
            }
            result => result,
        }
    }

    fn load(settings: &DaemonSettings, log: KernelLog, pins: &Pins) -> anyhow::Result<Self> {
        let is_adopted = pins.has_maps();
        let mut object = Object::load(pins, log, &settings.tables)?;
        // Here, because programs are loaded as long as their maps are not taken. They do nothing without listeners.
        let local = local::attach(&mut object, pins, settings);
        let mut control = Mapped::new(object.array(layout::CONTROL)?)?;
        configure(&mut control, settings, is_adopted);
        let listeners = Listeners::new(
            object.array(layout::LISTENERS_V4)?,
            object.array(layout::LISTENERS_V6)?,
            object.array(layout::VIP_FILTER)?,
        )?;
        let tables = Tables::new(
            object.array(layout::POOLS)?,
            object.array(layout::FORMER_POOLS)?,
            object.array(layout::AFFINITY)?,
            object.array(layout::SLOTS)?,
        )?;
        let backends = Backends::new(
            object.array(layout::BACKENDS)?,
            object.array(layout::BACKEND_FILTER)?,
            object.array(layout::FULLNAT_FILTER)?,
        )?;
        let loads = Loads::new(object.array(layout::LOADS)?)?;
        let sources = Sources::new(
            object.array(layout::SNAT_V4)?,
            object.array(layout::SNAT_V6)?,
            &settings.snat_addresses,
            &settings.interfaces,
        )?;
        let flows = Flows::new(
            [
                object.take_map(layout::FLOWS_HALF_V4)?,
                object.take_map(layout::FLOWS_V4)?,
                object.take_map(layout::FLOWS_HALF_V6)?,
                object.take_map(layout::FLOWS_V6)?,
            ],
            &settings.timeouts,
        )?;
        let translations = Translations::new(
            [
                object.take_map(layout::TRANSLATIONS_V4)?,
                object.take_map(layout::RETURNS_V4)?,
                object.take_map(layout::RETURN_LOCKS_V4)?,
            ],
            [
                object.take_map(layout::TRANSLATIONS_V6)?,
                object.take_map(layout::RETURNS_V6)?,
                object.take_map(layout::RETURN_LOCKS_V6)?,
            ],
            &settings.timeouts,
        )?;
        let replies = Replies::new(
            object.take_map(layout::REVERSE_V4)?,
            object.take_map(layout::REVERSE_V6)?,
            &settings.timeouts,
        )?;
        let counters = CounterMaps::new(
            object.take_map(layout::VERDICTS)?,
            object.take_map(layout::EVENTS)?,
            object.take_map(layout::BACKEND_TRAFFIC)?,
        )?;
        let attached = attach::attach(&mut object, pins, &settings.interfaces, settings.xdp_mode)?;
        let fragments = open_fragments(&mut object, &attached, control.load(0).seed);
        let devices = HashMap::try_from(object.take_map(layout::DEVICES)?)?;
        let interfaces = Interfaces::new(
            object.array(layout::PORTS)?,
            devices,
            settings.redirect,
            &attached,
        )?;
        if is_adopted {
            tracing::info!(pins = %settings.pin_dir.display(), "took over the running datapath");
        }
        warn_of_forwarding();
        let mut dataplane = Self {
            object,
            pins: pins.clone(),
            attached,
            interfaces,
            local,
            control,
            listeners,
            tables,
            backends,
            loads,
            sources,
            accepts_own_sources: false,
            flows,
            translations,
            replies,
            counters,
            fragments,
        };
        if dataplane.has_fullnat() || dataplane.tables.has_tracking() {
            dataplane.object.load_called()?;
        }
        if dataplane.has_fullnat() {
            dataplane.refresh_sources();
        }
        Ok(dataplane)
    }

    fn put(&mut self, id: BackendId, backend: &BackendEntry) -> anyhow::Result<()> {
        if self.backends.is_new(id) {
            self.counters.reset(id)?;
        }
        let mut span = Span::default();
        if backend.forward == Forward::Fullnat {
            self.object.load_called()?;
            self.set_fullnat(true);
            span = self.span(backend);
        }
        // First: the scheduler looks here for whom it gives flows to.
        self.loads.put(id, backend.weight, backend.max_conns);
        self.backends.put(&self.control, id, backend, span);
        Ok(())
    }

    /// Where it is attached, and how.
    pub fn attachments(&self) -> Attachments {
        let interfaces = self.attached.iter();
        Attachments {
            interfaces: interfaces
                .map(|attached| attached.attachment.clone())
                .collect(),
            local_clients: self.local.clients.clone(),
        }
    }

    /// The reader of what the programs say; once.
    pub fn take_logger(&mut self) -> anyhow::Result<EbpfLogger<&'static dyn log::Log>> {
        self.object.take_logger()
    }

    /// Fragments that came before their first one; once. `None` where they are passed to the kernel.
    pub fn take_fragments(&mut self) -> Option<Fragments> {
        self.fragments.take()
    }

    /// The XDP program, for running single packets through it.
    pub fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        self.object.xdp()
    }

    /// What the kernel says of every program that looks at packets.
    pub fn programs(&mut self) -> anyhow::Result<Vec<LoadedProgram>> {
        self.object.programs()
    }

    /// The same for the tc egress program.
    pub fn egress(&mut self) -> anyhow::Result<&mut SchedClassifier> {
        self.object.egress()
    }

    /// Takes programs, maps and pins away.
    pub fn detach(self) -> anyhow::Result<()> {
        local::detach(&self.pins);
        attach::detach(&self.pins, &self.attached);
        own_sources::restore(&self.pins);
        self.pins.remove().context("removing the pins")
    }
}

impl Dataplane for BpfDataplane {
    fn applied(&self) -> Result<Applied, DataplaneError> {
        let mut backends = self.backends.read();
        for (&id, entry) in &mut backends {
            (entry.weight, entry.max_conns) = self.loads.settings(id);
        }
        Ok(Applied {
            backends,
            pools: self.tables.read(),
            listeners: self.listeners.read(&self.control),
            newest: self.backends.newest(),
        })
    }

    fn apply(&mut self, op: &Op) -> Result<(), DataplaneError> {
        match op {
            Op::PutBackend { id, backend } => self
                .put(*id, backend)
                .map_err(|error| DataplaneError::kernel("adding a backend", error))?,
            Op::RemoveBackend { id } => {
                self.backends.remove(&self.control, *id);
                let mut left = self.backends.read().into_values();
                self.set_fullnat(left.any(|backend| backend.forward == Forward::Fullnat));
            }
            Op::WriteTable {
                pool,
                discipline,
                slots,
            } => {
                if discipline.tracks {
                    let failed = |error| DataplaneError::kernel("loading programs", error);
                    self.object.load_called().map_err(failed)?;
                }
                self.tables.write(*pool, discipline, slots)?;
            }
            Op::StepSlots { pool, slots } => self.tables.step(*pool, slots)?,
            Op::ForgetFormer { pool } => self.tables.forget_former(*pool),
            Op::RemovePool { pool } => self.tables.remove(*pool),
            Op::SetListeners { listeners } => self.listeners.write(&self.control, listeners)?,
        }
        Ok(())
    }

    fn recorded(&mut self) -> Result<Recorded, DataplaneError> {
        let seed = self.control.load(0).seed;
        let tables = &self.tables;
        let failed = |error| DataplaneError::kernel("walking the recorded flows", error);
        let mut recorded = self
            .flows
            .sweep(seed, |pool, hashes| tables.slot(pool, hashes))
            .map_err(failed)?;
        if self.has_fullnat() {
            self.translations.sweep(&mut recorded).map_err(failed)?;
        }
        Ok(recorded)
    }

    fn open_flows(&mut self) -> Result<BTreeMap<BackendId, u64>, DataplaneError> {
        let failed = |error| DataplaneError::kernel("counting open connections", error);
        let backends = self.backends.read();
        let before = self.loads.open(backends.keys().copied());
        let mut open = BTreeMap::new();
        let replies_pass = |id| {
            let entry = backends.get(&id);
            entry.is_some_and(|entry| matches!(entry.forward, Forward::Nat | Forward::Fullnat))
        };
        self.flows
            .count(&mut open, |id| !replies_pass(id))
            .map_err(failed)?;
        self.replies.count(&mut open).map_err(failed)?;
        if self.has_fullnat() {
            self.translations.count(&mut open).map_err(failed)?;
        }
        self.loads.correct(&before, &open);
        Ok(open)
    }

    fn counters(&self) -> Result<Counters, DataplaneError> {
        let ids: Vec<BackendId> = self.backends.read().into_keys().collect();
        let open = self.loads.open(ids.iter().copied());
        let counters = self.counters.read(ids.into_iter());
        let namespaces = self.local.namespaces.as_ref().map(Namespaces::count);
        counters
            .map(|counters| Counters {
                namespaces: namespaces.unwrap_or_default(),
                open,
                ..counters
            })
            .map_err(|error| DataplaneError::kernel("reading counters", error))
    }

    fn heed_interfaces(&mut self) -> Result<(), DataplaneError> {
        self.interfaces
            .refresh()
            .map_err(|error| DataplaneError::kernel("reading the host's interfaces", error))
    }

    fn follow_namespaces(&mut self) -> Result<(), DataplaneError> {
        let Some(namespaces) = &mut self.local.namespaces else {
            return Ok(());
        };
        namespaces
            .follow()
            .map_err(|error| DataplaneError::kernel("looking behind bridges", error))
    }

    fn failures(&self) -> Result<BTreeMap<BackendId, u64>, DataplaneError> {
        let ids = self.backends.read().into_keys();
        Ok(self.loads.failures(ids))
    }

    fn shortages(&self) -> Result<Shortages, DataplaneError> {
        self.count_shortages()
    }

    fn forget_next_hops(&mut self) -> Result<(), DataplaneError> {
        if self.has_fullnat() {
            self.refresh_sources();
        }
        self.control
            .word32(0, offset_of!(Control, hop_epoch))
            .fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

/// Writes what the programs read while they run. An adopted seed stays: with another one every flow would move.
fn configure(control: &mut Mapped<Control>, settings: &DaemonSettings, is_adopted: bool) {
    let seed = (settings.seed ^ settings.seed >> 32) as u32;
    let mut words = control.load(0);
    if is_adopted && words.seed != seed {
        tracing::warn!(
            seed = settings.seed,
            "a new seed would move every connection; the old one stays until shunt is stopped and started"
        );
    } else {
        words.seed = seed;
    }
    let limits = translations::limits(&settings.timeouts);
    for (offset, value) in [
        (offset_of!(Control, seed), words.seed),
        (offset_of!(Control, half_open_timeout), limits.half_open),
        (offset_of!(Control, tcp_timeout), limits.tcp),
        (offset_of!(Control, udp_timeout), limits.udp),
    ] {
        control.word32(0, offset).store(value, Ordering::Release);
    }
    // Next hops may have changed while nobody watched.
    control
        .word32(0, offset_of!(Control, hop_epoch))
        .fetch_add(1, Ordering::AcqRel);
}

/// Only behind a driver: in generic mode a packet that is put back and passed would meet the program again.
fn open_fragments(object: &mut Object, attached: &[Attached], seed: u32) -> Option<Fragments> {
    let is_native = |attached: &Attached| attached.attachment.mode == Mode::Native;
    if !attached.iter().all(is_native) {
        tracing::info!(
            "fragments that come before their first one are passed to the kernel: XDP is not native everywhere"
        );
        return None;
    }
    Fragments::open(object, seed).unwrap_or_else(|error| {
        let error = format!("{error:#}");
        tracing::warn!(
            error,
            "fragments that come before their first one are passed to the kernel"
        );
        None
    })
}

fn warn_of_forwarding() {
    for switch in host::forwarding_off() {
        tracing::warn!(
            switch,
            "forwarding is off: only backends on this host itself are reached; `sysctl -w {switch}=1` turns it on"
        );
    }
}

//! The kernel's side: programs attached, maps written.
//!
//! | module | question it answers |
//! |---|---|
//! | [`kernel`] | what can this kernel do, and what is done without the rest? |
//! | [`object`] | what is loaded? |
//! | [`pins`], [`attach`], [`links`], [`qdisc`] | where does it stay, and which packets does it see? |
//! | [`local`], [`namespaces`], [`bridges`] | which sockets does it see, and which of them are balanced? |
//! | [`listeners`], [`tables`], [`backends`], [`filters`] | how is each control map written, safely under traffic? |
//! | [`flows`], [`counters`] | what do the programs tell? |
//! | [`mapped`], [`batch`], [`wire`], [`host`], [`netlink`] | how are maps, addresses and the host read? |

mod attach;
mod backends;
mod batch;
mod bridges;
mod counters;
mod filters;
mod flows;
mod host;
mod kernel;
mod links;
mod listeners;
mod local;
mod mapped;
mod namespaces;
mod netlink;
mod object;
mod pins;
mod qdisc;
mod regions;
mod tables;
mod wire;

use std::{fmt, mem::offset_of, sync::atomic::Ordering};

use anyhow::Context as _;
use aya::{
    maps::Array,
    programs::{SchedClassifier, Xdp},
};
use aya_log::EbpfLogger;
use lb_common::{layout, service::Control};

pub use self::object::{BENCH_PROGRAMS, KernelLog};
use self::{
    attach::Attached, backends::Backends, counters::CounterMaps, flows::Flows,
    listeners::Listeners, local::Local, mapped::Mapped, namespaces::Namespaces, object::Object,
    pins::Pins, tables::Tables,
};
use super::{Applied, Attachments, Counters, Dataplane, DataplaneError, Mode, Op, Recorded};
use crate::desired::{DaemonSettings, Redirect};

/// The datapath in the kernel. It stays when this value goes, unless [`Self::detach`] is called.
pub struct BpfDataplane {
    object: Object,
    pins: Pins,
    attached: Vec<Attached>,
    local: Local,
    control: Mapped<Control>,
    listeners: Listeners,
    tables: Tables,
    backends: Backends,
    flows: Flows,
    counters: CounterMaps,
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
        let mut object = Object::load(pins, log)?;
        // Here, because programs are loaded as long as their maps are not taken. They do nothing without listeners.
        let local = local::attach(&mut object, pins, settings);
        let mut control = Mapped::new(&object.take_array(layout::CONTROL)?)?;
        configure(&mut control, settings, is_adopted);
        let listeners = Listeners::new(
            &object.take_array(layout::LISTENERS_V4)?,
            &object.take_array(layout::LISTENERS_V6)?,
            &object.take_array(layout::VIP_FILTER)?,
        )?;
        let tables = Tables::new(
            &object.take_array(layout::POOLS)?,
            &object.take_array(layout::FORMER_POOLS)?,
            &object.take_array(layout::SLOTS)?,
        )?;
        let backends = Backends::new(
            &object.take_array(layout::BACKENDS)?,
            &object.take_array(layout::BACKEND_FILTER)?,
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
        let counters = CounterMaps::new(
            object.take_map(layout::VERDICTS)?,
            object.take_map(layout::EVENTS)?,
            object.take_map(layout::BACKEND_TRAFFIC)?,
        )?;
        let attached = attach::attach(&mut object, pins, &settings.interfaces, settings.xdp_mode)?;
        open_ports(&mut object, &attached, settings.redirect)?;
        if is_adopted {
            tracing::info!(pins = %settings.pin_dir.display(), "took over the running datapath");
        }
        warn_of_forwarding();
        Ok(Self {
            object,
            pins: pins.clone(),
            attached,
            local,
            control,
            listeners,
            tables,
            backends,
            flows,
            counters,
        })
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

    /// The XDP program, for running single packets through it.
    pub fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        self.object.xdp()
    }

    /// The same for the tc egress program.
    pub fn egress(&mut self) -> anyhow::Result<&mut SchedClassifier> {
        self.object.egress()
    }

    /// Takes programs, maps and pins away.
    pub fn detach(self) -> anyhow::Result<()> {
        local::detach(&self.pins);
        attach::detach(&self.pins, &self.attached);
        self.pins.remove().context("removing the pins")
    }
}

impl Dataplane for BpfDataplane {
    fn applied(&self) -> Result<Applied, DataplaneError> {
        Ok(Applied {
            backends: self.backends.read(),
            pools: self.tables.read(),
            listeners: self.listeners.read(&self.control),
            newest: self.backends.newest(),
        })
    }

    fn apply(&mut self, op: &Op) -> Result<(), DataplaneError> {
        match op {
            Op::PutBackend { id, backend } => {
                if self.backends.is_new(*id) {
                    self.counters
                        .reset(*id)
                        .map_err(|error| DataplaneError::kernel("resetting counters", error))?;
                }
                self.backends.put(*id, backend);
            }
            Op::RemoveBackend { id } => self.backends.remove(*id),
            Op::WriteTable { pool, slots } => self.tables.write(*pool, slots)?,
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
        self.flows
            .sweep(seed, |pool| tables.size(pool))
            .map_err(|error| DataplaneError::kernel("walking the recorded flows", error))
    }

    fn counters(&self) -> Result<Counters, DataplaneError> {
        let ids = self.backends.read().into_keys();
        let counters = self.counters.read(ids);
        let namespaces = self.local.namespaces.as_ref().map(Namespaces::count);
        counters
            .map(|counters| Counters {
                namespaces: namespaces.unwrap_or_default(),
                ..counters
            })
            .map_err(|error| DataplaneError::kernel("reading counters", error))
    }

    fn follow_namespaces(&mut self) -> Result<(), DataplaneError> {
        let Some(namespaces) = &mut self.local.namespaces else {
            return Ok(());
        };
        namespaces
            .follow()
            .map_err(|error| DataplaneError::kernel("looking behind bridges", error))
    }

    fn forget_next_hops(&mut self) -> Result<(), DataplaneError> {
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
    words.half_open_timeout = flows::units(settings.timeouts.half_open);
    words.udp_timeout = flows::units(settings.timeouts.udp);
    for (offset, value) in [
        (offset_of!(Control, seed), words.seed),
        (
            offset_of!(Control, half_open_timeout),
            words.half_open_timeout,
        ),
        (offset_of!(Control, udp_timeout), words.udp_timeout),
    ] {
        control.word32(0, offset).store(value, Ordering::Release);
    }
    // Next hops may have changed while nobody watched.
    control
        .word32(0, offset_of!(Control, hop_epoch))
        .fetch_add(1, Ordering::AcqRel);
}

/// Says on which interfaces packets may be transmitted directly, and how large they may be there.
fn open_ports(
    object: &mut Object,
    attached: &[Attached],
    redirect: Redirect,
) -> anyhow::Result<()> {
    let mut ports: Array<_, u32> = Array::try_from(object.take_map(layout::PORTS)?)?;
    for Attached { index, attachment } in attached {
        let is_open = match redirect {
            Redirect::Always => true,
            Redirect::Never => false,
            // The peer of a veth drops such packets unless it has an XDP program of its own.
            Redirect::Auto => {
                attachment.mode == Mode::Generic
                    || host::driver(&attachment.interface).is_ok_and(|driver| driver != "veth")
            }
        };
        if *index >= ports.len() {
            tracing::warn!(
                interface = attachment.interface,
                index,
                "transmits through the kernel: its index is too large"
            );
            continue;
        }
        let mtu = if is_open {
            // The programs keep 16 bits of it.
            host::mtu(&attachment.interface)?.min(u16::MAX.into())
        } else {
            0
        };
        ports.set(*index, mtu, 0)?;
    }
    Ok(())
}

fn warn_of_forwarding() {
    for switch in host::forwarding_off() {
        tracing::warn!(
            switch,
            "forwarding is off: only backends on this host itself are reached; `sysctl -w {switch}=1` turns it on"
        );
    }
}

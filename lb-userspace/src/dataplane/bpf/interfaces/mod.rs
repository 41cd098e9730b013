//! Tells the programs how frames come in and leave by the host's interfaces.
//!
//! | module | question it answers |
//! |---|---|
//! | [`links`] | which interfaces are there, and what are they made of? |
//! | [`features`] | what does a driver do with XDP? |
//! | [`layout`] | what follows for the programs? |

mod features;
mod layout;
mod links;

use std::{collections::BTreeMap, mem};

use anyhow::Context as _;
use aya::maps::{HashMap, MapData};
use lb_common::port::{Arrival, Port};

use self::{
    layout::{Layout, Own, entrances},
    links::Link,
};
use super::{attach::Attached, host, mapped::Mapped};
use crate::{dataplane::Mode, desired::Redirect};

pub struct Interfaces {
    ports: Mapped<Port>,
    devices: HashMap<MapData, Arrival, u32>,
    redirect: Redirect,
    attached: Vec<(u32, Mode)>,
    /// What the maps hold.
    written: Layout,
}

impl Interfaces {
    /// Brings what a daemon before this one left up to date.
    pub fn new(
        ports: &MapData,
        devices: HashMap<MapData, Arrival, u32>,
        redirect: Redirect,
        attached: &[Attached],
    ) -> anyhow::Result<Self> {
        let mut interfaces = Self {
            ports: Mapped::new(ports)?,
            devices,
            redirect,
            attached: attached
                .iter()
                .map(|attached| (attached.index, attached.attachment.mode))
                .collect(),
            written: Layout::default(),
        };
        interfaces.written = interfaces.left()?;
        interfaces.refresh()?;
        Ok(interfaces)
    }

    fn left(&self) -> anyhow::Result<Layout> {
        let ports = (0..self.ports.entries())
            .map(|index| (index, self.ports.load(index)))
            .filter(|(_, port)| *port != Port::default());
        Ok(Layout {
            ports: ports.collect(),
            devices: self.devices.iter().collect::<Result<_, _>>()?,
            hidden: Vec::new(),
        })
    }

    /// Reads the host's interfaces, and tells the programs what has changed.
    pub fn refresh(&mut self) -> anyhow::Result<()> {
        let links = links::list().context("listing the interfaces")?;
        let own = self
            .attached
            .iter()
            .map(|&(index, mode)| (index, self.own(&links, index, mode)))
            .collect();
        let wanted = layout::layout(&links, &own);
        for index in &wanted.hidden {
            if !self.written.hidden.contains(index) {
                warn_of_hidden_tags(&links, *index);
            }
        }
        self.write(wanted)
    }

    fn own(&self, links: &[Link], index: u32, mode: Mode) -> Own {
        let by_index: BTreeMap<u32, &Link> = links.iter().map(|link| (link.index, link)).collect();
        // Of a bond, its members decide: it has every feature itself.
        let entrances = entrances(&by_index, index);
        let sides = match entrances.as_slice() {
            [_, members @ ..] if !members.is_empty() => members,
            own => own,
        };
        let names: Vec<&str> = sides
            .iter()
            .filter_map(|index| by_index.get(index))
            .map(|link| link.name.as_str())
            .collect();
        // In generic mode packets are the stack's own by the time they leave.
        let is_native = self.attached.iter().any(|&(_, mode)| mode == Mode::Native);
        let is_veth = |name: &&str| host::driver(name).is_ok_and(|driver| driver == "veth");
        let is_open = match self.redirect {
            Redirect::Always => true,
            Redirect::Never => false,
            // The peer of a veth drops such packets unless it has an XDP program of its own.
            Redirect::Auto => mode == Mode::Generic || !names.iter().any(is_veth),
        };
        let (takes_others, takes_large) = if is_native {
            match features::read(index) {
                Ok(features) => (features.takes_others(), features.takes_large()),
                // Before 6.3: drivers with XDP do, but the kernel drops large frames.
                Err(_) => (mode == Mode::Native, false),
            }
        } else {
            (true, true)
        };
        let mut flags = 0;
        if takes_others || self.redirect == Redirect::Always {
            flags |= Port::REDIRECT;
        }
        if takes_large {
            flags |= Port::LARGE;
        }
        Own {
            is_open,
            flags,
            hides_tags: names
                .iter()
                .any(|name| host::takes_tags_off(name).unwrap_or(false)),
        }
    }

    fn write(&mut self, wanted: Layout) -> anyhow::Result<()> {
        let written = mem::take(&mut self.written);
        for index in written.ports.keys() {
            if !wanted.ports.contains_key(index) {
                self.ports.store(*index, Port::default());
            }
        }
        for (&index, &port) in &wanted.ports {
            if index >= self.ports.entries() {
                tracing::warn!(
                    index,
                    "an interface transmits through the kernel: its index is too large"
                );
            } else if written.ports.get(&index) != Some(&port) {
                self.ports.store(index, port);
            }
        }
        for arrival in written.devices.keys() {
            if !wanted.devices.contains_key(arrival) {
                self.devices.remove(arrival)?;
            }
        }
        for (arrival, device) in &wanted.devices {
            if written.devices.get(arrival) != Some(device) {
                self.devices
                    .insert(arrival, device, 0)
                    .context("more VLAN devices than there is room for")?;
            }
        }
        self.written = wanted;
        Ok(())
    }
}

fn warn_of_hidden_tags(links: &[Link], index: u32) {
    let name = links
        .iter()
        .find(|link| link.index == index)
        .map_or("?", |link| link.name.as_str());
    tracing::warn!(
        interface = name,
        "it carries VLAN devices, and tags are taken off before XDP sees them: all its packets leave through the \
         kernel, and none to `dsr` backends; `ethtool -K {name} rxvlan off` (of a bond: on each member), then a restart, \
         changes that"
    );
}

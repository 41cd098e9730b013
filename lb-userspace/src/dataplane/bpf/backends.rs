//! The backend array.

use std::{
    collections::BTreeMap,
    io, iter,
    mem::offset_of,
    net::IpAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use aya::maps::MapData;
use lb_common::{
    backend::{Backend, BackendId, BackendState, Forward},
    flow::{TCP, UDP},
    service::Control,
};

use super::{filters, mapped::Mapped, sources::Span, wire};
use crate::{address::Endpoint, dataplane::BackendEntry, desired::Protocol};

#[derive(Debug)]
pub struct Backends {
    entries: Mapped<Backend>,
    /// Those whose replies pass here.
    filter: Mapped<u64>,
    /// Those whose replies are sent here.
    fullnat_filter: Mapped<u64>,
}

impl Backends {
    pub fn new(entries: &MapData, filter: &MapData, fullnat_filter: &MapData) -> io::Result<Self> {
        Ok(Self {
            entries: Mapped::new(entries)?,
            filter: Mapped::new(filter)?,
            fullnat_filter: Mapped::new(fullnat_filter)?,
        })
    }

    /// Weights and limits stand elsewhere.
    pub fn read(&self) -> BTreeMap<BackendId, BackendEntry> {
        (1..self.entries.entries())
            .map(|index| self.entries.load(index))
            .filter_map(|entry| Some((entry.id, meaning(&entry)?)))
            .collect()
    }

    /// The youngest id ever given, of backends long removed too.
    pub fn newest(&self) -> BackendId {
        (1..self.entries.entries())
            .map(|index| self.entries.load(index).id)
            .max()
            .unwrap_or_default()
    }

    /// Whether the place holds another backend, or none.
    pub fn is_new(&self, id: BackendId) -> bool {
        self.entries.load(id.index()).id != id
    }

    /// `sources` are for `fullnat` alone.
    pub fn put(
        &mut self,
        control: &Mapped<Control>,
        id: BackendId,
        backend: &BackendEntry,
        sources: Span,
    ) {
        let state = match backend.state {
            BackendState::Alive => Backend::ALIVE,
            BackendState::Down => Backend::DOWN,
        };
        let forward = backend.forward as u8;
        let filter = match backend.forward {
            Forward::Nat => Some(&self.filter),
            Forward::Fullnat => Some(&self.fullnat_filter),
            Forward::Dsr | Forward::Ipip | Forward::Gue => None,
        };
        if let Some(filter) = filter {
            filters::add(filter, backend.address);
            // Which is the first that is looked at, for either.
            filters::add_address(&self.filter, backend.address.ip);
            portless(control).fetch_or(portless_bit(backend.address), Ordering::AcqRel);
        }
        if !self.is_new(id) {
            // All in one store.
            let word = u32::from_ne_bytes([state, forward, sources.first, sources.count]);
            self.word(id, offset_of!(Backend, state), word);
            return;
        }
        let (family, address) = wire::words(backend.address.ip);
        let entry = Backend {
            id: BackendId::NONE,
            state,
            forward,
            snat_first: sources.first,
            snat_count: sources.count,
            address,
            port: wire::port(backend.address),
            family,
            protocol: protocol_number(backend.protocol),
            identity: backend.identity,
        };
        // The id last: until then the entry is nobody's.
        self.word(id, offset_of!(Backend, id), 0);
        self.entries.store(id.index(), entry);
        self.word(id, offset_of!(Backend, id), id.bits());
    }

    pub fn remove(&mut self, control: &Mapped<Control>, id: BackendId) {
        if self.is_new(id) {
            return;
        }
        // The id stays, so that the next one in this place gets another generation.
        self.word(id, offset_of!(Backend, state), 0);
        let left = self.read();
        let by = |forward| {
            let of = left.values().filter(move |entry| entry.forward == forward);
            of.map(|entry| entry.address)
        };
        let replying = by(Forward::Nat).chain(by(Forward::Fullnat));
        let bits = replying.map(portless_bit).fold(0, |a, b| a | b);
        portless(control).store(bits, Ordering::Release);
        let fullnat = || by(Forward::Fullnat);
        filters::keep_only(&self.filter, by(Forward::Nat), fullnat().map(|to| to.ip));
        filters::keep_only(&self.fullnat_filter, fullnat(), iter::empty());
    }

    fn word(&self, id: BackendId, offset: usize, value: u32) {
        self.entries
            .word32(id.index(), offset)
            .store(value, Ordering::Release);
    }
}

/// [`Control::portless_backends`].
fn portless(control: &Mapped<Control>) -> &AtomicU32 {
    control.word32(0, offset_of!(Control, portless_backends))
}

/// What a backend that replies adds to it.
fn portless_bit(address: Endpoint) -> u32 {
    match address {
        Endpoint { port: Some(_), .. } => 0,
        Endpoint {
            ip: IpAddr::V4(_), ..
        } => 1,
        Endpoint {
            ip: IpAddr::V6(_), ..
        } => 2,
    }
}

fn meaning(entry: &Backend) -> Option<BackendEntry> {
    let state = match entry.state {
        Backend::ALIVE => BackendState::Alive,
        Backend::DOWN => BackendState::Down,
        _ => return None,
    };
    let address = wire::address(entry.family, entry.address)?;
    Some(BackendEntry {
        address: wire::endpoint(address, entry.port),
        protocol: protocol(entry.protocol)?,
        state,
        forward: Forward::from_number(entry.forward)?,
        identity: entry.identity,
        weight: 0,
        max_conns: 0,
    })
}

pub fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    }
}

/// `None` for an empty place.
pub fn protocol(number: u8) -> Option<Protocol> {
    match number {
        TCP => Some(Protocol::Tcp),
        UDP => Some(Protocol::Udp),
        _ => None,
    }
}

//! The table of listeners: an exact-match table in an array, in two halves of which one is in use.

use std::{
    collections::{BTreeMap, BTreeSet},
    io, iter,
    net::IpAddr,
    sync::atomic::Ordering,
};

use aya::{Pod, maps::MapData};
use lb_common::{
    address::{Address, V4, V6},
    hash,
    packet::Icmp,
    service::{self, Control, ENTRIES, LISTENERS, ListenerEntry, PLACES, PROBES},
};

use super::{
    backends, filters,
    mapped::{Mapped, wait_for_programs},
    wire,
};
use crate::dataplane::{DataplaneError, Listener, PoolId};

#[derive(Debug)]
pub struct Listeners {
    v4: Mapped<ListenerEntry<V4>>,
    v6: Mapped<ListenerEntry<V6>>,
    filter: Mapped<u64>,
}

impl Listeners {
    pub fn new(v4: &MapData, v6: &MapData, filter: &MapData) -> io::Result<Self> {
        Ok(Self {
            v4: Mapped::new(v4)?,
            v6: Mapped::new(v6)?,
            filter: Mapped::new(filter)?,
        })
    }

    pub fn read(&self, control: &Mapped<Control>) -> BTreeMap<Listener, PoolId> {
        let mut listeners = read(&self.v4, control.load(0).listeners[0]);
        listeners.append(&mut read(&self.v6, control.load(0).listeners[1]));
        listeners
    }

    pub fn write(
        &mut self,
        control: &Mapped<Control>,
        listeners: &BTreeMap<Listener, PoolId>,
    ) -> Result<(), DataplaneError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (listener, &pool) in listeners {
            match listener.address.ip {
                IpAddr::V4(vip) => v4.push(entry(wire::v4(vip), listener, pool)),
                IpAddr::V6(vip) => v6.push(entry(wire::v6(vip), listener, pool)),
            }
        }
        let vips: BTreeSet<IpAddr> = listeners.keys().map(|known| known.address.ip).collect();
        for vip in vips {
            match vip {
                IpAddr::V4(vip) => v4.push(pings(wire::v4(vip))),
                IpAddr::V6(vip) => v6.push(pings(wire::v6(vip))),
            }
        }
        let (v4, v6) = (arrange(&v4)?, arrange(&v6)?);
        for listener in listeners.keys() {
            filters::add(&self.filter, listener.address);
        }
        // A program may still read the half that the last change left.
        wait_for_programs();
        let has_whole = |is_family| has_whole_addresses(listeners, is_family);
        switch(&mut self.v4, control, 0, &v4, has_whole(IpAddr::is_ipv4));
        switch(&mut self.v6, control, 1, &v6, has_whole(IpAddr::is_ipv6));
        filters::keep_only(
            &self.filter,
            listeners.keys().map(|listener| listener.address),
            iter::empty(),
        );
        Ok(())
    }
}

/// Whether a listener of the family takes every port of its address.
fn has_whole_addresses(
    listeners: &BTreeMap<Listener, PoolId>,
    is_family: fn(&IpAddr) -> bool,
) -> bool {
    let mut addresses = listeners.keys().map(|listener| listener.address);
    addresses.any(|address| is_family(&address.ip) && address.port.is_none())
}

fn entry<A: Address>(vip: A, listener: &Listener, pool: PoolId) -> ListenerEntry<A> {
    ListenerEntry {
        vip,
        port: wire::port(listener.address),
        protocol: backends::protocol_number(listener.protocol),
        padding: 0,
        pool: pool.into(),
    }
}

/// By this entry the datapath knows whose pings to answer. It serves nothing else, and has no pool.
fn pings<A: Icmp>(vip: A) -> ListenerEntry<A> {
    ListenerEntry {
        vip,
        port: 0,
        protocol: A::ICMP,
        padding: 0,
        pool: u32::MAX,
    }
}

fn read<A: Address>(map: &Mapped<ListenerEntry<A>>, word: u64) -> BTreeMap<Listener, PoolId>
where
    ListenerEntry<A>: Pod,
{
    let (first, _) = service::half(word);
    (first..first + PLACES)
        .map(|place| map.load(place))
        .filter_map(|entry| {
            let ip = wire::address(A::FAMILY, entry.vip.to_words())?;
            let listener = Listener {
                address: wire::endpoint(ip, entry.port),
                protocol: backends::protocol(entry.protocol)?,
            };
            Some((listener, entry.pool as PoolId))
        })
        .collect()
}

/// Where each entry of a half stands.
struct Arrangement<A> {
    seed: u32,
    places: BTreeMap<u32, ListenerEntry<A>>,
}

/// Finds a seed with which every entry stands within the probes of a lookup.
fn arrange<A: Address>(entries: &[ListenerEntry<A>]) -> Result<Arrangement<A>, DataplaneError> {
    const SEEDS: u32 = 1000;
    let full = DataplaneError::Full {
        what: "listeners of one family",
        capacity: LISTENERS as usize,
    };
    if entries.len() > ENTRIES as usize {
        return Err(full);
    }
    (0..SEEDS)
        .map(hash::mix)
        .find_map(|seed| arrange_with(seed, entries))
        .ok_or(full)
}

fn arrange_with<A: Address>(seed: u32, entries: &[ListenerEntry<A>]) -> Option<Arrangement<A>> {
    let mut places = BTreeMap::new();
    for entry in entries {
        let first = service::place(seed, entry.vip, entry.port, entry.protocol);
        let free = (0..PROBES)
            .map(|probe| (first + probe) & (PLACES - 1))
            .find(|place| !places.contains_key(place))?;
        places.insert(free, *entry);
    }
    Some(Arrangement { seed, places })
}

/// Writes the half not in use and switches to it by one store.
fn switch<A: Address>(
    map: &mut Mapped<ListenerEntry<A>>,
    control: &Mapped<Control>,
    family: usize,
    arrangement: &Arrangement<A>,
    has_whole_addresses: bool,
) where
    ListenerEntry<A>: Pod,
{
    let in_use = control.word64(0, family * size_of::<u64>());
    let half = service::other_half(in_use.load(Ordering::Acquire));
    let word = service::in_use(half, arrangement.seed, has_whole_addresses);
    let (first, _) = service::half(word);
    for place in 0..PLACES {
        let entry = arrangement.places.get(&place).copied().unwrap_or_default();
        map.store(first + place, entry);
    }
    in_use.store(word, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The datapath's lookup.
    fn find(arrangement: &Arrangement<V4>, entry: &ListenerEntry<V4>) -> Option<u32> {
        let first = service::place(arrangement.seed, entry.vip, entry.port, entry.protocol);
        (0..PROBES)
            .map_while(|probe| arrangement.places.get(&((first + probe) & (PLACES - 1))))
            .find(|found| found.is(entry.vip, entry.port, entry.protocol))
            .map(|found| found.pool)
    }

    #[test]
    fn every_listener_of_a_full_table_is_found() {
        let entries: Vec<_> = (0..ENTRIES)
            .map(|i| ListenerEntry {
                vip: (0x0a00_0000 + i / 16).to_be(),
                port: (80 + (i % 16) as u16).to_be(),
                protocol: 6,
                padding: 0,
                pool: i,
            })
            .collect();
        let arrangement = arrange(&entries).unwrap();
        for entry in &entries {
            assert_eq!(find(&arrangement, entry), Some(entry.pool));
        }
    }

    #[test]
    fn too_many_are_refused() {
        let entries = vec![ListenerEntry::<V4>::default(); ENTRIES as usize + 1];
        assert!(matches!(
            arrange(&entries),
            Err(DataplaneError::Full { .. })
        ));
    }
}

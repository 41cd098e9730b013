//! Which pool each listener of the datapath leads to: ranges are taken apart, and the most specific one wins.

use std::collections::BTreeMap;

use lb_common::backend::BackendId;

use super::service::{Family, ServiceState};
use crate::dataplane::{Applied, Listener, PoolId};

/// A pool is a service in one family.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct PoolKey {
    service: String,
    family: Family,
}

#[derive(Debug, Default)]
pub struct Pools {
    of_services: BTreeMap<PoolKey, PoolId>,
    of_listeners: BTreeMap<Listener, PoolId>,
}

impl Pools {
    pub fn get(&self, service: &str, family: Family) -> Option<PoolId> {
        let key = PoolKey {
            service: service.to_owned(),
            family,
        };
        self.of_services.get(&key).copied()
    }

    /// The name of the service that a pool is of.
    pub fn service(&self, pool: PoolId) -> Option<&str> {
        let mut all = self.of_services.iter();
        let (key, _) = all.find(|&(_, &known)| known == pool)?;
        Some(&key.service)
    }

    pub fn of_listeners(&self) -> &BTreeMap<Listener, PoolId> {
        &self.of_listeners
    }

    /// A service keeps its pools; one that is new takes the pool its listener has, unless that is another's, or a free
    /// one.
    pub fn assign(&mut self, services: &[ServiceState], applied: &Applied) {
        let known = std::mem::take(self).of_services;
        let homes = homes(services);
        let mut free = (0..PoolId::MAX).filter(|pool| {
            !applied.pools.contains_key(pool) && !known.values().any(|used| used == pool)
        });
        let listeners = listeners(services);
        for (place, (service, listeners)) in services.iter().zip(listeners).enumerate() {
            for family in Family::ALL {
                if !service.listens_on(family) {
                    continue;
                }
                let key = PoolKey {
                    service: service.settings.name.clone(),
                    family,
                };
                let is_free = |pool: &PoolId| {
                    let mut used = self.of_services.values().chain(known.values());
                    !used.any(|used| used == pool)
                        && heir(applied, *pool, &homes).is_none_or(|heir| heir == place)
                };
                let own = || {
                    let all = listeners.iter().copied();
                    all.filter(|listener| Family::of(listener.address.ip) == family)
                };
                let left = own()
                    .filter_map(|listener| applied.listeners.get(&listener).copied())
                    .find(is_free);
                let pool = known.get(&key).copied().or(left).or_else(|| free.next());
                if let Some(pool) = pool {
                    let own = own().map(|listener| (listener, pool));
                    self.of_listeners.extend(own);
                    self.of_services.insert(key, pool);
                }
            }
        }
    }
}

/// The listeners of each service.
fn listeners(services: &[ServiceState]) -> Vec<Vec<Listener>> {
    let mut claims: Vec<_> = services
        .iter()
        .enumerate()
        .flat_map(|(place, service)| {
            let listen = service.settings.listen.iter();
            listen.map(move |listen| (listen.ports, listen.ip, place))
        })
        .collect();
    claims.sort_unstable();
    let mut owners = BTreeMap::new();
    // The most specific ones last: they take what they want from the others.
    for (ports, ip, place) in claims.into_iter().rev() {
        let protocol = services[place].settings.protocol;
        let endpoints = ports.endpoints(ip);
        owners.extend(endpoints.map(|address| (Listener { address, protocol }, place)));
    }
    let mut listeners = vec![Vec::new(); services.len()];
    for (listener, place) in owners {
        listeners[place].push(listener);
    }
    listeners
}

/// The service of each backend, by its place.
fn homes(services: &[ServiceState]) -> BTreeMap<BackendId, usize> {
    let members = services
        .iter()
        .enumerate()
        .flat_map(|(place, service)| service.members.iter().map(move |member| (member.id, place)));
    members.collect()
}

/// The service whose backends own slots of a pool that a daemon before this one left.
fn heir(applied: &Applied, pool: PoolId, homes: &BTreeMap<BackendId, usize>) -> Option<usize> {
    let pool = applied.pools.get(&pool)?;
    let mut owners = pool.slots.iter().map(|slot| slot.current);
    owners.find_map(|owner| homes.get(&owner).copied())
}

//! All that the daemon knows, and what follows from it. No I/O, no clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use lb_common::backend::{BackendId, BackendState};

use super::{
    ids::Ids,
    pools::Pools,
    service::{Family, Member, ServiceState, identity},
    tables::Tables,
};
use crate::{
    dataplane::{Applied, PoolId, Recorded},
    desired::{BackendSettings, Desired, OnDown, Protocol, ServiceSettings},
    health::{Event, Health, Transition, passive},
    operator::{self, Change, Orders},
    reconcile::Target,
};

#[derive(Debug)]
pub struct State {
    pub desired: Desired,
    pub services: Vec<ServiceState>,
    /// Not configured any more, but some flows are still theirs. Still checked, so that those of a dead one may choose
    /// again.
    pub leaving: Vec<Member>,
    pub pools: Pools,
    orders: Orders,
    ids: Ids,
    tables: Tables,
}

/// More backends than the datapath has places for.
#[derive(Debug, thiserror::Error)]
#[error(
    "{service}/{backend} finds no place: the datapath has {capacity}, those of leaving backends included"
)]
pub struct NoPlace {
    service: String,
    backend: String,
    capacity: u32,
}

/// An order for a backend that is not configured.
#[derive(Debug, thiserror::Error)]
#[error("found {found}, expected one of {}", .known.join(", "))]
pub struct Unknown {
    found: String,
    known: Vec<String>,
}

impl Unknown {
    /// Those of its service, or else all.
    fn new(target: &operator::Target, services: &[ServiceState]) -> Self {
        let has_name = |service: &&ServiceState| service.settings.name == target.service;
        let is_service = services.iter().any(|service| has_name(&service));
        let named = services
            .iter()
            .filter(|service| !is_service || has_name(service))
            .flat_map(|service| &service.members)
            .map(|member| format!("{}/{}", member.service, member.settings.name));
        Self {
            found: target.to_string(),
            known: named.collect(),
        }
    }
}

impl State {
    /// `applied` is what a daemon before this one left: its backends go on serving without a new first check.
    pub fn new(desired: Desired, orders: Orders, applied: &Applied) -> Result<Self, NoPlace> {
        let mut state = Self {
            ids: Ids::after(applied.newest),
            services: Vec::new(),
            leaving: Vec::new(),
            orders,
            pools: Pools::default(),
            tables: Tables::default(),
            desired: desired.clone(),
        };
        state.reload(desired, applied)?;
        Ok(state)
    }

    /// Takes over a new configuration; on an error nothing changes. `[daemon]` stays as it was at the start.
    pub fn reload(&mut self, desired: Desired, applied: &Applied) -> Result<(), NoPlace> {
        let mut known: Vec<Member> = self
            .services
            .iter()
            .flat_map(|service| service.members.iter().cloned())
            .chain(self.leaving.iter().cloned())
            .collect();
        let mut taken: BTreeSet<u32> = known
            .iter()
            .map(|member| member.id.index())
            .chain(applied.backends.keys().map(|id| id.index()))
            .collect();
        let mut services = Vec::new();
        for settings in &desired.services {
            let mut members = Vec::new();
            for backend in &settings.backends {
                members.push(self.member_of(settings, backend, &mut known, &mut taken, applied)?);
            }
            services.push(ServiceState {
                settings: settings.clone(),
                members,
            });
        }
        self.desired.services = desired.services;
        self.services = services;
        self.leaving = known;
        self.pools.assign(&self.services, applied);
        self.heed_orders();
        Ok(())
    }

    /// The orders after a change of what is ordered of a configured backend; nothing takes effect yet.
    pub fn ordered(&self, target: &operator::Target, change: Change) -> Result<Orders, Unknown> {
        if self.member(target).is_none() {
            return Err(Unknown::new(target, &self.services));
        }
        Ok(self.orders.with(target, change))
    }

    /// The configured backend of this name.
    pub fn member(&self, target: &operator::Target) -> Option<&Member> {
        let mut configured = self.services.iter().flat_map(|service| &service.members);
        configured.find(|member| {
            member.service == target.service && member.settings.name == target.backend
        })
    }

    pub fn obey(&mut self, orders: Orders) {
        self.orders = orders;
        self.heed_orders();
    }

    fn heed_orders(&mut self) {
        for service in &mut self.services {
            for member in &mut service.members {
                member.order = self.orders.of(&member.service, &member.settings.name);
            }
        }
    }

    /// The backend as it is known, as a daemon before this one left it, or new.
    fn member_of(
        &mut self,
        service: &ServiceSettings,
        backend: &BackendSettings,
        known: &mut Vec<Member>,
        taken: &mut BTreeSet<u32>,
        applied: &Applied,
    ) -> Result<Member, NoPlace> {
        if let Some(place) = known.iter().position(|member| member.is(service, backend)) {
            let mut member = known.swap_remove(place);
            member.resettle(service, backend);
            return Ok(member);
        }
        let hash = identity(&service.name, &backend.name);
        let left = applied.backends.iter().find(|(id, entry)| {
            entry.identity == hash
                && entry.address == backend.address
                && entry.protocol == service.protocol
                && !self.is_claimed(**id, known)
        });
        if let Some((&id, entry)) = left {
            let initial = match entry.state {
                // It may be down, and only have kept its flows.
                BackendState::Alive if entry.weight == 0 && service.on_down == OnDown::Keep => {
                    Health::Down
                }
                BackendState::Alive => Health::Up,
                BackendState::Down => Health::Unknown,
            };
            return Ok(Member::new(id, service, backend, initial));
        }
        let id = self
            .ids
            .next(|index| taken.contains(&index))
            .ok_or_else(|| NoPlace {
                service: service.name.clone(),
                backend: backend.name.clone(),
                capacity: lb_common::layout::BACKENDS_CAPACITY - 1,
            })?;
        taken.insert(id.index());
        let initial = if service.health.starts_up {
            Health::Up
        } else {
            Health::Unknown
        };
        Ok(Member::new(id, service, backend, initial))
    }

    fn is_claimed(&self, id: BackendId, known: &[Member]) -> bool {
        self.members().chain(known).any(|member| member.id == id)
    }

    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.services
            .iter()
            .flat_map(|service| &service.members)
            .chain(&self.leaving)
    }

    /// A check's result: whose it is, and whether it changed anything. Unknown ids are of checks that ended meanwhile.
    pub fn observe(
        &mut self,
        id: BackendId,
        event: Event,
        text: String,
        now: Instant,
    ) -> Option<(&Member, Option<Transition>)> {
        let member = self
            .services
            .iter_mut()
            .flat_map(|service| &mut service.members)
            .chain(&mut self.leaving)
            .find(|member| member.id == id)?;
        let transition = member.on(event, text, now);
        Some((member, transition))
    }

    /// What clients' own connections say of each backend: those of which that changes something, and what.
    pub fn heed(
        &mut self,
        failures: &BTreeMap<BackendId, u64>,
        now: Instant,
    ) -> Vec<(&Member, passive::Verdict)> {
        let services = self.services.iter_mut();
        let members = services.flat_map(|service| &mut service.members);
        members
            .filter_map(|member| {
                let verdict =
                    member.heed(failures.get(&member.id).copied().unwrap_or_default(), now)?;
                Some((&*member, verdict))
            })
            .collect()
    }

    /// Whether any backend is judged by them.
    pub fn has_passive_checks(&self) -> bool {
        let mut members = self.services.iter().flat_map(|service| &service.members);
        members.any(|member| member.settings.passive.max_fails > 0 || member.passive.is_out())
    }

    /// Whether the datapath has backends that are not configured any more.
    pub fn has_left_over(&self, applied: &Applied) -> bool {
        let configured: usize = self.services.iter().map(|s| s.members.len()).sum();
        !self.leaving.is_empty() || applied.backends.len() > configured
    }

    /// Lets go of backends that no slot and no recorded flow names. `recorded` was read when `applied` stood already.
    pub fn forget_left(&mut self, applied: &Applied, recorded: &Recorded) {
        let named = applied.named();
        self.leaving
            .retain(|member| named.contains(&member.id) || recorded.backends.contains(&member.id));
    }

    /// What the datapath should hold. With `recorded`, read when `applied` stood already, backends of unknown origin
    /// that no flow needs any more are left out.
    pub fn target(
        &mut self,
        applied: &Applied,
        recorded: Option<&Recorded>,
        now: Instant,
    ) -> Target {
        let mut target = Target {
            listeners: self.pools.of_listeners().clone(),
            ..Target::default()
        };
        for member in &self.leaving {
            target.backends.insert(member.id, member.entry(false, now));
        }
        for service in &self.services {
            for (member, is_active) in service.members.iter().zip(service.active()) {
                target
                    .backends
                    .insert(member.id, member.entry(is_active, now));
            }
        }
        let named = applied.named();
        for (&id, &entry) in &applied.backends {
            let is_needed = recorded
                .is_none_or(|recorded| named.contains(&id) || recorded.backends.contains(&id));
            if is_needed {
                target.backends.entry(id).or_insert(entry);
            }
        }
        let seed = self.desired.daemon.seed;
        for service in &self.services {
            for family in Family::ALL {
                let Some(pool) = self.pools.get(&service.settings.name, family) else {
                    continue;
                };
                let known = applied.pools.get(&pool);
                let table = self.tables.table(pool, service, family, seed, known, now);
                target.pools.insert(pool, table);
            }
        }
        self.tables.keep_only(&target.pools);
        for service in &mut self.services {
            for member in &mut service.members {
                member.settle(now);
            }
        }
        target
    }

    /// Whether backends are on their way to all of their share: the target changes with time.
    pub fn is_starting(&self) -> bool {
        self.services
            .iter()
            .flat_map(|service| &service.members)
            .any(Member::is_starting)
    }

    /// The services, with the family, all of whose backends are used because too few are healthy.
    pub fn panicking(&self) -> BTreeSet<(String, Family)> {
        let mut panicking = BTreeSet::new();
        for service in &self.services {
            let families = Family::ALL.into_iter();
            let panics = families.filter(|&family| service.panics(family));
            panicking.extend(panics.map(|family| (service.settings.name.clone(), family)));
        }
        panicking
    }

    /// How long old flows of a pool have to show themselves after a change.
    pub fn transition(&self, pool: PoolId) -> Duration {
        let timeouts = &self.desired.daemon.timeouts;
        let is_udp = |name: &str| {
            let mut all = self.services.iter().map(|service| &service.settings);
            all.any(|service| service.name == name && service.protocol == Protocol::Udp)
        };
        if self.pools.service(pool).is_some_and(is_udp) {
            timeouts.udp
        } else {
            timeouts.transition
        }
    }
}

//! All that the daemon knows, and what follows from it. No I/O, no clock.

use std::{
    collections::BTreeSet,
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
    desired::{BackendSettings, Desired, Protocol, ServiceSettings},
    health::{Event, Health, Transition},
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

impl State {
    /// `applied` is what a daemon before this one left: its backends go on serving without a new first check.
    pub fn new(desired: Desired, applied: &Applied) -> Result<Self, NoPlace> {
        let mut state = Self {
            ids: Ids::after(applied.newest),
            services: Vec::new(),
            leaving: Vec::new(),
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
                members.push(self.member(settings, backend, &mut known, &mut taken, applied)?);
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
        Ok(())
    }

    /// The backend as it is known, as a daemon before this one left it, or new.
    fn member(
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
        Ok(Member::new(id, service, backend, Health::Unknown))
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

    /// A check's result. Unknown ids are of checks that ended meanwhile.
    pub fn observe(
        &mut self,
        id: BackendId,
        event: Event,
        text: String,
        now: Instant,
    ) -> Option<(&Member, Transition)> {
        let member = self
            .services
            .iter_mut()
            .flat_map(|service| &mut service.members)
            .chain(&mut self.leaving)
            .find(|member| member.id == id)?;
        let transition = member.on(event, text, now)?;
        Some((member, transition))
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
    pub fn target(&mut self, applied: &Applied, recorded: Option<&Recorded>) -> Target {
        let mut target = Target {
            listeners: self.pools.of_listeners().clone(),
            ..Target::default()
        };
        for member in self.members() {
            target.backends.insert(member.id, member.entry());
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
                let owners =
                    self.tables
                        .owners(pool, service, family, seed, applied.pools.get(&pool));
                target.pools.insert(pool, owners);
            }
        }
        self.tables.keep_only(&target.pools);
        target
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

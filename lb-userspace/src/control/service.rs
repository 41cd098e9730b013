//! A service at run time: its settings, and what is known of its backends.

use std::{
    collections::BTreeSet,
    hash::Hasher as _,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use lb_common::backend::{BackendId, BackendState};
use siphasher::sip::SipHasher13;

use crate::{
    dataplane::BackendEntry,
    desired::{BackendSettings, Check, Forward, HealthSettings, OnDown, Protocol, ServiceSettings},
    health::{
        Event, Health, Machine, Transition,
        passive::{self, Passive},
    },
    hooks::{Notice, seconds_since_1970},
    membership,
    operator::{AdminState, Order},
    scheduler::{ALL_OF_IT, Candidate},
};

/// One address family of a service; each has a pool of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub const fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

#[derive(Debug)]
pub struct ServiceState {
    pub settings: ServiceSettings,
    /// In file order.
    pub members: Vec<Member>,
}

/// A backend of a service.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: BackendId,
    pub service: String,
    pub protocol: Protocol,
    pub forward: Forward,
    pub settings: BackendSettings,
    pub health: HealthSettings,
    pub machine: Machine,
    /// What clients' own connections say.
    pub passive: Passive,
    /// Failures of theirs that were heard of.
    failures: Option<u64>,
    /// What the last check said.
    pub last_check: Option<String>,
    /// What the operator ordered of it.
    pub order: Order,
    slow_start: Duration,
    /// Whether every flow of its service is recorded.
    tracks: bool,
    on_down: OnDown,
    /// When it came back, until it has all of its share.
    returned: Option<Instant>,
}

const fn machine(health: &HealthSettings, initial: Health) -> Machine {
    Machine::new(health.rise, health.fall, initial).damped(health.flap_window)
}

impl Member {
    pub fn new(
        id: BackendId,
        service: &ServiceSettings,
        settings: &BackendSettings,
        initial: Health,
    ) -> Self {
        let mut member = Self {
            id,
            service: service.name.clone(),
            protocol: service.protocol,
            forward: service.forward,
            settings: settings.clone(),
            health: service.health.clone(),
            machine: machine(&service.health, initial),
            passive: Passive::default(),
            failures: None,
            last_check: None,
            order: Order::default(),
            slow_start: service.slow_start,
            tracks: service.discipline().tracks,
            on_down: service.on_down,
            returned: None,
        };
        member.trust_if_unchecked();
        member
    }

    /// The same backend under new settings; what is known of its health stays.
    pub fn resettle(&mut self, service: &ServiceSettings, settings: &BackendSettings) {
        self.settings = settings.clone();
        self.forward = service.forward;
        self.slow_start = service.slow_start;
        self.tracks = service.discipline().tracks;
        self.on_down = service.on_down;
        if self.health != service.health {
            self.health = service.health.clone();
            let known = self.machine.health();
            self.machine = machine(&self.health, known);
        }
        self.trust_if_unchecked();
    }

    fn trust_if_unchecked(&mut self) {
        if self.health.check == Check::None && self.machine.health() != Health::Up {
            self.machine = machine(&self.health, Health::Up);
            self.last_check = None;
        }
    }

    pub fn is(&self, service: &ServiceSettings, settings: &BackendSettings) -> bool {
        self.service == service.name
            && self.protocol == service.protocol
            && self.settings.name == settings.name
            && self.settings.address == settings.address
    }

    pub const fn family(&self) -> Family {
        Family::of(self.settings.address.ip)
    }

    /// Where its check connects to; `None` where it has none.
    pub fn check_address(&self) -> Option<SocketAddr> {
        if self.health.check == Check::None {
            return None;
        }
        let (own, health) = (self.settings.address, &self.health);
        let (ip, port) = match self.settings.check_address {
            Some(checked) => (checked.ip, checked.port),
            None => (health.address.unwrap_or(own.ip), None),
        };
        Some(SocketAddr::new(ip, port.or(health.port).or(own.port)?))
    }

    pub fn on(&mut self, event: Event, text: String, now: Instant) -> Option<Transition> {
        self.last_check = Some(text);
        let transition = self.machine.on(event, now)?;
        let has_returned = transition.from == Health::Down && transition.to == Health::Up;
        self.returned = has_returned.then_some(now);
        Some(transition)
    }

    /// Takes note of how many of clients' own connections have failed so far.
    pub fn heed(&mut self, failures: u64, now: Instant) -> Option<passive::Verdict> {
        let before = self.failures.replace(failures).unwrap_or(failures);
        let fails = failures.saturating_sub(before);
        let fails = u32::try_from(fails).unwrap_or(u32::MAX);
        self.passive.on(fails, self.settings.passive, now)
    }

    /// How far apart its checks are for now.
    pub const fn interval(&self) -> Duration {
        self.health.intervals.of(&self.machine)
    }

    /// How much of its weight counts: as long as it has been back of the time that its slow start takes.
    pub fn sixteenths(&self, now: Instant) -> u16 {
        let Some(returned) = self.returned else {
            return ALL_OF_IT;
        };
        let back = now.saturating_duration_since(returned);
        if back >= self.slow_start {
            return ALL_OF_IT;
        }
        let all = u128::from(ALL_OF_IT);
        // Less than all of them, because `back` is less than all of the time.
        let passed = (all * back.as_nanos() / self.slow_start.as_nanos()) as u16;
        passed.max(1)
    }

    /// Its weight for new flows.
    pub const fn weight(&self) -> u16 {
        match (self.order.state, self.order.weight) {
            (AdminState::Drain | AdminState::Maint, _) => 0,
            (AdminState::Ready, Some(weight)) => weight,
            (AdminState::Ready, None) => self.settings.weight,
        }
    }

    /// What is told of a change.
    pub fn notice(&self, what: &'static str, from: &str, to: &str) -> Notice {
        Notice {
            service: self.service.clone(),
            backend: self.settings.name.clone(),
            address: self.settings.address.to_string(),
            what,
            from: from.to_owned(),
            to: to.to_owned(),
            check: self.last_check.clone(),
            at: seconds_since_1970(),
        }
    }

    /// Whether the datapath has a record of every connection to it.
    pub const fn has_count(&self) -> bool {
        self.tracks || matches!(self.forward, Forward::Nat | Forward::Fullnat)
    }

    pub const fn is_starting(&self) -> bool {
        self.returned.is_some()
    }

    /// Ends a slow start whose time is over.
    pub fn settle(&mut self, now: Instant) {
        if self.sixteenths(now) == ALL_OF_IT {
            self.returned = None;
        }
    }

    /// `is_active`: whether it takes new flows, which in a panic does not take health.
    pub fn entry(&self, is_active: bool, now: Instant) -> BackendEntry {
        let weight = if is_active { self.weight() } else { 0 };
        let has_flows = match (self.machine.health(), self.on_down) {
            // One that was never up has none.
            (Health::Up, _) | (Health::Down, OnDown::Keep) => true,
            (Health::Down, OnDown::Reselect) | (Health::Unknown, _) => false,
        };
        let is_up = has_flows && self.order.state != AdminState::Maint;
        BackendEntry {
            address: self.settings.address,
            protocol: self.protocol,
            state: if is_up || is_active {
                BackendState::Alive
            } else {
                BackendState::Down
            },
            forward: self.forward,
            identity: identity(&self.service, &self.settings.name),
            weight: u32::from(weight) * u32::from(self.sixteenths(now)),
            max_conns: self.settings.max_conns,
        }
    }
}

/// The hash by which the datapath's backends are known again.
pub fn identity(service: &str, backend: &str) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(service.as_bytes());
    hasher.write_u8(0);
    hasher.write(backend.as_bytes());
    hasher.finish() as u32
}

impl ServiceState {
    pub fn listens_on(&self, family: Family) -> bool {
        self.settings
            .listen
            .iter()
            .any(|listen| Family::of(listen.ip) == family)
    }

    /// The backends that serve a family: its own, or in tunnels IPv6 ones where IPv4 has none.
    pub fn serving(&self, family: Family) -> impl Iterator<Item = &Member> {
        let has = |family| {
            let mut all = self.members.iter();
            all.any(|member| member.family() == family)
        };
        let is_4in6 = self.settings.forward.is_tunnel() && !has(Family::V4);
        let of = if is_4in6 { Family::V6 } else { family };
        self.members
            .iter()
            .filter(move |member| member.family() == of)
    }

    /// Whether each member takes new flows. Each family needs backends of its own.
    pub fn active(&self) -> Vec<bool> {
        let mut active = vec![false; self.members.len()];
        for family in Family::ALL {
            let (places, standings) = self.standings(family);
            let chosen = membership::active(&standings, self.wanted());
            for (place, is_active) in places.into_iter().zip(chosen) {
                active[place] = is_active;
            }
        }
        active
    }

    /// Whether all backends of a family are used because too few are healthy.
    pub fn panics(&self, family: Family) -> bool {
        let (_, standings) = self.standings(family);
        membership::panics(&standings, self.wanted())
    }

    const fn wanted(&self) -> membership::Wanted {
        membership::Wanted {
            min_active: self.settings.min_active,
            panic_below: self.settings.panic_below,
        }
    }

    /// The members of a family: their places among all, and how they stand.
    fn standings(&self, family: Family) -> (Vec<usize>, Vec<membership::Member>) {
        let members = self.members.iter().enumerate();
        members
            .filter(|(_, member)| member.family() == family)
            .map(|(place, member)| {
                let standing = membership::Member {
                    usable: member.machine.health() == Health::Up && !member.passive.is_out(),
                    weight: member.weight(),
                    backup: member.settings.backup,
                };
                (place, standing)
            })
            .unzip()
    }

    /// Who shares the table of a family.
    pub fn candidates(&self, family: Family, now: Instant) -> Vec<Candidate<'_>> {
        let active: BTreeSet<BackendId> = self
            .members
            .iter()
            .zip(self.active())
            .filter_map(|(member, is_active)| is_active.then_some(member.id))
            .collect();
        self.serving(family)
            .filter(|member| active.contains(&member.id))
            .map(|member| Candidate {
                identity: &member.settings.name,
                id: member.id,
                weight: member.weight(),
                sixteenths: member.sixteenths(now),
            })
            .collect()
    }
}

//! A service at run time: its settings, and what is known of its backends.

use std::{
    collections::BTreeSet,
    hash::Hasher as _,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use lb_common::backend::{BackendId, BackendState};
use siphasher::sip::SipHasher13;

use crate::{
    dataplane::BackendEntry,
    desired::{BackendSettings, Check, Forward, HealthSettings, Protocol, ServiceSettings},
    health::{Event, Health, Machine, Transition},
    membership,
    scheduler::Candidate,
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
    /// What the last check said.
    pub last_check: Option<String>,
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
            machine: Machine::new(service.health.rise, service.health.fall, initial),
            last_check: None,
        };
        member.trust_if_unchecked();
        member
    }

    /// The same backend under new settings; what is known of its health stays.
    pub fn resettle(&mut self, service: &ServiceSettings, settings: &BackendSettings) {
        self.settings = settings.clone();
        self.forward = service.forward;
        if self.health != service.health {
            self.health = service.health.clone();
            let known = self.machine.health();
            self.machine = Machine::new(self.health.rise, self.health.fall, known);
        }
        self.trust_if_unchecked();
    }

    fn trust_if_unchecked(&mut self) {
        if self.health.check == Check::None && self.machine.health() != Health::Up {
            self.machine = Machine::new(self.health.rise, self.health.fall, Health::Up);
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
        let address = self.settings.address;
        let port = self.health.port.or(address.port)?;
        Some(SocketAddr::new(address.ip, port))
    }

    pub fn on(&mut self, event: Event, text: String, now: Instant) -> Option<Transition> {
        self.last_check = Some(text);
        self.machine.on(event, now)
    }

    pub fn entry(&self) -> BackendEntry {
        BackendEntry {
            address: self.settings.address,
            protocol: self.protocol,
            state: match self.machine.health() {
                Health::Up => BackendState::Alive,
                Health::Down | Health::Unknown => BackendState::Down,
            },
            forward: self.forward,
            identity: identity(&self.service, &self.settings.name),
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
            let (places, members): (Vec<usize>, Vec<membership::Member>) = self
                .members
                .iter()
                .enumerate()
                .filter(|(_, member)| member.family() == family)
                .map(|(place, member)| {
                    let standing = membership::Member {
                        usable: member.machine.health() == Health::Up,
                        weight: member.settings.weight,
                        backup: member.settings.backup,
                    };
                    (place, standing)
                })
                .unzip();
            let chosen = membership::active(&members, self.settings.min_active);
            for (place, is_active) in places.into_iter().zip(chosen) {
                active[place] = is_active;
            }
        }
        active
    }

    /// Who shares the table of a family.
    pub fn candidates(&self, family: Family) -> Vec<Candidate<'_>> {
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
                weight: member.settings.weight,
            })
            .collect()
    }
}

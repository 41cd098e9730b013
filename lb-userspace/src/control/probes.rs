use std::{collections::BTreeMap, net::SocketAddr};

use lb_common::backend::BackendId;
use tokio::sync::mpsc;

use super::service::Member;
use crate::{
    desired::HealthSettings,
    probe::task::{Observation, Subject, Task},
};

/// Results wait here when thousands of checks end at once; a full channel delays checks and loses none.
const WAITING: usize = 1024;

/// The checks that run: one task for each backend that has a check.
#[derive(Debug)]
pub struct Probes {
    running: BTreeMap<BackendId, Running>,
    observations: mpsc::Sender<Observation>,
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    health: HealthSettings,
    _task: Task,
}

impl Probes {
    pub fn new() -> (Self, mpsc::Receiver<Observation>) {
        let (observations, receiver) = mpsc::channel(WAITING);
        let probes = Self {
            running: BTreeMap::new(),
            observations,
        };
        (probes, receiver)
    }

    /// Starts what is missing and ends what is not wanted any more. A check whose settings changed starts anew.
    pub fn adjust<'a>(&mut self, members: impl Iterator<Item = &'a Member>) {
        let wanted: BTreeMap<BackendId, (&Member, SocketAddr)> = members
            .filter_map(|member| Some((member.id, (member, member.check_address()?))))
            .collect();
        self.running.retain(|id, running| {
            wanted.get(id).is_some_and(|&(member, address)| {
                address == running.address && member.health == running.health
            })
        });
        for (id, (member, address)) in wanted {
            self.running.entry(id).or_insert_with(|| Running {
                address,
                health: member.health.clone(),
                _task: Task::spawn(subject(member, address), self.observations.clone()),
            });
        }
    }
}

fn subject(member: &Member, address: SocketAddr) -> Subject {
    Subject {
        id: member.id,
        service: member.service.as_str().into(),
        backend: member.settings.name.as_str().into(),
        address,
        health: member.health.clone(),
    }
}

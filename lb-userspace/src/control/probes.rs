use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use lb_common::backend::BackendId;
use tokio::sync::{mpsc, watch};

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
    pace: watch::Sender<Duration>,
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
            self.running.entry(id).or_insert_with(|| {
                let (pace, paced) = watch::channel(member.interval());
                let subject = subject(member, address, paced);
                Running {
                    address,
                    health: member.health.clone(),
                    pace,
                    _task: Task::spawn(subject, self.observations.clone()),
                }
            });
        }
    }

    /// Says how far apart the checks of a backend are from now on.
    pub fn pace(&self, id: BackendId, interval: Duration) {
        if let Some(running) = self.running.get(&id) {
            running.pace.send_if_modified(|known| {
                let is_new = *known != interval;
                *known = interval;
                is_new
            });
        }
    }
}

fn subject(member: &Member, address: SocketAddr, pace: watch::Receiver<Duration>) -> Subject {
    Subject {
        id: member.id,
        service: member.service.as_str().into(),
        backend: member.settings.name.as_str().into(),
        address,
        health: member.health.clone(),
        pace,
    }
}

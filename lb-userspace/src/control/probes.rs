use std::{collections::BTreeMap, time::Instant};

use lb_common::backend::BackendId;
use tokio::sync::mpsc;

use super::service::Member;

#[derive(Debug)]
pub struct Observation {
    pub id: BackendId,
    pub result: Result<String, String>,
}
#[derive(Debug)]
pub struct Probes {
    running: BTreeMap<BackendId, ()>,
    tx: mpsc::Sender<Observation>,
}
impl Probes {
    pub fn new() -> (Self, mpsc::Receiver<Observation>) {
        let (tx, rx) = mpsc::channel(1024);
        (
            Self {
                running: BTreeMap::new(),
                tx,
            },
            rx,
        )
    }
    pub fn adjust<'a>(&mut self, members: impl Iterator<Item = &'a Member>, now: Instant) {}
}

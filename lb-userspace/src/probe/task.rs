//! The task that checks one backend for as long as it is wanted.
//!
//! It owns nothing but its timetable, whose pace it is told. What it sees goes to the one owner of all state, over a channel;
//! whether that makes a backend healthy is decided there.
//!
//! Cancel-safety: dropping a [`Task`] aborts it at whatever it waits for. A check under way is dropped with its
//! connection; an observation is sent whole or not at all. One that is already in the channel still arrives:
//! its receiver may not know the backend any more.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::backend::BackendId;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time,
};

use super::{Failure, Passed};
use crate::{
    desired::{Check, HealthSettings},
    health::schedule,
};

/// Whom to check, and how.
#[derive(Clone, Debug)]
pub struct Subject {
    pub id: BackendId,
    pub service: Arc<str>,
    pub backend: Arc<str>,
    pub address: SocketAddr,
    pub health: HealthSettings,
    /// How far apart its checks are by now.
    pub pace: watch::Receiver<Duration>,
}

/// How one check ended.
#[derive(Debug)]
pub struct Observation {
    pub id: BackendId,
    /// When it ended.
    pub at: Instant,
    pub result: Result<Passed, Failure>,
}

/// A running task. Ends when this is dropped, or when nobody receives its observations any more.
#[derive(Debug)]
pub struct Task {
    handle: JoinHandle<()>,
}

impl Task {
    /// Starts it on the current runtime. A backend without a check is reported to have passed, once.
    pub fn spawn(subject: Subject, observations: mpsc::Sender<Observation>) -> Self {
        Self {
            handle: tokio::spawn(run(subject, observations)),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

async fn run(subject: Subject, observations: mpsc::Sender<Observation>) {
    let health = &subject.health;
    if health.check == Check::None {
        // Nobody receiving and nothing left to do come to the same.
        let _ = observations.send(observe(&subject).await).await;
        return;
    }
    let mut pace = subject.pace.clone();
    let interval = *pace.borrow_and_update();
    let mut due = now() + schedule::first(&subject.service, &subject.backend, interval);
    loop {
        time::sleep_until(due.into()).await;
        if observations.send(observe(&subject).await).await.is_err() {
            return;
        }
        // Asked after sending: a full channel delays checks, it does not pile them up.
        let (last, jitter) = (due, fastrand::f64());
        due = schedule::next(last, now(), *pace.borrow_and_update(), jitter);
        // What has just been seen may change the pace.
        while due > now() {
            tokio::select! {
                () = time::sleep_until(due.into()) => {}
                Ok(()) = pace.changed() => {
                    due = schedule::next(last, now(), *pace.borrow_and_update(), jitter);
                }
            }
        }
    }
}

async fn observe(subject: &Subject) -> Observation {
    let health = &subject.health;
    let result = super::check(&health.check, subject.address, health.timeout).await;
    Observation {
        id: subject.id,
        at: now(),
        result,
    }
}

/// The clock that the runtime's timers follow.
fn now() -> Instant {
    time::Instant::now().into_std()
}

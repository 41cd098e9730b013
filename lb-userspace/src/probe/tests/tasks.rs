//! What a task does over time.

use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::*;
use lb_common::backend::BackendId;

use crate::{
    desired::HealthSettings,
    health::schedule::Intervals,
    probe::task::{Observation, Subject, Task},
};

const ID: BackendId = BackendId::new(7, 1);

fn subject(address: SocketAddr, check: Check, interval: Duration) -> Subject {
    Subject {
        id: ID,
        service: "web".into(),
        backend: "api1".into(),
        address,
        health: HealthSettings {
            check,
            address: None,
            port: None,
            intervals: Intervals {
                steady: interval,
                fast: interval,
                down: interval,
            },
            timeout: PATIENT,
            rise: 2,
            fall: 3,
            flap_window: Duration::ZERO,
            starts_up: false,
        },
        // Nobody changes it.
        pace: watch::channel(interval).1,
    }
}

async fn observation(receiver: &mut mpsc::Receiver<Observation>) -> Option<Observation> {
    timeout(PATIENT, receiver.recv()).await.expect("in time")
}

#[tokio::test]
async fn a_task_checks_again_and_again() {
    const INTERVAL: Duration = Duration::from_millis(100);
    const CHECKS: u32 = 10;
    let (listener, address) = listen(LOCALHOST).await;
    let (sender, mut receiver) = mpsc::channel(8);
    let start = Instant::now();
    let _task = Task::spawn(subject(address, Check::Tcp, INTERVAL), sender);
    for _ in 0..CHECKS {
        let seen = observation(&mut receiver).await.expect("a running task");
        assert_eq!(seen.id, ID);
        assert_eq!(seen.result.expect("a pass").summary, "connected");
    }
    // The first comes within one interval, each of the others an interval later, less jitter of up to 5 %.
    let took = start.elapsed();
    assert!(took >= INTERVAL * (CHECKS - 1) * 95 / 100, "{took:?}");
    assert!(took <= INTERVAL * CHECKS + SLACK, "{took:?}");

    drop(listener);
    let failed = loop {
        let seen = observation(&mut receiver).await.expect("a running task");
        if let Err(failure) = seen.result {
            break failure;
        }
    };
    assert_eq!(failed.to_string(), "connection refused");
}

#[tokio::test]
async fn a_new_pace_counts_at_once() {
    const SLOW: Duration = Duration::from_secs(3600);
    const FAST: Duration = Duration::from_millis(50);
    let (_listener, address) = listen(LOCALHOST).await;
    let (sender, mut receiver) = mpsc::channel(8);
    let (pace, paced) = watch::channel(FAST);
    let subject = Subject {
        pace: paced,
        ..subject(address, Check::Tcp, FAST)
    };
    let _task = Task::spawn(subject, sender);
    observation(&mut receiver).await.expect("a first check");
    pace.send_replace(SLOW);
    // One may be on its way.
    while timeout(SHORT, receiver.recv()).await.is_ok() {}
    let start = Instant::now();
    pace.send_replace(FAST);
    observation(&mut receiver).await.expect("the next check");
    assert!(start.elapsed() < SLACK, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_dropped_task_ends_in_the_middle_of_a_check() {
    let (listener, address) = listen(LOCALHOST).await;
    let (sender, mut receiver) = mpsc::channel(8);
    let task = Task::spawn(
        subject(address, http("/"), Duration::from_millis(1)),
        sender,
    );
    let (mut stream, _) = listener.accept().await.expect("a connection");
    read_request(&mut stream).await;
    drop(task);
    assert!(observation(&mut receiver).await.is_none());
    let read = timeout(PATIENT, stream.read(&mut [0; 16])).await;
    assert_eq!(
        read.expect("the connection is closed").expect("no reset"),
        0
    );
}

#[tokio::test]
async fn a_task_ends_when_nobody_listens() {
    let (listener, address) = listen(LOCALHOST).await;
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let _task = Task::spawn(
        subject(address, Check::Tcp, Duration::from_millis(1)),
        sender,
    );
    listener.accept().await.expect("one check");
    assert!(timeout(SHORT, listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_full_channel_does_not_pile_checks_up() {
    const INTERVAL: Duration = Duration::from_millis(20);
    let (_listener, address) = listen(LOCALHOST).await;
    let (sender, mut receiver) = mpsc::channel(1);
    let _task = Task::spawn(subject(address, Check::Tcp, INTERVAL), sender);
    sleep(INTERVAL * 20).await;
    let mut times = Vec::new();
    for _ in 0..6 {
        times.push(observation(&mut receiver).await.expect("a running task").at);
    }
    // Two had been made and waited, one was due at once, and the rest keep their distance.
    let paced = times[5] - times[2];
    assert!(paced >= INTERVAL * 3 / 2, "{paced:?}");
}

#[tokio::test]
async fn a_backend_without_a_check_passes_once() {
    let (sender, mut receiver) = mpsc::channel(8);
    let subject = subject(
        ([127, 0, 0, 1], 1).into(),
        Check::None,
        Duration::from_millis(1),
    );
    let _task = Task::spawn(subject, sender);
    let seen = observation(&mut receiver).await.expect("one observation");
    assert_eq!(seen.result.expect("a pass").summary, "not checked");
    assert!(observation(&mut receiver).await.is_none());
}

//! Slow starts, panics, and backends that are trusted before their first check.

use std::collections::BTreeMap;

use lb_common::backend::BackendState;

use super::*;
use crate::{dataplane::BackendEntry, desired::OnDown};

const SLOW_START: Duration = Duration::from_secs(32);

/// Two equal backends, under settings of the service's own.
fn two(change: impl Fn(&mut ServiceSettings)) -> Daemon {
    let mut settings = desired(&[("a", 1, false), ("b", 1, false)]);
    change(&mut settings.services[0]);
    Daemon::start(settings, FakeDataplane::default())
}

#[test]
fn a_backend_that_returns_gets_its_share_little_by_little() {
    let mut daemon = two(|service| service.slow_start = SLOW_START);
    daemon.check("a", PASS);
    daemon.check("b", PASS);
    let table: Vec<_> = daemon.owners().collect();
    assert!(
        daemon.slots("b").abs_diff(510) <= 1,
        "a first start is not slow"
    );

    daemon.check("b", FAIL);
    daemon.check("b", RECOVER);
    let mut before = 0;
    for second in 0..SLOW_START.as_secs() {
        // Of two backends, one has all of its weight, and the other so many sixteenths.
        let sixteenths = (second / 2).max(1) as usize;
        let share = 1021 * sixteenths / (16 + sixteenths);
        let slots = daemon.slots("b");
        assert!(
            slots.abs_diff(share) <= 1,
            "second {second}: {slots}, expected {share}"
        );
        assert!(slots >= before, "no slot is taken back");
        before = slots;
        assert!(daemon.state.is_starting());
        daemon.tick(Duration::from_secs(1), &Recorded::default());
    }
    assert!(!daemon.state.is_starting());
    let ended: Vec<_> = daemon.owners().collect();
    assert_eq!(ended, table, "it ends where it would be without");
}

#[test]
fn a_backend_that_fails_in_its_slow_start_begins_anew() {
    let mut daemon = two(|service| service.slow_start = SLOW_START);
    daemon.check("a", PASS);
    daemon.check("b", PASS);
    daemon.check("b", FAIL);
    daemon.check("b", RECOVER);
    daemon.tick(SLOW_START / 2, &Recorded::default());
    let half = daemon.slots("b");
    daemon.check("b", FAIL);
    assert_eq!(daemon.slots("b"), 0);
    daemon.check("b", RECOVER);
    assert!(
        daemon.slots("b") < half / 4,
        "{} after {half}",
        daemon.slots("b")
    );
}

#[test]
fn with_too_few_healthy_backends_all_are_used() {
    let mut daemon = two(|service| service.panic_below = 60);
    daemon.check("a", PASS);
    daemon.check("b", PASS);
    assert!(daemon.state.panicking().is_empty());
    daemon.check("b", FAIL);
    assert_eq!(
        daemon.state.panicking(),
        [("web".to_owned(), Family::V4)].into()
    );
    assert!(daemon.slots("b").abs_diff(510) <= 1);
    let state = |daemon: &Daemon| daemon.writer.applied().backends[&daemon.id("b")].state;
    assert_eq!(
        state(&daemon),
        BackendState::Alive,
        "its flows stay with it"
    );
    daemon.check("b", RECOVER);
    assert!(daemon.state.panicking().is_empty());
    assert_eq!(state(&daemon), BackendState::Alive);
}

#[test]
fn a_service_can_trust_backends_before_their_first_check() {
    let mut daemon = two(|service| service.health.starts_up = true);
    assert!(daemon.slots("a").abs_diff(510) <= 1);
    daemon.check("a", FAIL);
    assert_eq!((daemon.slots("a"), daemon.slots("b")), (0, 1021));
}

fn entry(daemon: &Daemon, backend: &str) -> BackendEntry {
    daemon.writer.applied().backends[&daemon.id(backend)]
}

#[test]
fn where_flows_are_kept_one_that_is_down_has_its_old_ones_and_no_new_ones() {
    let keep = |service: &mut ServiceSettings| service.on_down = OnDown::Keep;
    let mut daemon = two(keep);
    daemon.check("a", PASS);
    daemon.check("b", PASS);
    daemon.check("a", FAIL);
    assert_eq!(daemon.slots("a"), 0);
    assert_eq!(entry(&daemon, "a").state, BackendState::Alive);

    // Nor does the next daemon give it any.
    let mut settings = desired(&[("a", 1, false), ("b", 1, false)]);
    keep(&mut settings.services[0]);
    let applied = daemon.writer.applied().clone();
    let left = FakeDataplane {
        applied,
        ..FakeDataplane::default()
    };
    let mut next = Daemon::start(settings, left);
    assert_eq!((next.slots("a"), next.slots("b")), (0, 1021));
    assert_eq!(entry(&next, "a").state, BackendState::Alive);
    next.check("a", RECOVER);
    assert!(next.slots("a") > 0);
}

#[test]
fn one_whose_connections_fail_keeps_its_old_ones_and_comes_back() {
    let mut daemon = two(|service| {
        for backend in &mut service.backends {
            backend.passive.max_fails = 2;
        }
    });
    daemon.check("a", PASS);
    daemon.check("b", PASS);
    let id = daemon.id("a");
    let heed = |daemon: &mut Daemon, failures| {
        let changed = daemon
            .state
            .heed(&BTreeMap::from([(id, failures)]), daemon.now)
            .len();
        daemon.write();
        changed
    };
    // What failed before nobody knows when.
    assert_eq!(heed(&mut daemon, 100), 0);
    assert_eq!(heed(&mut daemon, 101), 0);
    assert_eq!(heed(&mut daemon, 102), 1);
    assert_eq!(daemon.slots("a"), 0);
    assert_eq!(entry(&daemon, "a").state, BackendState::Alive);
    daemon.now += Duration::from_secs(10);
    assert_eq!(heed(&mut daemon, 102), 1);
    assert!(daemon.slots("a") > 0);
}

#[test]
fn the_scheduler_is_told_weights_and_limits() {
    let mut daemon = two(|service| {
        service.scheduler = Scheduler::LeastConn;
        service.slow_start = SLOW_START;
        service.backends[0].weight = 3;
        service.backends[1].max_conns = 7;
    });
    daemon.check("a", PASS);
    assert_eq!(
        (entry(&daemon, "a").weight, entry(&daemon, "a").max_conns),
        (48, 0)
    );
    assert_eq!(
        (entry(&daemon, "b").weight, entry(&daemon, "b").max_conns),
        (0, 7)
    );
    daemon.check("b", PASS);
    assert_eq!(entry(&daemon, "b").weight, 16);
    daemon.check("a", FAIL);
    daemon.check("a", RECOVER);
    assert_eq!(entry(&daemon, "a").weight, 3);
}

#[test]
fn slots_of_a_pool_that_records_every_flow_do_not_wait_for_records() {
    let mut daemon = Daemon::of_two();
    daemon.come_to_rest();
    let mut by_turns = desired(&[("a", 1, false), ("b", 1, false)]);
    by_turns.services[0].scheduler = Scheduler::RoundRobin;
    daemon.reload(by_turns.clone());
    assert_eq!(daemon.in_state(SlotState::Transition), 1021);
    let recorded = Recorded {
        slots: (0..1021).map(|slot| (0, slot)).collect(),
        ..Recorded::default()
    };
    daemon.tick(TRANSITION, &recorded);
    daemon.tick(Duration::from_secs(1), &recorded);
    assert_eq!(daemon.in_state(SlotState::Stable), 1021);
    assert!(!daemon.writer.is_moving());
    // Nor do changes of the table make them move.
    by_turns.services[0].backends[0].weight = 5;
    daemon.reload(by_turns);
    assert_eq!(daemon.in_state(SlotState::Stable), 1021);
    assert_eq!(daemon.slots("a"), 851);
}

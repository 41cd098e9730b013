//! Slow starts, panics, and backends that are trusted before their first check.

use super::*;

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

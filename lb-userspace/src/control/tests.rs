//! The daemon's behaviour without I/O: states and events in, tables out, over a datapath in memory.

mod listeners;
mod membership;

use std::time::{Duration, Instant};

use lb_common::{
    backend::{BackendId, BackendState},
    service::IndexedBy,
    slot::SlotState,
};

use super::{service::Family, state::State, writer::Writer};
use crate::{
    dataplane::{Recorded, fake::FakeDataplane},
    desired::{
        BackendSettings, Check, DaemonSettings, Desired, Forward, HealthSettings, OnChange,
        Protocol, Redirect, Scheduler, ServiceSettings, Tables, Timeouts, XdpMode,
    },
    health::{Event, Health, schedule::Intervals},
    operator::Orders,
};

const TRANSITION: Duration = Duration::from_secs(60);

fn desired(backends: &[(&str, u16, bool)]) -> Desired {
    Desired {
        daemon: DaemonSettings {
            interfaces: vec!["eth0".into()],
            xdp_mode: XdpMode::Auto,
            redirect: Redirect::Auto,
            local_clients: false,
            bridges: Vec::new(),
            socket: "/run/shunt/shunt.sock".into(),
            http: None,
            pin_dir: "/sys/fs/bpf/shunt".into(),
            state_dir: "/var/lib/shunt".into(),
            seed: 0,
            tables: Tables::default(),
            timeouts: Timeouts {
                transition: TRANSITION,
                tcp: TRANSITION,
                half_open: Duration::from_secs(10),
                udp: Duration::from_secs(30),
            },
            snat_addresses: Vec::new(),
            on_change: OnChange::default(),
        },
        services: vec![ServiceSettings {
            name: "web".into(),
            listen: vec!["192.0.2.10:80".parse().unwrap()],
            protocol: Protocol::Tcp,
            forward: Forward::Nat,
            scheduler: Scheduler::Maglev,
            affinity: Duration::ZERO,
            on_down: Default::default(),
            min_active: 1,
            panic_below: 0,
            slow_start: Duration::ZERO,
            table_size: Some(1021),
            health: HealthSettings {
                check: Check::Tcp,
                address: None,
                port: None,
                intervals: Intervals {
                    steady: Duration::from_secs(2),
                    fast: Duration::from_secs(2),
                    down: Duration::from_secs(2),
                },
                timeout: Duration::from_secs(1),
                rise: 2,
                fall: 3,
                flap_window: Duration::ZERO,
                starts_up: false,
            },
            backends: (1..)
                .zip(backends)
                .map(|(host, &(name, weight, backup))| BackendSettings {
                    name: name.into(),
                    address: format!("10.0.0.{host}:8001").parse().unwrap(),
                    check_address: None,
                    weight,
                    backup,
                    max_conns: 0,
                    passive: Default::default(),
                })
                .collect(),
        }],
    }
}

/// The controller without its tasks.
struct Daemon {
    state: State,
    writer: Writer<FakeDataplane>,
    now: Instant,
}

impl Daemon {
    fn start(desired: Desired, dataplane: FakeDataplane) -> Self {
        let now = Instant::now();
        let writer = Writer::new(dataplane, now).unwrap();
        let state = State::new(desired, Orders::default(), writer.applied()).unwrap();
        let mut daemon = Self { state, writer, now };
        daemon.write();
        daemon
    }

    /// Two equal backends that have passed their first check.
    fn of_two() -> Self {
        let settings = desired(&[("a", 1, false), ("b", 1, false)]);
        let mut daemon = Self::start(settings, FakeDataplane::default());
        daemon.check("a", PASS);
        daemon.check("b", PASS);
        daemon
    }

    /// Long enough for every change to be over, with no flow recorded.
    fn come_to_rest(&mut self) {
        for _ in 0..4 {
            self.tick(TRANSITION, &Recorded::default());
        }
    }

    fn write(&mut self) {
        let target = self.state.target(self.writer.applied(), None, self.now);
        self.writer.reconcile(&target, self.now).unwrap();
    }

    fn reload(&mut self, desired: Desired) {
        self.state.reload(desired, self.writer.applied()).unwrap();
        self.write();
    }

    fn check(&mut self, backend: &str, events: &[Event]) {
        let id = self.id(backend);
        for &event in events {
            self.state.observe(id, event, String::new(), self.now);
        }
        self.write();
    }

    /// A tick, after `pause`, with these flows recorded.
    fn tick(&mut self, pause: Duration, recorded: &Recorded) {
        self.now += pause;
        self.state.forget_left(self.writer.applied(), recorded);
        let target = self
            .state
            .target(self.writer.applied(), Some(recorded), self.now);
        self.writer.reconcile(&target, self.now).unwrap();
        let state = &self.state;
        self.writer
            .step(recorded, self.now, |pool| state.transition(pool))
            .unwrap();
    }

    fn id(&self, backend: &str) -> BackendId {
        self.state
            .members()
            .find(|member| member.settings.name == backend)
            .unwrap()
            .id
    }

    fn slots(&self, backend: &str) -> usize {
        let id = self.id(backend);
        self.owners().filter(|&owner| owner == id).count()
    }

    fn owners(&self) -> impl Iterator<Item = BackendId> {
        let pools = self.writer.applied().pools.values();
        pools.flat_map(|pool| &pool.slots).map(|slot| slot.current)
    }

    fn in_state(&self, state: SlotState) -> usize {
        let pools = self.writer.applied().pools.values();
        pools
            .flat_map(|pool| &pool.slots)
            .filter(|slot| slot.state() == state)
            .count()
    }
}

const PASS: &[Event] = &[Event::Passed];
const FAIL: &[Event] = &[Event::Failed; 3];
const RECOVER: &[Event] = &[Event::Passed; 2];

#[test]
fn nobody_serves_before_its_first_check() {
    let mut daemon = Daemon::start(
        desired(&[("a", 1, false), ("b", 1, false)]),
        FakeDataplane::default(),
    );
    assert!(daemon.owners().all(|owner| owner == BackendId::NOBODY));
    daemon.check("a", PASS);
    assert_eq!(daemon.slots("a"), 1021);
    daemon.check("b", &[Event::Failed]);
    assert_eq!(daemon.slots("b"), 0);
    daemon.check("b", RECOVER);
    assert_eq!(daemon.slots("a") + daemon.slots("b"), 1021);
    assert!(daemon.slots("b").abs_diff(510) <= 1);
}

#[test]
fn a_failing_backend_is_ejected_and_a_backup_promoted_until_it_returns() {
    let mut daemon = Daemon::start(
        desired(&[("a", 3, false), ("b", 1, false), ("spare", 1, true)]),
        FakeDataplane::default(),
    );
    for backend in ["a", "b", "spare"] {
        daemon.check(backend, PASS);
    }
    assert_eq!(daemon.slots("spare"), 0);
    daemon.check("a", &[Event::Failed; 2]);
    assert!(daemon.slots("a") > 0, "two failures of three eject nobody");
    daemon.check("a", PASS);
    daemon.check("a", &[Event::Failed; 2]);
    assert!(daemon.slots("a") > 0, "failures count in a row");
    daemon.check("a", &[Event::Failed]);
    assert_eq!((daemon.slots("a"), daemon.slots("b")), (0, 1021));
    daemon.check("b", FAIL);
    assert_eq!(daemon.slots("spare"), 1021);
    daemon.check("b", RECOVER);
    assert_eq!((daemon.slots("b"), daemon.slots("spare")), (1021, 0));
}

#[test]
fn slots_that_moved_between_live_backends_become_stable_in_time() {
    let mut daemon = Daemon::of_two();
    let moved = daemon.in_state(SlotState::Transition);
    assert_eq!(moved, daemon.slots("b"));
    let none = Recorded::default();
    daemon.tick(TRANSITION / 2, &none);
    assert_eq!(daemon.in_state(SlotState::Transition), moved);
    daemon.tick(TRANSITION / 2, &none);
    assert_eq!(daemon.in_state(SlotState::Settled), moved);
    daemon.tick(Duration::from_secs(1), &none);
    assert_eq!(daemon.in_state(SlotState::Stable), 1021);
}

#[test]
fn a_backend_taken_out_of_the_file_serves_until_its_flows_are_gone() {
    let mut daemon = Daemon::of_two();
    daemon.come_to_rest();
    let b = daemon.id("b");
    daemon.reload(desired(&[("a", 1, false)]));
    let state = |daemon: &Daemon| daemon.writer.applied().backends.get(&b).map(|b| b.state);
    assert_eq!(state(&daemon), Some(BackendState::Alive));
    assert_eq!(daemon.slots("a"), 1021);

    let mut recorded = Recorded::default();
    recorded.backends.insert(b);
    for _ in 0..4 {
        daemon.tick(TRANSITION, &recorded);
    }
    assert_eq!(daemon.in_state(SlotState::Stable), 1021);
    assert_eq!(state(&daemon), Some(BackendState::Alive));
    // Back in the file, it is the same one, and healthy.
    daemon.reload(desired(&[("a", 1, false), ("b", 1, false)]));
    assert_eq!(daemon.id("b"), b);
    assert!(daemon.slots("b") > 0);
    daemon.reload(desired(&[("a", 1, false)]));
    daemon.come_to_rest();
    assert_eq!(state(&daemon), None);
}

#[test]
fn a_leaving_backend_that_dies_lets_its_flows_go() {
    let mut daemon = Daemon::of_two();
    let b = daemon.id("b");
    daemon.reload(desired(&[("a", 1, false)]));
    daemon.check("b", FAIL);
    assert_eq!(
        daemon.writer.applied().backends[&b].state,
        BackendState::Down
    );
}

#[test]
fn the_next_daemon_takes_over_what_the_last_one_left() {
    let settings = desired(&[("a", 3, false), ("b", 1, false), ("c", 1, false)]);
    let mut daemon = Daemon::start(settings.clone(), FakeDataplane::default());
    daemon.check("a", PASS);
    daemon.check("b", PASS);
    daemon.check("c", &[Event::Failed]);
    daemon.come_to_rest();
    let (a, before) = (daemon.id("a"), daemon.writer.applied().clone());

    let left = FakeDataplane {
        applied: before.clone(),
        ..FakeDataplane::default()
    };
    let mut next = Daemon::start(settings, left);
    assert_eq!(next.id("a"), a);
    assert_eq!(
        next.writer.applied(),
        &before,
        "nothing changes by taking over"
    );
    let health = |daemon: &Daemon, name: &str| {
        let member = daemon.state.members().find(|m| m.settings.name == name);
        member.map(|member| member.machine.health())
    };
    assert_eq!(health(&next, "a"), Some(Health::Up));
    assert_eq!(health(&next, "c"), Some(Health::Unknown));

    // A backend the new file does not know keeps its flows, and goes when they have gone.
    next.check("a", FAIL);
    let mut gone = Daemon::start(
        desired(&[("a", 3, false)]),
        FakeDataplane {
            applied: before,
            ..FakeDataplane::default()
        },
    );
    assert_eq!(gone.slots("a"), 1021);
    assert_eq!(gone.writer.applied().backends.len(), 3);
    gone.come_to_rest();
    assert_eq!(gone.writer.applied().backends.len(), 1);
}

#[test]
fn an_id_is_never_given_twice() {
    let mut daemon = Daemon::start(desired(&[("a", 1, false)]), FakeDataplane::default());
    daemon.check("a", PASS);
    let a = daemon.id("a");
    daemon.reload(desired(&[("x", 1, false)]));
    daemon.check("x", PASS);
    daemon.come_to_rest();
    assert!(!daemon.writer.applied().backends.contains_key(&a));
    daemon.reload(desired(&[("a", 1, false)]));
    assert_ne!(daemon.id("a"), a);
}

#[test]
fn a_write_that_failed_is_tried_again() {
    let mut daemon = Daemon::start(desired(&[("a", 1, false)]), FakeDataplane::default());
    daemon.writer.dataplane().failures = 1;
    let id = daemon.id("a");
    daemon
        .state
        .observe(id, Event::Passed, String::new(), daemon.now);
    let target = daemon
        .state
        .target(daemon.writer.applied(), None, daemon.now);
    assert!(daemon.writer.reconcile(&target, daemon.now).is_err());
    assert_eq!(daemon.slots("a"), 0);
    daemon.tick(Duration::from_secs(1), &Recorded::default());
    assert_eq!(daemon.slots("a"), 1021);
}

#[test]
fn another_scheduler_keeps_the_former_table_until_its_flows_have_shown_themselves() {
    let mut daemon = Daemon::of_two();
    daemon.come_to_rest();
    let mut by_client = desired(&[("a", 1, false), ("b", 1, false)]);
    by_client.services[0].scheduler = Scheduler::SourceHash;
    daemon.reload(by_client);
    let pool = |daemon: &Daemon| {
        let pool = &daemon.writer.applied().pools[&0];
        (pool.discipline.by, pool.former.as_ref().map(Vec::len))
    };
    assert_eq!(pool(&daemon), (IndexedBy::Client, Some(1021)));
    // Another change has to wait.
    daemon.reload(desired(&[("a", 1, false), ("b", 1, false)]));
    assert_eq!(pool(&daemon), (IndexedBy::Client, Some(1021)));
    for _ in 0..3 {
        daemon.tick(TRANSITION, &Recorded::default());
    }
    assert_eq!(pool(&daemon), (IndexedBy::Flow, Some(1021)));
}

#[test]
fn a_table_that_grows_keeps_the_former_one_until_its_flows_have_shown_themselves() {
    let mut daemon = Daemon::of_two();
    daemon.come_to_rest();
    let mut larger = desired(&[("a", 1, false), ("b", 1, false)]);
    larger.services[0].table_size = Some(2039);
    daemon.reload(larger);
    let pool = |daemon: &Daemon| {
        let pool = &daemon.writer.applied().pools[&0];
        (pool.slots.len(), pool.former.as_ref().map(Vec::len))
    };
    assert_eq!(pool(&daemon), (2039, Some(1021)));
    // Another change of size has to wait.
    daemon.reload(desired(&[("a", 1, false), ("b", 1, false)]));
    assert_eq!(pool(&daemon), (2039, Some(1021)));
    for _ in 0..3 {
        daemon.tick(TRANSITION, &Recorded::default());
    }
    assert_eq!(pool(&daemon), (1021, Some(2039)));
}

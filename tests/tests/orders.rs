//! What an operator orders: drain, maint, ready, weight. Kept when the daemon starts anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::{Client, session::Session},
    config::Config,
    daemon::{Daemon, backend},
    server::Server,
    topology::{Shape, Topology, vip},
};

const PORT: u16 = 80;
const PATIENCE: Duration = Duration::from_secs(20);

struct Setup {
    // Before what it is attached to.
    daemon: Daemon,
    _servers: Vec<Server>,
    topology: Topology,
}

impl Setup {
    fn new() -> Self {
        let topology = Topology::new(Shape::Local, 2).unwrap();
        let servers = topology.serve(Protocol::Tcp).unwrap();
        let service = topology.service("web", Protocol::Tcp, Family::V4, PORT);
        let config = Config::new(topology.interfaces()).service(service);
        Self {
            daemon: Daemon::start(&topology.lb, &config).unwrap(),
            _servers: servers,
            topology,
        }
    }

    fn order(&mut self, words: &[&str]) -> String {
        self.daemon.ask(words).unwrap()
    }

    fn client(&self) -> Client {
        Client::new(&self.topology.client)
    }

    /// Who answers a hundred new connections.
    fn answer(&self) -> BTreeMap<String, u64> {
        let asked = self
            .client()
            .spread(Protocol::Tcp, vip(Family::V4, PORT), 100, 2);
        asked.unwrap().all().unwrap()
    }

    /// An open connection to the backend of this name.
    fn session(&self, name: &str) -> Session {
        loop {
            let session = self.client().session(vip(Family::V4, PORT)).unwrap();
            if session.name() == name {
                return session;
            }
        }
    }

    /// Slots of b1 and b2.
    fn slots(&self) -> [u64; 2] {
        let status = self.daemon.status().unwrap();
        ["b1", "b2"].map(|name| backend(&status, name).unwrap()["slots"].as_u64().unwrap())
    }
}

fn is_in(status: &Value, state: &str, active: bool) -> bool {
    backend(status, "b1").is_some_and(|b1| b1["state"] == state && b1["active"] == active)
}

#[test]
fn a_drained_backend_keeps_what_is_open_also_under_the_next_daemon() {
    let mut setup = Setup::new();
    let mut session = setup.session("b1");
    let said = setup.order(&["drain", "web/b1"]);
    assert_eq!(
        said,
        "web/b1: drain; takes no new connections, and those that are open stay\n"
    );
    assert_eq!(setup.answer().keys().collect::<Vec<_>>(), ["b2"]);
    session.ping().unwrap();

    setup.daemon.kill().unwrap();
    setup.daemon.run().unwrap();
    let status = setup.daemon.wait_ready().unwrap();
    assert!(is_in(&status, "drain", false), "{status:#}");
    assert_eq!(setup.answer().keys().collect::<Vec<_>>(), ["b2"]);
    session.ping().unwrap();

    setup.order(&["ready", "web/b1"]);
    assert_eq!(setup.answer().keys().collect::<Vec<_>>(), ["b1", "b2"]);
    session.ping().unwrap();
    let status = setup.daemon.status().unwrap();
    assert!(is_in(&status, "ready", true), "{status:#}");
}

#[test]
fn drain_waits_until_nothing_is_open() {
    let setup = Setup::new();
    let session = setup.session("b1");
    let drain = |words: &[&str]| setup.daemon.ask(&[&["drain", "web/b1"], words].concat());
    let error = format!("{:#}", drain(&["--deadline", "1s"]).unwrap_err());
    assert!(error.contains("web/b1: 1 open"), "{error}");

    let said = thread::scope(|scope| {
        let waits = scope.spawn(|| drain(&["--wait"]));
        thread::sleep(Duration::from_millis(1500));
        assert!(!waits.is_finished());
        drop(session);
        waits.join().unwrap()
    });
    let said = said.unwrap();
    assert!(said.ends_with("web/b1: 1 open\nweb/b1: 0 open\n"), "{said}");
}

#[test]
fn a_backend_in_maintenance_takes_nothing_and_comes_back() {
    let mut setup = Setup::new();
    setup.order(&["maint", "web/b1"]);
    assert_eq!(setup.answer().keys().collect::<Vec<_>>(), ["b2"]);
    let status = setup.daemon.status().unwrap();
    assert!(is_in(&status, "maint", false), "{status:#}");
    setup.order(&["ready", "web/b1"]);
    assert_eq!(setup.answer().keys().collect::<Vec<_>>(), ["b1", "b2"]);
}

#[test]
fn a_weight_changes_the_share_until_it_is_as_configured_again() {
    let mut setup = Setup::new();
    let [even, other] = setup.slots();
    assert!(even.abs_diff(other) <= 1, "{even} and {other}");
    setup.order(&["weight", "web/b1", "3"]);
    let [more, less] = setup.slots();
    assert!(more.abs_diff(3 * less) <= 3, "{more} and {less}");
    setup.order(&["weight", "web/b1", "0"]);
    assert_eq!(setup.slots()[0], 0);
    setup.order(&["weight", "web/b1", "configured"]);
    assert_eq!(setup.slots(), [even, other]);
}

#[test]
fn an_order_for_nobody_says_who_there_is() {
    let mut setup = Setup::new();
    let error = setup.daemon.ask(&["drain", "web/b9"]).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("shunt: found web/b9, expected one of web/b1, web/b2"),
        "{text}"
    );
    setup
        .daemon
        .wait_status("nothing has changed", PATIENCE, |status| {
            is_in(status, "ready", true)
        })
        .unwrap();
}

//! A failed backend is ejected in time and gets no new connection; a backup takes over and stands down again.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeSet,
    env,
    time::{Duration, Instant},
};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::{
        Client,
        session::Session,
        traffic::{Question, Traffic, summary},
    },
    config::{Backend, Config, Service},
    daemon::{Daemon, backend},
    needs,
    server::Server,
    topology::{Shape, Topology, vip},
};

const PORT: u16 = 80;
const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(400);
const FALL: u32 = 2;

/// For the machine, which runs other tests at the same time, or is emulated: there, asking for the status alone takes
/// a second.
fn slack() -> Duration {
    if env::var_os(needs::IN_GUEST).is_some() {
        Duration::from_secs(3)
    } else {
        Duration::from_millis(300)
    }
}

fn health(kind: &str) -> String {
    format!(
        "{kind}\ninterval = \"{}ms\"\ntimeout = \"{}ms\"\nrise = 2\nfall = {FALL}\n",
        INTERVAL.as_millis(),
        TIMEOUT.as_millis()
    )
}

fn service(topology: &Topology, family: Family) -> Service {
    topology
        .service("web", Protocol::Tcp, family, PORT)
        .health(&health("type = \"tcp\""))
}

fn is(status: &Value, name: &str, health: &str) -> bool {
    backend(status, name).is_some_and(|backend| backend["health"] == health)
}

fn is_active(status: &Value, name: &str) -> bool {
    backend(status, name).is_some_and(|backend| backend["active"] == true)
}

fn ejects_in_time(topology: &Topology, family: Family, fail: impl FnOnce(&mut Vec<Server>)) {
    let mut servers = topology.serve(Protocol::Tcp).unwrap();
    let config = Config::new(topology.interfaces()).service(service(topology, family));
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    let client = Client::new(&topology.client).patience(TIMEOUT);
    let traffic = Traffic::start(
        &client,
        Question::Name(Protocol::Tcp),
        vip(family, PORT),
        4,
        Duration::from_millis(5),
    );
    std::thread::sleep(Duration::from_millis(300));

    let failed = Instant::now();
    fail(&mut servers);
    daemon
        .wait_status("b1 is ejected", PATIENCE, |status| is(status, "b1", "down"))
        .unwrap();
    let took = failed.elapsed();
    let ejected = Instant::now();
    std::thread::sleep(2 * TIMEOUT + Duration::from_secs(1));
    let samples = traffic.finish().unwrap();

    let limit = INTERVAL * FALL + TIMEOUT;
    println!("{family}: ejected after {took:?}, limit {limit:?}");
    assert!(
        took <= limit + slack(),
        "ejected after {took:?}, limit {limit:?}"
    );
    let (after, before): (Vec<_>, Vec<_>) = samples
        .into_iter()
        .partition(|sample| sample.start > ejected);
    let (before, after) = (summary(before), summary(after));
    println!(
        "{} of {} requests failed until then, {} of {} afterwards",
        before.failed(),
        before.failed() + before.answered(),
        after.failed(),
        after.failed() + after.answered()
    );
    assert!(before.failed() > 0, "b1 was never asked while it was dead");
    assert!(after.answered() > 20, "{after:?}");
    assert_eq!((after.failed(), after.of("b1")), (0, 0), "{after:?}");
}

#[test]
fn a_backend_that_refuses_is_ejected_in_time() {
    let topology = Topology::new(Shape::Gateway, 3).unwrap();
    ejects_in_time(&topology, Family::V4, |servers| drop(servers.remove(0)));
}

#[test]
fn a_backend_that_vanishes_is_ejected_in_time() {
    let topology = Topology::new(Shape::Bridge, 3).unwrap();
    let lost = topology.backends[0].netns.clone();
    ejects_in_time(&topology, Family::V6, |_| {
        lost.ip("link set eth0 down").unwrap();
    });
}

#[test]
fn backups_serve_while_primaries_cannot_and_stand_down() {
    let topology = Topology::new(Shape::Local, 3).unwrap();
    let mut service = service(&topology, Family::V4);
    service.backends[2].backup = true;
    let config = Config::new(topology.interfaces()).service(service);
    let mut servers = topology.serve(Protocol::Tcp).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    let client = Client::new(&topology.client);
    let ask = || {
        client
            .spread(Protocol::Tcp, vip(Family::V4, PORT), 100, 2)
            .unwrap()
            .all()
            .unwrap()
    };
    assert!(!is_active(&daemon.status().unwrap(), "b3"));
    assert_eq!(ask().keys().collect::<Vec<_>>(), ["b1", "b2"]);

    let spare = servers.pop();
    drop(servers);
    daemon
        .wait_status("the backup is promoted", PATIENCE, |status| {
            is(status, "b1", "down") && is(status, "b2", "down") && is_active(status, "b3")
        })
        .unwrap();
    assert_eq!(ask(), [("b3".to_owned(), 100)].into());

    let _back = topology.backends[1].serve(Protocol::Tcp).unwrap();
    daemon
        .wait_status("the backup stands down", PATIENCE, |status| {
            is(status, "b2", "up") && !is_active(status, "b3")
        })
        .unwrap();
    assert_eq!(ask(), [("b2".to_owned(), 100)].into());
    drop(spare);
}

#[test]
fn as_many_backups_serve_as_primaries_are_missing() {
    let topology = Topology::new(Shape::Local, 6).unwrap();
    let mut service = service(&topology, Family::V4).options("min_active = 4");
    for backup in &mut service.backends[4..] {
        backup.backup = true;
    }
    let config = Config::new(topology.interfaces()).service(service);
    let mut servers = topology.serve(Protocol::Tcp).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    let client = Client::new(&topology.client);
    let answer = || {
        let asked = client.spread(Protocol::Tcp, vip(Family::V4, PORT), 200, 2);
        asked
            .unwrap()
            .all()
            .unwrap()
            .into_keys()
            .collect::<Vec<_>>()
    };
    assert_eq!(answer(), ["b1", "b2", "b3", "b4"]);
    // Each opens its sessions by itself, so that those of the dead can be left out.
    let sessions = || {
        let mut sessions: Vec<Session> = (0..60)
            .map(|_| client.session(vip(Family::V4, PORT)).unwrap())
            .collect();
        sessions.retain(|session| !["b1", "b2"].contains(&session.name()));
        sessions
    };
    let mut healthy = sessions();
    assert!(healthy.len() > 10, "{}", healthy.len());

    servers.drain(..2);
    daemon
        .wait_status("both backups are promoted", PATIENCE, |status| {
            ["b3", "b4", "b5", "b6"]
                .iter()
                .all(|name| is_active(status, name))
                && ["b1", "b2"].iter().all(|name| is(status, name, "down"))
        })
        .unwrap();
    assert_eq!(answer(), ["b3", "b4", "b5", "b6"]);
    healthy.extend(sessions());

    let _first = topology.backends[0].serve(Protocol::Tcp).unwrap();
    daemon
        .wait_status("the second backup stands down", PATIENCE, |status| {
            is_active(status, "b1") && is_active(status, "b5") && !is_active(status, "b6")
        })
        .unwrap();
    let _second = topology.backends[1].serve(Protocol::Tcp).unwrap();
    daemon
        .wait_status("the first backup stands down", PATIENCE, |status| {
            is_active(status, "b2") && !is_active(status, "b5") && !is_active(status, "b6")
        })
        .unwrap();
    assert_eq!(answer(), ["b1", "b2", "b3", "b4"]);
    // Also those of the backups, which are as healthy as ever.
    let holders: BTreeSet<&str> = healthy.iter().map(Session::name).collect();
    assert!(
        holders.contains("b5") && holders.contains("b6"),
        "{holders:?}"
    );
    for session in &mut healthy {
        session.ping().unwrap();
    }
}

#[test]
fn a_service_without_a_healthy_backend_drops_and_says_so() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let config = Config::new(topology.interfaces()).service(service(&topology, Family::V4));
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    daemon
        .wait_status("b1 is found dead", PATIENCE, |status| {
            is(status, "b1", "down")
        })
        .unwrap();
    let client = Client::new(&topology.client).patience(Duration::from_millis(500));
    client
        .ask(Protocol::Tcp, vip(Family::V4, PORT))
        .unwrap_err();
    let status = daemon.status().unwrap();
    assert!(
        status["verdicts"]["drop_no_backend"].as_u64().unwrap() > 0,
        "{status:#}"
    );

    let _server = topology.backends[0].serve(Protocol::Tcp).unwrap();
    daemon
        .wait_status("b1 is back", PATIENCE, |status| is(status, "b1", "up"))
        .unwrap();
    client.ask(Protocol::Tcp, vip(Family::V4, PORT)).unwrap();
}

#[test]
fn a_wrong_file_changes_nothing_and_says_why() {
    let topology = Topology::new(Shape::Local, 2).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let good = Config::new(topology.interfaces()).service(service(&topology, Family::V4));
    let mut daemon = Daemon::start(&topology.lb, &good).unwrap();
    let before = daemon.status().unwrap();
    let mut wrong = good.clone();
    wrong.services[0].backends[0] = Backend::new("b1", topology.backends[0].address(Family::V4));
    wrong.services[0].backends[0].weight = 300;
    daemon.write_config(&wrong).unwrap();
    daemon.reload().unwrap();
    let says_why = |daemon: &Daemon| {
        let log = daemon.log();
        log.contains("not reloaded") && log.contains("found 300")
    };
    shunt_tests::wait::wait_for("the log says why", PATIENCE, || {
        anyhow::ensure!(says_why(&daemon), "{}", daemon.log());
        Ok(())
    })
    .unwrap();
    let after = daemon.status().unwrap();
    let shape = |status: &Value| {
        shunt_tests::daemon::backends(status)
            .map(|b| (b["name"].clone(), b["weight"].clone(), b["slots"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&before), shape(&after));
    let client = Client::new(&topology.client);
    client.ask(Protocol::Tcp, vip(Family::V4, PORT)).unwrap();
}

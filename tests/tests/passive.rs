//! `max_fails`: clients' own connections say that a backend fails, where nothing checks it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::{Backend, Config, Service},
    daemon::{Daemon, backend},
    needs,
    topology::{Shape, Topology, vip},
    wait::wait_for,
};

const PORT: u16 = 80;
const PATIENCE: Duration = Duration::from_secs(60);

fn config(topology: &Topology, forward: &str, family: Family) -> Config {
    let web = Service::new("web", Protocol::Tcp, &[vip(family, PORT)])
        .options(&format!(
            "scheduler = \"round-robin\"\nforward = {forward:?}"
        ))
        .health("type = \"none\"");
    let hosts = topology.backends.iter();
    let web = hosts.fold(web, |web, host| {
        let mut backend = Backend::new(&host.name, host.address(family));
        backend.options = "max_fails = 2\nfail_timeout = \"2s\"".to_owned();
        web.backend(backend)
    });
    Config::new(topology.interfaces()).service(web)
}

fn is_out(status: &Value, name: &str) -> bool {
    backend(status, name).is_some_and(|backend| backend["out_seconds"].is_number())
}

/// Asks until the backend is out; then everybody is answered, by others.
fn fails(topology: &Topology, daemon: &Daemon, vip: SocketAddr, name: &str) {
    let client = Client::new(&topology.client).patience(Duration::from_millis(2500));
    wait_for("the backend is out", PATIENCE, || {
        let _ = client.session(vip);
        ensure!(is_out(&daemon.status()?, name));
        Ok(())
    })
    .unwrap();
    // It comes back, for a moment, some time: then it fails again.
    let answered = client
        .spread(Protocol::Tcp, vip, 20, 1)
        .unwrap()
        .all()
        .unwrap();
    assert!(!answered.contains_key(name), "{answered:?}");
}

#[test]
fn a_backend_that_refuses_is_out_for_longer_each_time_and_comes_back() {
    for forward in ["nat", "fullnat"] {
        let topology = Topology::new(Shape::Gateway, 3).unwrap();
        let hosts = topology.backends.iter();
        let mut servers: Vec<_> = hosts
            .map(|host| Some(host.serve(Protocol::Tcp).unwrap()))
            .collect();
        let config = config(&topology, forward, Family::V4);
        let daemon = Daemon::start(&topology.lb, &config).unwrap();
        let vip = vip(Family::V4, PORT);
        let client = Client::new(&topology.client);
        let answered = client
            .spread(Protocol::Tcp, vip, 30, 1)
            .unwrap()
            .all()
            .unwrap();
        assert_eq!(answered.len(), 3, "{forward}: {answered:?}");

        servers[0] = None;
        fails(&topology, &daemon, vip, "b1");
        let log = daemon.log();
        assert!(log.contains("connections failed"), "{forward}: {log}");

        servers[0] = Some(topology.backends[0].serve(Protocol::Tcp).unwrap());
        wait_for("the backend is in again", PATIENCE, || {
            let answered = client.spread(Protocol::Tcp, vip, 6, 1)?.all()?;
            ensure!(answered.contains_key("b1"), "{answered:?}");
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_backend_that_does_not_answer_is_out() {
    for (forward, family) in [("nat", Family::V6), ("fullnat", Family::V4)] {
        let topology = Topology::new(Shape::Gateway, 3).unwrap();
        let _servers = topology.serve(Protocol::Tcp).unwrap();
        let config = config(&topology, forward, family);
        let daemon = Daemon::start(&topology.lb, &config).unwrap();
        topology.backends[1].netns.ip("link set eth0 down").unwrap();
        let begin = Instant::now();
        fails(&topology, &daemon, vip(family, PORT), "b2");
        println!("{forward}, {family}: out after {:?}", begin.elapsed());
    }
}

/// Who only ever answers is in, whatever else goes wrong on the way.
#[test]
fn a_flood_that_nobody_ends_takes_nobody_out() {
    let topology = Topology::new(Shape::Gateway, 2).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let config = config(&topology, "nat", Family::V4);
    let daemon = Daemon::start(&topology.lb, &config).unwrap();
    let client = Client::new(&topology.client);
    let count = needs::repetitions(2000, 200);
    for _ in 0..2 {
        let spread = client.spread(Protocol::Tcp, vip(Family::V4, PORT), count, 4);
        spread.unwrap().all().unwrap();
    }
    let status = daemon.status().unwrap();
    assert!(!is_out(&status, "b1") && !is_out(&status, "b2"), "{status}");
}

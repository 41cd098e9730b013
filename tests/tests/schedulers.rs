//! `scheduler`: who gets which new flow.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::ensure;
use shunt_tests::{
    Family, Protocol,
    client::{Client, session::Sessions},
    config::Config,
    daemon::Daemon,
    needs,
    topology::{Shape, Topology, vip},
    wait::wait_for,
};

const PORT: u16 = 80;
const SOURCE_HASH: &str = "scheduler = \"source-hash\"";

fn config(topology: &Topology, options: &str) -> Config {
    let mut config = Config::new(topology.interfaces()).timeouts("transition = \"2s\"\n");
    for family in Family::BOTH {
        let name = format!("web-{family}");
        let service = topology.service(&name, Protocol::Tcp, family, PORT);
        config = config.service(service.options(options));
    }
    config
}

/// Gives the client an address, which it uses towards the VIP from then on.
fn become_client(topology: &Topology, family: Family, n: u64) {
    let (address, length, vip) = match family {
        Family::V4 => (format!("10.1.0.{}", 100 + n), "24", vip(family, PORT).ip()),
        Family::V6 => (format!("fd00:1::{}", 100 + n), "64", vip(family, PORT).ip()),
    };
    let gateway = match family {
        Family::V4 => "10.1.0.1",
        Family::V6 => "fd00:1::1",
    };
    let commands = format!(
        "addr add {address}/{length} dev eth0{}\nroute replace {vip} via {gateway} src {address}",
        if family == Family::V6 { " nodad" } else { "" }
    );
    topology.client.ip(&commands).unwrap();
}

#[test]
fn by_source_hash_a_client_stays_with_one_backend_and_clients_spread() {
    let topology = Topology::new(Shape::Local, 4).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let _daemon = Daemon::start(&topology.lb, &config(&topology, SOURCE_HASH)).unwrap();
    let client = Client::new(&topology.client);
    let clients = needs::repetitions(60, 20);
    for family in Family::BOTH {
        let mut holders = BTreeMap::<String, u64>::new();
        for n in 0..clients {
            become_client(&topology, family, n);
            let spread = client
                .spread(Protocol::Tcp, vip(family, PORT), 8, 2)
                .unwrap();
            let answered = spread.all().unwrap();
            assert_eq!(answered.len(), 1, "{family}, client {n}: {answered:?}");
            for name in answered.into_keys() {
                *holders.entry(name).or_default() += 1;
            }
        }
        println!("{family}: {holders:?}");
        // None of four gets more than half of so many but once in a million runs.
        assert!(holders.len() >= 3, "{holders:?}");
        assert!(
            holders.values().all(|&count| count <= clients * 2 / 3),
            "{holders:?}"
        );
    }
}

#[test]
fn clients_on_the_load_balancer_itself_are_one_source() {
    let topology = Topology::new(Shape::Bridge, 4).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let _daemon = Daemon::start(&topology.lb, &config(&topology, SOURCE_HASH)).unwrap();
    let client = Client::new(&topology.lb);
    let spread = client.spread(Protocol::Tcp, vip(Family::V4, PORT), 40, 2);
    let answered = spread.unwrap().all().unwrap();
    assert_eq!(answered.len(), 1, "{answered:?}");
}

#[test]
fn connections_outlive_another_scheduler() {
    let topology = Topology::new(Shape::Gateway, 4).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, "")).unwrap();
    let client = Client::new(&topology.client);
    let pause = Duration::from_millis(20);
    let sessions = Sessions::open(&client, vip(Family::V4, PORT), 100, pause).unwrap();
    for options in [SOURCE_HASH, "", SOURCE_HASH] {
        let name = if options.is_empty() {
            "maglev"
        } else {
            "source-hash"
        };
        daemon.write_config(&config(&topology, options)).unwrap();
        daemon.reload().unwrap();
        daemon
            .wait_status(name, Duration::from_secs(60), |status| {
                let services = status["services"].as_array().into_iter().flatten();
                let mut pools = services
                    .clone()
                    .flat_map(|service| service["pools"].as_array().into_iter().flatten());
                services.clone().all(|service| service["scheduler"] == name)
                    && pools.all(|pool| pool["transition"] == 0)
            })
            .unwrap();
    }
    // It has to wait until the former change is through.
    wait_for("one backend", Duration::from_secs(60), || {
        let answered = client.spread(Protocol::Tcp, vip(Family::V4, PORT), 40, 2)?;
        let answered = answered.all()?;
        ensure!(answered.len() == 1, "{answered:?}");
        Ok(())
    })
    .unwrap();
    let report = sessions.finish().unwrap();
    assert_eq!(report.broken, Vec::<String>::new());
    assert_eq!(report.alive.len(), 100);
    let holders: BTreeSet<String> = report.alive.into_iter().collect();
    assert_eq!(holders.len(), 4, "{holders:?}");
}

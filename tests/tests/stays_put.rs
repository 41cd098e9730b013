//! A connection stays where it is while its backend lives: through changes of weights, backends and the table's size,
//! and without the daemon.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeMap, env, thread, time::Duration};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::{Client, session::Sessions},
    config::{Backend, Config},
    daemon::Daemon,
    needs,
    topology::{Shape, Topology, vip},
};

const PORT: u16 = 80;
const SESSIONS: usize = 200;
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// `weights` by the number of the backend; those without one are not in the configuration.
fn config(topology: &Topology, weights: &[(usize, u16)], options: &str, timeouts: &str) -> Config {
    let mut config = Config::new(topology.interfaces()).timeouts(timeouts);
    for family in Family::BOTH {
        let mut service = topology
            .service(&format!("web-{family}"), Protocol::Tcp, family, PORT)
            .options(options);
        service.backends = weights
            .iter()
            .map(|&(n, weight)| {
                let host = &topology.backends[n - 1];
                Backend::new(&host.name, host.address(family)).weight(weight)
            })
            .collect();
        config = config.service(service);
    }
    config
}

/// Short, so that slots settle and become stable while sessions are watched; longer than any is silent, which on an
/// emulated machine takes seconds.
fn transition(seconds: u32) -> String {
    let is_emulated = env::var_os(needs::IN_GUEST).is_some();
    let seconds = if is_emulated { seconds * 6 } else { seconds };
    format!("transition = \"{seconds}s\"\n")
}

fn reload(daemon: &mut Daemon, config: &Config) {
    let names: BTreeMap<String, u16> = config.services[0]
        .backends
        .iter()
        .map(|backend| (backend.name.clone(), backend.weight))
        .collect();
    daemon.write_config(config).unwrap();
    daemon.reload().unwrap();
    let is_there = |status: &Value| {
        let found: BTreeMap<String, u16> = status["services"][0]["backends"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|b| {
                let weight = b["weight"].as_u64().unwrap_or_default() as u16;
                (b["name"].as_str().unwrap_or_default().to_owned(), weight)
            })
            .collect();
        found == names && all_checked(status)
    };
    daemon
        .wait_status("the reloaded configuration", PATIENCE, is_there)
        .unwrap();
}

fn all_checked(status: &Value) -> bool {
    shunt_tests::daemon::backends(status).all(|backend| backend["health"] == "up")
}

fn sum(status: &Value, key: &str) -> u64 {
    status["services"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|service| service["pools"].as_array().into_iter().flatten())
        .filter_map(|pool| pool[key].as_u64())
        .sum()
}

#[test]
fn two_hundred_connections_outlive_backends_that_come_and_go_and_new_weights() {
    let topology = Topology::new(Shape::Gateway, 6).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let timeouts = &transition(3);
    let start = [(1, 3), (2, 2), (3, 1), (4, 1)];
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, &start, "", timeouts)).unwrap();
    let client = Client::new(&topology.client);
    let sessions: Vec<Sessions> = Family::BOTH
        .into_iter()
        .map(|family| Sessions::open(&client, vip(family, PORT), SESSIONS / 2, PAUSE).unwrap())
        .collect();

    let changes: &[&[(usize, u16)]] = &[
        &[(1, 1), (2, 1), (3, 1), (4, 1)],
        &[(1, 1), (2, 1), (3, 1), (4, 1), (5, 4)],
        &[(1, 1), (2, 1), (4, 1), (5, 4)],
        &[(1, 1), (2, 1), (4, 1), (5, 4), (6, 2)],
        &[(1, 0), (2, 1), (4, 1), (6, 2)],
        &[(2, 1), (3, 1), (4, 100)],
        &[(1, 1), (5, 1), (6, 1)],
        &start,
    ];
    let mut recorded = 0;
    for weights in changes {
        reload(&mut daemon, &config(&topology, weights, "", timeouts));
        // New connections between the changes, so that later owners have flows too.
        for family in Family::BOTH {
            client
                .spread(Protocol::Tcp, vip(family, PORT), 50, 2)
                .unwrap()
                .all()
                .unwrap();
        }
        recorded = recorded.max(
            daemon.status().unwrap()["flows"]["recorded"]
                .as_u64()
                .unwrap(),
        );
        thread::sleep(Duration::from_millis(700));
    }
    assert!(
        recorded > 0,
        "no change touched any of {SESSIONS} connections"
    );
    // Slots move on to settled, and with some flows recorded stay there.
    daemon
        .wait_status("no slot is in transition", PATIENCE, |status| {
            sum(status, "transition") == 0
        })
        .unwrap();
    let mut alive = 0;
    for sessions in sessions {
        let report = sessions.finish().unwrap();
        assert_eq!(report.broken, Vec::<String>::new());
        alive += report.alive.len();
        let holders: BTreeMap<_, u32> =
            report.alive.iter().fold(BTreeMap::new(), |mut map, name| {
                *map.entry(name.clone()).or_default() += 1;
                map
            });
        assert!(holders.len() >= 3, "{holders:?}");
        assert!(report.pings > 10 * SESSIONS as u64 / 2, "{}", report.pings);
    }
    assert_eq!(alive, SESSIONS);
}

#[test]
fn connections_outlive_a_table_of_another_size() {
    let topology = Topology::new(Shape::Bridge, 4).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let weights = [(1, 1), (2, 1), (3, 1), (4, 1)];
    let timeouts = &transition(2);
    let with_size = |size: u32| {
        config(
            &topology,
            &weights,
            &format!("table_size = {size}"),
            timeouts,
        )
    };
    let mut daemon = Daemon::start(&topology.lb, &with_size(1021)).unwrap();
    let client = Client::new(&topology.client);
    let sessions = Sessions::open(&client, vip(Family::V4, PORT), 100, PAUSE).unwrap();
    for size in [4093, 1021, 65_537] {
        daemon.write_config(&with_size(size)).unwrap();
        daemon.reload().unwrap();
        daemon
            .wait_status("the new size, stable again", PATIENCE, |status| {
                sum(status, "size") == u64::from(size) * 2 && sum(status, "transition") == 0
            })
            .unwrap();
    }
    let report = sessions.finish().unwrap();
    assert_eq!(report.broken, Vec::<String>::new());
    assert_eq!(report.alive.len(), 100);
}

#[test]
fn while_nothing_changes_the_flow_table_stays_empty() {
    let topology = Topology::new(Shape::Local, 4).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let weights = [(1, 3), (2, 2), (3, 1), (4, 1)];
    let timeouts = "transition = \"500ms\"\n";
    let mut daemon =
        Daemon::start(&topology.lb, &config(&topology, &weights, "", timeouts)).unwrap();
    // First checks came in one by one, and so did the backends.
    let before = daemon
        .wait_status("every slot is stable", PATIENCE, |status| {
            sum(status, "stable") == sum(status, "size")
        })
        .unwrap();
    let client = Client::new(&topology.client);
    let connections = needs::repetitions(10_000, 2_000);
    for family in Family::BOTH {
        client
            .spread(Protocol::Tcp, vip(family, PORT), connections / 2, 4)
            .unwrap()
            .all()
            .unwrap();
    }
    let after = daemon.status().unwrap();
    let grown = |event: &str| {
        let count = |status: &Value| status["events"][event].as_u64().unwrap();
        count(&after) - count(&before)
    };
    println!(
        "{connections} connections: {} packets by the hash alone, {} flows recorded",
        grown("select_stable"),
        grown("flow_recorded")
    );
    assert!(grown("select_stable") >= connections * 3);
    assert_eq!(grown("flow_recorded"), 0);
    assert_eq!(after["flows"]["recorded"], 0);
}

#[test]
fn packets_do_not_need_the_daemon_and_the_next_one_takes_over() {
    let topology = Topology::new(Shape::Gateway, 3).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let config = config(&topology, &[(1, 1), (2, 1), (3, 1)], "", "");
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    let client = Client::new(&topology.client);
    let sessions = Sessions::open(&client, vip(Family::V4, PORT), 100, PAUSE).unwrap();
    let before = daemon.status().unwrap();
    for _ in 0..3 {
        daemon.kill().unwrap();
        let spread = client
            .spread(Protocol::Tcp, vip(Family::V6, PORT), 200, 2)
            .unwrap();
        assert_eq!(spread.retries, 0, "{spread:?}");
        assert_eq!(spread.all().unwrap().len(), 3);
        daemon.run().unwrap();
        daemon.wait_ready().unwrap();
    }
    let after = daemon.status().unwrap();
    let packets = |status: &Value| shunt_tests::daemon::verdicts(status, "forward_");
    assert!(
        packets(&after) > packets(&before) + 600,
        "counters go on counting"
    );
    assert_eq!(sum(&after, "transition"), sum(&before, "transition"));
    let report = sessions.finish().unwrap();
    assert_eq!(report.broken, Vec::<String>::new());
    assert_eq!(report.alive.len(), 100);
}

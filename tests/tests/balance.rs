//! In each way that backends are reached, both families, TCP and UDP: new flows spread by weight, replies come back,
//! and whoever talks to a backend directly is left alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::Config,
    daemon::{Daemon, verdicts},
    needs,
    topology::{Shape, Topology, vip},
};

const PORT: u16 = 80;
const THREADS: usize = 4;

#[test]
fn backends_on_other_hosts_whose_gateway_this_host_is() {
    balances(Shape::Gateway, "");
}

#[test]
fn backends_that_are_processes_on_this_host() {
    balances(Shape::Local, "");
}

#[test]
fn backends_behind_a_bridge_on_this_host() {
    balances(Shape::Bridge, "");
}

#[test]
fn generic_mode() {
    for shape in Shape::ALL {
        balances(shape, "xdp_mode = \"generic\"\nredirect = \"never\"");
    }
}

/// Everything a service does is asked of four at once: each family and protocol.
fn balances(shape: Shape, options: &str) {
    let topology = Topology::new(shape, 3).unwrap();
    let config = config(&topology, options);
    let mut servers = Vec::new();
    for protocol in Protocol::BOTH {
        servers.extend(topology.serve(protocol).unwrap());
    }
    let daemon = Daemon::start(&topology.lb, &config).unwrap();
    let client = Client::new(&topology.client);
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            let what = format!("{shape:?} {family} {protocol}");
            spreads(&what, &client, &daemon, protocol, family);
            leaves_direct_flows_alone(&what, &topology, &client, &daemon, protocol, family);
        }
    }
    let status = daemon.status().unwrap();
    assert_eq!(verdicts(&status, "drop"), 0, "{shape:?}: {status:#}");
}

fn config(topology: &Topology, options: &str) -> Config {
    let mut config = Config::new(topology.interfaces()).daemon(options);
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            let name = format!("{family}-{protocol}");
            let mut service = topology.service(&name, protocol, family, PORT);
            service.backends[0].weight = 2;
            config = config.service(service);
        }
    }
    config
}

fn spreads(what: &str, client: &Client, daemon: &Daemon, protocol: Protocol, family: Family) {
    let flows = needs::repetitions(1_000, 250);
    let before = daemon.status().unwrap();
    let spread = client
        .spread(protocol, vip(family, PORT), flows, THREADS)
        .unwrap();
    let after = daemon.status().unwrap();
    // On an emulated machine an answer may come later than a client is patient.
    let late = needs::repetitions(0, flows / 10);
    assert!(
        spread.retries <= late,
        "{what}: packets were lost: {spread:?}"
    );
    let counts = spread.all().unwrap();
    for (name, share) in [("b1", 0.5), ("b2", 0.25), ("b3", 0.25)] {
        let found = counts.get(name).copied().unwrap_or(0) as f64;
        let expected = share * flows as f64;
        // Chance goes that far once in some hundred thousand runs.
        let deviation = (expected * (1.0 - share)).sqrt();
        assert!(
            (found - expected).abs() <= 5.0 * deviation,
            "{what}: {name} answered {found}, expected about {expected}: {counts:?}"
        );
    }
    // The kernel alone would make no client of the VIP happy, but only the datapath counts.
    let forwarded = grown(&before, &after, "forward_");
    let replied = grown(&before, &after, "reply_") + grown(&before, &after, "egress_reply");
    assert!(forwarded >= flows, "{what}: {forwarded} packets forwarded");
    assert!(replied >= flows, "{what}: {replied} replies");
}

fn leaves_direct_flows_alone(
    what: &str,
    topology: &Topology,
    client: &Client,
    daemon: &Daemon,
    protocol: Protocol,
    family: Family,
) {
    let before = daemon.status().unwrap();
    for backend in &topology.backends {
        let spread = client
            .spread(protocol, backend.address(family), 50, THREADS)
            .unwrap();
        let late = needs::repetitions(0, 5);
        assert!(spread.retries <= late, "{what}: {spread:?}");
        let counts = spread.all().unwrap();
        assert_eq!(counts, [(backend.name.clone(), 50)].into(), "{what}");
    }
    let after = daemon.status().unwrap();
    for prefix in ["forward_", "reply_", "egress_reply"] {
        assert_eq!(grown(&before, &after, prefix), 0, "{what}: {prefix}");
    }
}

fn grown(before: &Value, after: &Value, prefix: &str) -> u64 {
    verdicts(after, prefix) - verdicts(before, prefix)
}

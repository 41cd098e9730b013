//! Services that listen on one port, on a range and on a whole address of one VIP, in each way that backends are reached,
//! both families, TCP and UDP: the most specific one answers, and a backend without a port is asked at the client's.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::{Backend, Config, Service},
    daemon::{Daemon, verdicts},
    server::Server,
    topology::{BackendHost, Shape, Topology, vip},
};

/// The most specific one first; the place of each is that of its backend.
const KINDS: [&str; 3] = ["one", "range", "whole"];
/// Where the backend of the whole address listens.
const WHOLE: [u16; 4] = [7001, 7002, 8005, 8010];
/// Ports of the VIP, who answers, and of which kind of service.
const ANSWERS: &[(u16, &str, &str)] = &[
    (7001, "whole-7001", "whole"),
    (7002, "whole-7002", "whole"),
    (8000, "range", "range"),
    (8005, "one", "one"),
    (8009, "range", "range"),
    (8010, "whole-8010", "whole"),
];
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn the_most_specific_service_answers() {
    for shape in Shape::ALL {
        serves(shape);
    }
}

fn serves(shape: Shape) {
    let topology = Topology::new(shape, KINDS.len()).unwrap();
    let _servers = servers(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, &KINDS)).unwrap();
    let client = Client::new(&topology.client);
    answers(shape, &client, &daemon, ANSWERS);
    leaves_direct_flows_alone(&topology, &client, &daemon);
    let text = daemon.ask(&["status"]).unwrap();
    for listen in [
        "10.99.0.1:8000-8009",
        "[fd00:99::1]:8000-8009",
        "udp [fd00:99::1] ",
    ] {
        assert!(text.contains(listen), "no {listen:?} in:\n{text}");
    }

    // The next daemon knows from the maps alone who listens where.
    let mut session = client.session(vip(Family::V4, 7001)).unwrap();
    daemon.kill().unwrap();
    session.ping().unwrap();
    daemon.run().unwrap();
    daemon.wait_ready().unwrap();
    session.ping().unwrap();
    answers(shape, &client, &daemon, ANSWERS);

    // What the most specific one leaves goes to the next.
    for (left, answer) in [
        (&KINDS[1..], (8005, "range", "range")),
        (&KINDS[2..], (8005, "whole-8005", "whole")),
    ] {
        daemon.write_config(&config(&topology, left)).unwrap();
        daemon.reload().unwrap();
        daemon
            .wait_status("the reload", PATIENCE, |status| {
                packets(status).len() == 4 * left.len()
            })
            .unwrap();
        answers(shape, &client, &daemon, &[answer]);
        session.ping().unwrap();
    }
    let status = daemon.status().unwrap();
    assert_eq!(verdicts(&status, "drop"), 0, "{shape:?}: {status:#}");
}

fn servers(topology: &Topology) -> Vec<Server> {
    let [one, range, whole] = &topology.backends[..] else {
        unreachable!("a backend for each kind");
    };
    let start = |host: &BackendHost, protocol, name: &str, port| {
        let addresses = host
            .addresses()
            .map(|address| SocketAddr::new(address.ip(), port));
        Server::start(&host.netns, protocol, name, &addresses).unwrap()
    };
    let mut servers = Vec::new();
    for protocol in Protocol::BOTH {
        servers.push(start(one, protocol, "one", one.port));
        servers.push(start(range, protocol, "range", range.port));
        servers.extend(WHOLE.map(|port| start(whole, protocol, &format!("whole-{port}"), port)));
    }
    servers
}

/// Each kind of service once for each family and protocol.
fn config(topology: &Topology, kinds: &[&str]) -> Config {
    let mut config = Config::new(topology.interfaces());
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            for kind in kinds {
                config = config.service(service(topology, kind, family, protocol));
            }
        }
    }
    config
}

fn service(topology: &Topology, kind: &str, family: Family, protocol: Protocol) -> Service {
    let name = name(kind, family, protocol);
    let place = KINDS.iter().position(|known| *known == kind).unwrap();
    let address = topology.backends[place].address(family);
    let listen = vip(family, 8005);
    let mut service = Service::new(&name, protocol, &[listen]).backend(Backend::new(kind, address));
    match kind {
        "range" => service.listen = vec![format!("{}:8000-8009", host(listen))],
        "whole" => {
            service.listen = vec![host(listen)];
            service.backends[0].address = host(address);
            if protocol == Protocol::Tcp {
                service.health += "port = 7001\n";
            }
        }
        _ => {}
    }
    service
}

fn name(kind: &str, family: Family, protocol: Protocol) -> String {
    format!("{kind}-{family}-{protocol}")
}

/// The address without its port, as a configuration spells it.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

/// Asks at each port, and looks who answered and which backend's packets were counted.
fn answers(shape: Shape, client: &Client, daemon: &Daemon, expected: &[(u16, &str, &str)]) {
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            for &(port, answer, kind) in expected {
                let what = format!("{shape:?} {family} {protocol} port {port}");
                let before = daemon.status().unwrap();
                let found = client.ask(protocol, vip(family, port));
                assert_eq!(
                    found.unwrap_or_else(|error| format!("{error:#}")),
                    answer,
                    "{what}"
                );
                let after = daemon.status().unwrap();
                let replies =
                    grown(&before, &after, "reply_") + grown(&before, &after, "egress_reply");
                assert!(
                    grown(&before, &after, "forward_") > 0 && replies > 0,
                    "{what}: {after:#}"
                );
                let name = name(kind, family, protocol);
                assert!(
                    packets(&after)[&name] > packets(&before)[&name],
                    "{what}: {after:#}"
                );
            }
        }
    }
}

fn leaves_direct_flows_alone(topology: &Topology, client: &Client, daemon: &Daemon) {
    let [.., whole] = &topology.backends[..] else {
        unreachable!("a backend for each kind");
    };
    let before = daemon.status().unwrap();
    for address in whole.addresses() {
        for protocol in Protocol::BOTH {
            let address = SocketAddr::new(address.ip(), 7001);
            assert_eq!(client.ask(protocol, address).unwrap(), "whole-7001");
        }
    }
    let after = daemon.status().unwrap();
    for prefix in ["forward_", "reply_", "egress_reply"] {
        assert_eq!(grown(&before, &after, prefix), 0, "{prefix}: {after:#}");
    }
}

fn grown(before: &Value, after: &Value, prefix: &str) -> u64 {
    verdicts(after, prefix) - verdicts(before, prefix)
}

/// What was sent to each service's one backend.
fn packets(status: &Value) -> BTreeMap<String, u64> {
    let services = status["services"].as_array().into_iter().flatten();
    services
        .filter_map(|service| {
            let name = service["name"].as_str()?.to_owned();
            Some((name, service["backends"][0]["packets"].as_u64()?))
        })
        .collect()
}

//! Containers behind a bridge of the load balancer call the VIP, those that are its backends included.

use std::{collections::BTreeSet, io::ErrorKind, net::SocketAddr, time::Instant};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::{Backend, Config},
    daemon::{self, Daemon},
    needs,
    netns::Netns,
    server::Server,
    tap::Tap,
    topology::{Shape, Topology, vip},
};

use crate::support::{self, PATIENCE, PORT, connect, event, exchange, serve, unconnected};

fn config(topology: &Topology) -> Config {
    support::config(topology).daemon("bridges = [\"br0\"]\n")
}

fn namespaces(status: &Value) -> u64 {
    status["local_clients"]["namespaces"].as_u64().unwrap()
}

/// The host's own, and so many more.
fn wait_namespaces(daemon: &mut Daemon, behind: u64) {
    daemon
        .wait_status("the containers are found", PATIENCE, |status| {
            namespaces(status) == 1 + behind
        })
        .unwrap();
}

fn names(client: &Netns, protocol: Protocol, family: Family) -> BTreeSet<String> {
    let spread = Client::new(client)
        .spread(protocol, vip(family, PORT), 60, 2)
        .unwrap();
    spread.all().unwrap().into_keys().collect()
}

/// By other containers and by itself, beside a process on the host.
#[test]
fn every_container_reaches_every_backend() {
    let mut topology = Topology::new(Shape::Bridge, 2).unwrap();
    let mut servers = serve(&topology);
    let mut config = config(&topology);
    for service in &mut config.services {
        let listen: SocketAddr = service.listen[0].parse().unwrap();
        let address = match listen {
            SocketAddr::V4(_) => "10.2.0.1:8001",
            SocketAddr::V6(_) => "[fd00:2::1]:8001",
        };
        let address: SocketAddr = address.parse().unwrap();
        servers.push(Server::start(&topology.lb, service.protocol, "host", &[address]).unwrap());
        service.backends.push(Backend::new("host", address));
    }
    let guest = topology.add_backend().unwrap().clone();
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    wait_namespaces(&mut daemon, 3);
    let all: BTreeSet<String> = ["b1", "b2", "host"].map(str::to_owned).into();
    for client in [&topology.backends[0], &topology.backends[1], &guest] {
        for protocol in Protocol::BOTH {
            for family in Family::BOTH {
                let before = event(&daemon, "local_connected");
                let found = names(&client.netns, protocol, family);
                assert_eq!(found, all, "{} {protocol} {family}", client.name);
                assert_eq!(event(&daemon, "local_connected"), before + 60);
            }
        }
    }
    let status = daemon.status().unwrap();
    assert_eq!(daemon::verdicts(&status, "forward_"), 0, "{status:#}");
}

/// The only one there is, which sees its own address as the client's.
#[test]
fn a_backend_is_served_by_itself() {
    let topology = Topology::new(Shape::Bridge, 1).unwrap();
    let _servers = serve(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    wait_namespaces(&mut daemon, 1);
    let backend = &topology.backends[0];
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            assert_eq!(
                names(&backend.netns, protocol, family),
                ["b1".to_owned()].into()
            );
        }
        let stream = connect(&backend.netns, vip(family, PORT)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), vip(family, PORT));
        assert_eq!(
            stream.local_addr().unwrap().ip(),
            backend.address(family).ip()
        );

        let socket = unconnected(&backend.netns, family);
        let to = vip(family, PORT);
        assert_eq!(exchange(&socket, to), ("b1".to_owned(), to));
    }
    assert_eq!(event(&daemon, "local_sent"), 2);
}

#[test]
fn containers_come_and_go() {
    let mut topology = Topology::new(Shape::Bridge, 1).unwrap();
    let _servers = serve(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    wait_namespaces(&mut daemon, 1);
    let late = topology.add_backend().unwrap().clone();
    wait_namespaces(&mut daemon, 2);
    for family in Family::BOTH {
        let found = names(&late.netns, Protocol::Tcp, family);
        assert_eq!(found, ["b1".to_owned()].into());
    }
    topology.lb.ip("link del port2").unwrap();
    wait_namespaces(&mut daemon, 1);
}

#[test]
fn a_killed_daemon_is_not_missed_and_a_stopped_one_leaves_nothing() {
    let topology = Topology::new(Shape::Bridge, 2).unwrap();
    let _servers = serve(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    wait_namespaces(&mut daemon, 2);
    let client = &topology.backends[0].netns;
    daemon.kill().unwrap();
    for family in Family::BOTH {
        assert_eq!(names(client, Protocol::Tcp, family).len(), 2);
    }
    daemon.run().unwrap();
    daemon.wait_ready().unwrap();
    wait_namespaces(&mut daemon, 2);
    for family in Family::BOTH {
        assert_eq!(names(client, Protocol::Udp, family).len(), 2);
    }
    assert!(daemon.stop().unwrap().success(), "{}", daemon.log());
    for family in Family::BOTH {
        let error = connect(client, vip(family, PORT)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

/// Refused, by whoever notices first; nothing goes round between the container, the bridge and the host.
#[test]
fn nothing_listens() {
    let topology = Topology::new(Shape::Bridge, 1).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    wait_namespaces(&mut daemon, 1);
    daemon
        .wait_status("b1 is down", PATIENCE, |status| {
            daemon::backends(status)
                .filter(|backend| backend["last_check"].is_string())
                .all(|backend| backend["health"] == "down")
        })
        .unwrap();
    let client = &topology.backends[0].netns;
    let refused = match needs::kernel("5.18") {
        Ok(()) => ErrorKind::ConnectionRefused,
        Err(_) => ErrorKind::PermissionDenied,
    };
    let outside = Tap::new(&topology.client).unwrap();
    let before = topology.lb.packets("port1").unwrap();
    let start = Instant::now();
    for family in Family::BOTH {
        // No backend.
        let error = connect(client, vip(family, PORT)).unwrap_err();
        assert_eq!(error.kind(), refused, "{error}");
        // No service, at an address that the host has.
        let error = connect(client, vip(family, PORT + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
    }
    // No service, at an address that the host does not have, nor a way to.
    topology.remove_vips().unwrap();
    for family in Family::BOTH {
        let error = connect(client, vip(family, PORT + 1)).unwrap_err();
        let kinds = [ErrorKind::HostUnreachable, ErrorKind::NetworkUnreachable];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    println!("all refused within {:?}", start.elapsed());
    assert_eq!(event(&daemon, "local_refused"), 2);
    assert_eq!(outside.take().unwrap(), Vec::<Vec<u8>>::new());
    let after = topology.lb.packets("port1").unwrap();
    // Four questions with their answers, neighbours, and the checks of b1.
    assert!(
        after.received - before.received < 200,
        "{before:?} {after:?}"
    );
}

#[test]
fn a_bridge_that_is_not_named_is_left_alone() {
    let topology = Topology::new(Shape::Bridge, 1).unwrap();
    let _servers = serve(&topology);
    let config = support::config(&topology).daemon("bridges = [\"br7\"]\n");
    let daemon = Daemon::start(&topology.lb, &config).unwrap();
    let log = daemon.log();
    assert!(log.contains("no bridge is called so"), "{log}");
    assert_eq!(namespaces(&daemon.status().unwrap()), 1);
    for family in Family::BOTH {
        // By the host, whose address the VIP is.
        let error = connect(&topology.backends[0].netns, vip(family, PORT)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    assert_eq!(event(&daemon, "local_connected"), 0);
}

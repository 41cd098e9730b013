//! Which backend a process on the load balancer gets, and which none.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::Config,
    daemon::{self, Daemon, backend},
    needs,
    netns::Netns,
    server::Server,
    tap::Tap,
    topology::{Shape, Topology, vip},
};

use crate::support::{PATIENCE, PORT, config, connect, event, exchange, serve, unconnected};

#[test]
fn spread_over_every_backend_in_every_shape() {
    const ASKED: u64 = 300;
    for shape in Shape::ALL {
        let topology = Topology::new(shape, 3).unwrap();
        let _servers = serve(&topology);
        let daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
        let client = Client::new(&topology.lb);
        for protocol in Protocol::BOTH {
            for family in Family::BOTH {
                let before = event(&daemon, "local_connected");
                let spread = client
                    .spread(protocol, vip(family, PORT), ASKED, 2)
                    .unwrap();
                let answers = spread.all().unwrap();
                println!("{shape:?} {protocol} {family}: {answers:?}");
                assert_eq!(answers.len(), 3, "{answers:?}");
                // Of 300 with 1/3 each, less than 60 has a probability of 1e-7.
                assert!(answers.values().all(|&count| count >= 60), "{answers:?}");
                let after = event(&daemon, "local_connected");
                assert_eq!(after - before, ASKED, "{shape:?} {protocol} {family}");
            }
        }
        let status = daemon.status().unwrap();
        assert_eq!(daemon::verdicts(&status, "forward_"), 0, "{status:#}");
    }
}

#[test]
fn a_failed_backend_gets_no_new_connection() {
    let topology = Topology::new(Shape::Local, 3).unwrap();
    let mut servers = topology.serve(Protocol::Tcp).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    drop(servers.remove(0));
    daemon
        .wait_status("b1 is down", PATIENCE, |status| {
            backend(status, "b1").is_some_and(|backend| backend["health"] == "down")
        })
        .unwrap();
    for family in Family::BOTH {
        let spread = Client::new(&topology.lb)
            .spread(Protocol::Tcp, vip(family, PORT), 100, 2)
            .unwrap();
        let answers = spread.all().unwrap();
        assert_eq!(answers.keys().collect::<Vec<_>>(), ["b2", "b3"]);
    }
}

/// A cgroup's programs see all of them.
#[test]
fn other_namespaces_are_left_alone() {
    let topology = Topology::new(Shape::Local, 2).unwrap();
    let _servers = serve(&topology);
    let other = Netns::new("other").unwrap();
    other
        .address("lo", &["10.99.0.1/32", "fd00:99::1/128"])
        .unwrap();
    let listen = Family::BOTH.map(|family| vip(family, PORT));
    let _own =
        Protocol::BOTH.map(|protocol| Server::start(&other, protocol, "its own", &listen).unwrap());
    let daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    for protocol in Protocol::BOTH {
        for family in Family::BOTH {
            let name = Client::new(&other)
                .ask(protocol, vip(family, PORT))
                .unwrap();
            assert_eq!(name, "its own");
        }
    }
    for family in Family::BOTH {
        let socket = unconnected(&other, family);
        let to = vip(family, PORT);
        assert_eq!(exchange(&socket, to), ("its own".to_owned(), to));
    }
    for name in ["local_connected", "local_sent", "local_refused"] {
        assert_eq!(event(&daemon, name), 0, "{name}");
    }
}

/// Nothing is sent anywhere.
#[test]
fn a_service_without_a_backend_refuses_at_once() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let service = |family| topology.service(&format!("tcp-{family}"), Protocol::Tcp, family, PORT);
    let config = Config::new(topology.interfaces())
        .service(service(Family::V4))
        .service(service(Family::V6));
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    daemon
        .wait_status("b1 is down", PATIENCE, |status| {
            daemon::backends(status).all(|backend| backend["health"] == "down")
        })
        .unwrap();
    let expected = match needs::kernel("5.18") {
        Ok(()) => ErrorKind::ConnectionRefused,
        Err(_) => ErrorKind::PermissionDenied,
    };
    for family in Family::BOTH {
        let start = Instant::now();
        let error = connect(&topology.lb, vip(family, PORT)).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(start.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(event(&daemon, "local_refused"), 2);
}

/// Neither a service nor anything else: the host answers itself.
#[test]
fn a_port_without_a_service_is_refused_by_the_host() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let _servers = serve(&topology);
    let daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    let outside = Tap::new(&topology.client).unwrap();
    for family in Family::BOTH {
        let nowhere = vip(family, PORT + 1);
        let error = connect(&topology.lb, nowhere).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let socket = unconnected(&topology.lb, family);
        socket.connect(nowhere).unwrap();
        socket.send(b"who").unwrap();
        let error = socket.recv(&mut [0; 64]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
    assert_eq!(outside.take().unwrap(), Vec::<Vec<u8>>::new());
    assert_eq!(event(&daemon, "local_refused"), 0);
    // What does leave is heard.
    connect(&topology.client, vip(Family::V4, PORT)).unwrap();
    assert!(!outside.take().unwrap().is_empty());
}

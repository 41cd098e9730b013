//! What a socket is told of its peer, and which backend it keeps.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpStream, UdpSocket},
};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::Config,
    daemon::{self, Daemon},
    topology::{Shape, Topology, vip},
};

use crate::support::{PATIENCE, PORT, config, event, exchange, serve, unconnected};

#[test]
fn the_client_sees_the_vip_only() {
    let topology = Topology::new(Shape::Bridge, 3).unwrap();
    let _servers = serve(&topology);
    let _daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    for family in Family::BOTH {
        let to = vip(family, PORT);
        let stream = Client::new(&topology.lb).connect(to).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), to);

        let socket = unconnected(&topology.lb, family);
        let (_, from) = exchange(&socket, to);
        assert_eq!(from, to, "not connected");
        socket.connect(to).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), to);
        socket.send(b"who").unwrap();
        let (_, from) = socket.recv_from(&mut [0; 64]).unwrap();
        assert_eq!(from, to, "connected");
    }
}

#[test]
fn a_backend_asked_by_its_own_name_keeps_it() {
    let topology = Topology::new(Shape::Bridge, 1).unwrap();
    let _servers = serve(&topology);
    let _daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    for family in Family::BOTH {
        let own = topology.backends[0].address(family);
        let socket = unconnected(&topology.lb, family);
        socket.connect(vip(family, PORT)).unwrap();
        socket.connect(own).unwrap();
        assert_eq!(socket.peer_addr().unwrap(), own);
        let stream = Client::new(&topology.lb).connect(own).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), own);
    }
}

/// As Java's and Node's sockets are: IPv6, to IPv4 peers.
#[test]
fn ipv6_sockets_reach_ipv4_services() {
    let topology = Topology::new(Shape::Gateway, 2).unwrap();
    let _servers = serve(&topology);
    let daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    let SocketAddr::V4(v4) = vip(Family::V4, PORT) else {
        unreachable!("asked for an IPv4 address");
    };
    let mapped = SocketAddr::from((v4.ip().to_ipv6_mapped(), PORT));
    let stream = topology
        .lb
        .enter(|| Ok(TcpStream::connect(mapped)?))
        .unwrap();
    assert_eq!(stream.peer_addr().unwrap(), mapped);

    let socket = unconnected(&topology.lb, Family::V6);
    let (_, from) = exchange(&socket, mapped);
    assert_eq!(from, mapped);
    socket.connect(mapped).unwrap();
    assert_eq!(socket.peer_addr().unwrap(), mapped);
    assert_eq!(event(&daemon, "local_connected"), 2);
    assert_eq!(event(&daemon, "local_sent"), 1);
}

#[test]
fn a_socket_that_is_not_connected_stays_with_its_backend() {
    let mut topology = Topology::new(Shape::Gateway, 3).unwrap();
    let mut servers = serve(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    for family in Family::BOTH {
        let sockets: Vec<UdpSocket> = (0..60).map(|_| unconnected(&topology.lb, family)).collect();
        let ask = |socket: &UdpSocket| exchange(socket, vip(family, PORT)).0;
        let before: Vec<String> = sockets.iter().map(ask).collect();
        let names: BTreeSet<&String> = before.iter().collect();
        assert_eq!(names.len(), topology.backends.len(), "{before:?}");
        let again: Vec<String> = sockets.iter().map(ask).collect();
        assert_eq!(before, again);

        // Another one takes slots of the others, not their sockets.
        let new = topology.add_backend().unwrap().clone();
        servers.push(new.serve(Protocol::Udp).unwrap());
        servers.push(new.serve(Protocol::Tcp).unwrap());
        daemon.write_config(&config(&topology)).unwrap();
        daemon.reload().unwrap();
        daemon
            .wait_status("there is one more", PATIENCE, |status| {
                let is_up = |b: &&Value| b["name"] == *new.name && b["health"] == "up";
                daemon::backends(status).filter(is_up).count() == 4
            })
            .unwrap();
        let after: Vec<String> = sockets.iter().map(ask).collect();
        assert_eq!(before, after);
        let fresh: BTreeSet<String> = (0..60)
            .map(|_| ask(&unconnected(&topology.lb, family)))
            .collect();
        assert!(fresh.contains(&new.name), "{fresh:?}");
    }
    assert_eq!(event(&daemon, "local_sent"), 2 * 60 * 4);
}

/// The same for a socket that has one already, and is not connected.
#[test]
fn a_socket_that_is_not_connected_leaves_a_dead_backend() {
    let topology = Topology::new(Shape::Gateway, 2).unwrap();
    let servers = topology.serve(Protocol::Udp).unwrap();
    let mut both = topology.serve(Protocol::Tcp).unwrap();
    // Not by UDP, which is not checked: by the TCP port of the same number.
    let mut config = Config::new(topology.interfaces());
    for family in Family::BOTH {
        config = config.service(
            topology
                .service(&format!("udp-{family}"), Protocol::Udp, family, PORT)
                .health("type = \"tcp\"\ninterval = \"200ms\"\ntimeout = \"150ms\"\nfall = 2\n"),
        );
    }
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    let sockets = Family::BOTH.map(|family| {
        let sockets: Vec<UdpSocket> = (0..20).map(|_| unconnected(&topology.lb, family)).collect();
        (family, sockets)
    });
    let ask = || -> BTreeSet<String> {
        sockets
            .iter()
            .flat_map(|(family, sockets)| sockets.iter().map(|socket| (*family, socket)))
            .map(|(family, socket)| exchange(socket, vip(family, PORT)).0)
            .collect()
    };
    assert_eq!(ask(), ["b1".to_owned(), "b2".to_owned()].into());
    drop(both.remove(0));
    daemon
        .wait_status("b1 is down", PATIENCE, |status| {
            daemon::backends(status)
                .filter(|backend| backend["name"] == "b1")
                .all(|backend| backend["health"] == "down")
        })
        .unwrap();
    assert_eq!(ask(), ["b2".to_owned()].into());
    drop(servers);
}

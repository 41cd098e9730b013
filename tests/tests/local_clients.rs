//! Clients on the load balancer's own host: no packet of theirs comes in by an interface.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpStream, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::{Config, Service},
    daemon::{self, Daemon, backend},
    needs,
    netns::Netns,
    scratch::Scratch,
    server::Server,
    topology::{Shape, Topology, vip},
};

const PORT: u16 = 80;
const PATIENCE: Duration = Duration::from_secs(20);

/// One service for each protocol and family.
fn config(topology: &Topology) -> Config {
    let mut config = Config::new(topology.interfaces());
    for protocol in Protocol::BOTH {
        for family in Family::BOTH {
            let name = format!("{}-{family}", protocol.name());
            config = config.service(topology.service(&name, protocol, family, PORT));
        }
    }
    config
}

fn serve(topology: &Topology) -> Vec<Server> {
    Protocol::BOTH
        .iter()
        .flat_map(|&protocol| topology.serve(protocol).unwrap())
        .collect()
}

fn event(daemon: &Daemon, name: &str) -> u64 {
    daemon.status().unwrap()["events"][name].as_u64().unwrap()
}

/// A UDP socket that is not connected.
fn unconnected(netns: &Netns, family: Family) -> UdpSocket {
    let any = match family {
        Family::V4 => "0.0.0.0:0",
        Family::V6 => "[::]:0",
    };
    bound(netns, any)
}

fn bound(netns: &Netns, address: &str) -> UdpSocket {
    let bound = netns
        .enter(|| UdpSocket::bind(address).context("binding"))
        .unwrap();
    bound.set_read_timeout(Some(PATIENCE)).unwrap();
    bound
}

/// Who answers a datagram, and by which address.
fn exchange(sender: &UdpSocket, to: SocketAddr) -> (String, SocketAddr) {
    sender.send_to(b"who", to).unwrap();
    let mut buffer = [0; 64];
    let (length, from) = sender.recv_from(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    (text.strip_suffix(" who").unwrap().to_owned(), from)
}

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
    let config = config(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
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
        daemon.write_config(&self::config(&topology)).unwrap();
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

#[test]
fn a_killed_daemon_is_not_missed_and_a_stopped_one_leaves_nothing() {
    let topology = Topology::new(Shape::Bridge, 2).unwrap();
    let _servers = serve(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    let client = Client::new(&topology.lb).patience(Duration::from_secs(2));
    let ask = || {
        for protocol in Protocol::BOTH {
            for family in Family::BOTH {
                let spread = client.spread(protocol, vip(family, PORT), 40, 2).unwrap();
                assert_eq!(spread.all().unwrap().len(), 2);
            }
        }
    };
    let socket = unconnected(&topology.lb, Family::V4);
    let (name, _) = exchange(&socket, vip(Family::V4, PORT));
    ask();
    daemon.kill().unwrap();
    ask();
    assert_eq!(exchange(&socket, vip(Family::V4, PORT)).0, name);

    daemon.run().unwrap();
    daemon.wait_ready().unwrap();
    let taken_over = event(&daemon, "local_connected");
    assert!(taken_over >= 2 * 4 * 40, "{taken_over}");
    ask();
    assert_eq!(event(&daemon, "local_connected"), taken_over + 4 * 40);
    assert_eq!(exchange(&socket, vip(Family::V4, PORT)).0, name);

    assert!(daemon.stop().unwrap().success(), "{}", daemon.log());
    assert!(!daemon.pin_dir().exists(), "pins are left");
    for family in Family::BOTH {
        // The host has the VIP, and nothing listens there.
        let error = connect(&topology.lb, vip(family, PORT)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

fn connect(netns: &Netns, to: SocketAddr) -> std::io::Result<TcpStream> {
    netns
        .enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)))
        .unwrap()
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
    let service = |family| -> Service {
        topology.service(&format!("tcp-{family}"), Protocol::Tcp, family, PORT)
    };
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
    let before = topology.lb.packets("eth0").unwrap();
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
    assert_eq!(topology.lb.packets("eth0").unwrap(), before);
    assert_eq!(event(&daemon, "local_refused"), 0);
}

/// What `shunt status` says of them.
fn line(topology: &Topology, daemon: &Daemon) -> String {
    let socket = daemon.socket().display().to_string();
    let text = topology
        .lb
        .run(daemon.binary(), &["status", "--socket", &socket])
        .unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("clients on this host"));
    line.unwrap_or(&text).to_owned()
}

fn clients(status: &Value) -> (&Value, &Value) {
    let clients = &status["local_clients"];
    (&clients["cgroup"], &clients["reason"])
}

#[test]
fn not_where_the_configuration_says_no() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let _servers = serve(&topology);
    let yes = config(&topology);
    let no = yes.clone().daemon("local_clients = false\n");
    let mut daemon = Daemon::start(&topology.lb, &yes).unwrap();
    assert!(clients(&daemon.status().unwrap()).0.is_string());
    connect(&topology.lb, vip(Family::V6, PORT)).unwrap();
    assert_eq!(
        line(&topology, &daemon),
        "clients on this host: 1 connected, 0 datagrams, 0 refused; network namespaces: 1"
    );
    daemon.kill().unwrap();
    daemon.write_config(&no).unwrap();
    daemon.run().unwrap();
    let status = daemon.wait_ready().unwrap();
    let (cgroup, reason) = clients(&status);
    assert_eq!(
        (cgroup, reason),
        (&Value::Null, &"local_clients = false".into())
    );
    assert_eq!(
        line(&topology, &daemon),
        "clients on this host: not balanced: local_clients = false"
    );
    let error = connect(&topology.lb, vip(Family::V4, PORT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn without_cgroup_v2_the_rest_works_and_it_says_so() {
    let topology = Topology::new(Shape::Local, 2).unwrap();
    let _servers = serve(&topology);
    let scratch = Scratch::new("blind").unwrap();
    let blind = scratch.join("shunt");
    let shunt = daemon::binary().unwrap();
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'umount --lazy --all --types cgroup2; exec \"$0\" \"$@\"' {} \"$@\"\n",
        shunt.display()
    );
    fs::write(&blind, script).unwrap();
    fs::set_permissions(&blind, fs::Permissions::from_mode(0o755)).unwrap();
    let mut daemon = Daemon::prepare_binary(blind, &topology.lb, &config(&topology)).unwrap();
    daemon.run().unwrap();
    let status = daemon.wait_ready().unwrap();
    let (cgroup, reason) = clients(&status);
    assert!(cgroup.is_null(), "{status:#}");
    let reason = reason.as_str().unwrap();
    assert!(
        reason.contains("no cgroup v2 file system is mounted"),
        "{reason}"
    );
    assert!(
        daemon
            .log()
            .contains("clients on this host are not balanced")
    );
    for family in Family::BOTH {
        let client = Client::new(&topology.client);
        client.ask(Protocol::Tcp, vip(family, PORT)).unwrap();
    }
    let status = daemon.status().unwrap();
    assert!(daemon::verdicts(&status, "forward_") > 0, "{status:#}");
}

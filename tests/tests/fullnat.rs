//! `forward = "fullnat"`: backends that know no way to the client, and send their replies to the load balancer because
//! that is who they hear from.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    thread,
    time::Duration,
};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::{Client, session::Sessions},
    config::Config,
    daemon::{Daemon, verdict, verdicts},
    netns::Netns,
    topology::{BackendHost, Shape, Topology, vip},
};

const PORT: u16 = 80;
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// How packets leave: through the kernel's forwarding, and straight from XDP, which on a veth is the generic mode.
const WAYS: [(&str, &str); 2] = [
    ("through the kernel", ""),
    ("straight", "xdp_mode = \"generic\""),
];

/// Backends behind the second interface that know no other network than theirs.
fn isolated(backends: usize) -> Topology {
    let topology = Topology::new(Shape::Gateway, backends).unwrap();
    for backend in &topology.backends {
        backend
            .netns
            .ip("route del default via 10.2.0.1\nroute del default via fd00:2::1")
            .unwrap();
    }
    topology
}

fn config(topology: &Topology, daemon: &str) -> Config {
    let mut config = Config::new(topology.interfaces()).daemon(daemon);
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            let name = format!("web-{family}-{protocol}");
            let service = topology
                .service(&name, protocol, family, PORT)
                .options("forward = \"fullnat\"");
            config = config.service(service);
        }
    }
    config
}

fn event(status: &Value, name: &str) -> u64 {
    status["events"][name].as_u64().unwrap()
}

#[test]
fn backends_without_a_way_to_the_client_serve_it() {
    for (way, daemon) in WAYS {
        let topology = isolated(2);
        let _tcp = topology.serve(Protocol::Tcp).unwrap();
        let _udp = topology.serve(Protocol::Udp).unwrap();
        let mut daemon = Daemon::start(&topology.lb, &config(&topology, daemon)).unwrap();
        let client = Client::new(&topology.client);
        for family in Family::BOTH {
            for protocol in Protocol::BOTH {
                const FLOWS: u64 = 200;
                let before = daemon.status().unwrap();
                let spread = client
                    .spread(protocol, vip(family, PORT), FLOWS, 2)
                    .unwrap();
                let after = daemon.status().unwrap();
                let grown = |name| verdicts(&after, name) - verdicts(&before, name);
                let what = format!("{family} {protocol} {way}");
                println!(
                    "{what}: {spread:?}, {} forwarded, {} replies",
                    grown("forward_"),
                    grown("reply_")
                );
                assert_eq!(spread.all().unwrap().len(), 2, "{what}");
                assert!(grown("forward_") >= FLOWS, "{what}: {after:#}");
                assert!(grown("reply_") >= FLOWS, "{what}: {after:#}");
                assert_eq!(grown("egress_reply"), 0, "{what}");
                assert_eq!(grown("drop_"), 0, "{what}: {after:#}");
                let written =
                    event(&after, "translation_written") - event(&before, "translation_written");
                // A client's port may be used again, by the same flow then.
                assert!(written >= FLOWS * 9 / 10, "{what}: {written}");
            }
        }
        let status = daemon.status().unwrap();
        let straight = verdict(&status, "forward_redirect") + verdict(&status, "reply_redirect");
        assert_eq!(straight > 0, way == "straight", "{way}: {status:#}");
        daemon
            .wait_status("flows are shown", PATIENCE, |status| {
                status["flows"]["translated"].as_u64().unwrap() >= 400
            })
            .unwrap();
    }
}

#[test]
fn the_kernel_takes_packets_from_its_own_addresses_while_it_has_to() {
    let topology = isolated(1);
    let switch = |interface: &str, name: &str| -> String {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/{name}");
        topology.lb.run("cat", &[path]).unwrap().trim().to_owned()
    };
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    // As strict as can be.
    for interface in ["all", "eth0", "eth1"] {
        let key = format!("net/ipv4/conf/{interface}/rp_filter");
        topology.lb.sysctl(&key, "1").unwrap();
    }
    let both = || {
        ["eth0", "eth1"].map(|interface| {
            (
                switch(interface, "accept_local"),
                switch(interface, "rp_filter"),
            )
        })
    };
    let pair = |accept: &str, filter: &str| (accept.to_owned(), filter.to_owned());
    let strict = [pair("0", "1"), pair("0", "1")];
    assert_eq!(both(), strict);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, "")).unwrap();
    assert_eq!(both(), [pair("1", "2"), pair("1", "2")], "{}", daemon.log());
    let client = Client::new(&topology.client);
    assert_eq!(
        client.ask(Protocol::Tcp, vip(Family::V4, PORT)).unwrap(),
        "b1"
    );
    // Whoever detaches puts them back, also after a daemon that was killed.
    daemon.kill().unwrap();
    daemon.run().unwrap();
    daemon.wait_ready().unwrap();
    assert!(daemon.stop().unwrap().success());
    assert_eq!(both(), strict);
}

#[test]
fn a_large_transfer_arrives_as_it_was_sent() {
    for (way, daemon) in WAYS {
        let topology = isolated(1);
        let _servers = topology.serve(Protocol::Tcp).unwrap();
        let daemon = Daemon::start(&topology.lb, &config(&topology, daemon)).unwrap();
        for family in Family::BOTH {
            let client = Client::new(&topology.client).patience(PATIENCE);
            let stream = client.connect(vip(family, PORT)).unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            // Every line is another one, and comes back behind the server's name.
            const LINES: u64 = 400;
            let writer = thread::spawn(move || {
                for n in 0..LINES {
                    (&stream).write_all(line(n).as_bytes()).unwrap();
                }
            });
            let mut received = 0;
            for n in 0..LINES {
                let mut answer = String::new();
                reader.read_line(&mut answer).unwrap();
                assert!(
                    answer == format!("b1 {}", line(n)),
                    "{family} {way}: line {n}"
                );
                received += answer.len();
            }
            writer.join().unwrap();
            println!("{family} {way}: {received} bytes there and back");
        }
        let status = daemon.status().unwrap();
        assert_eq!(verdicts(&status, "drop_"), 0, "{status:#}");
    }
}

/// 64 KiB that no other line has.
fn line(n: u64) -> String {
    let mut word = n + 1;
    let words = (0..4096).map(|_| {
        // Knuth's MMIX.
        word = word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        format!("{word:016x}")
    });
    words.chain(["\n".to_owned()]).collect()
}

#[test]
fn flows_of_a_backend_that_died_go_to_another() {
    let topology = isolated(2);
    let mut servers = topology.serve(Protocol::Tcp).unwrap();
    let mut udp = topology.serve(Protocol::Udp).unwrap();
    // The UDP services follow the health of TCP at the same address.
    let mut config = config(&topology, "");
    for service in &mut config.services {
        "type = \"tcp\"\ninterval = \"200ms\"\ntimeout = \"500ms\"\nrise = 1\nfall = 2\n"
            .clone_into(&mut service.health);
    }
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    for family in Family::BOTH {
        let sockets = datagram_flows(&topology.client, family, 20);
        let names: Vec<String> = sockets.iter().map(ask).collect();
        assert!(names.iter().any(|name| name == "b2"), "{names:?}");
        let stays: Vec<String> = sockets.iter().map(ask).collect();
        assert_eq!(stays, names);
        if family == Family::V4 {
            continue;
        }
        drop((servers.pop(), udp.pop()));
        daemon
            .wait_status("b2 is down", PATIENCE, |status| {
                shunt_tests::daemon::backends(status)
                    .filter(|backend| backend["name"] == "b2")
                    .all(|backend| backend["health"] == "down")
            })
            .unwrap();
        let after: Vec<String> = sockets.iter().map(ask).collect();
        assert!(after.iter().all(|name| name == "b1"), "{after:?}");
    }
}

/// Sockets that are connected to the VIP: each is a flow.
fn datagram_flows(client: &Netns, family: Family, count: usize) -> Vec<UdpSocket> {
    let any = match family {
        Family::V4 => "0.0.0.0:0",
        Family::V6 => "[::]:0",
    };
    let open = || {
        let socket = UdpSocket::bind(any)?;
        socket.connect(vip(family, PORT))?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        Ok(socket)
    };
    client
        .enter(|| (0..count).map(|_| open()).collect())
        .unwrap()
}

/// Who answers.
fn ask(socket: &UdpSocket) -> String {
    let mut buffer = [0; 64];
    for _ in 0..20 {
        socket.send(b"who").unwrap();
        if let Ok(length) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            return text.trim_end_matches(" who").to_owned();
        }
    }
    panic!("nobody answers {socket:?}");
}

#[test]
fn connections_outlive_the_daemon_and_its_backends_last_share() {
    let topology = isolated(3);
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let all = config(&topology, "");
    let mut daemon = Daemon::start(&topology.lb, &all).unwrap();
    let client = Client::new(&topology.client);
    let sessions: Vec<Sessions> = Family::BOTH
        .into_iter()
        .map(|family| Sessions::open(&client, vip(family, PORT), 50, PAUSE).unwrap())
        .collect();
    let mut fewer = all.clone();
    for service in &mut fewer.services {
        service.backends.remove(0);
    }
    for config in [&fewer, &all] {
        daemon.kill().unwrap();
        let spread = client
            .spread(Protocol::Tcp, vip(Family::V6, PORT), 100, 2)
            .unwrap();
        assert_eq!(spread.retries, 0, "{spread:?}");
        spread.all().unwrap();
        daemon.write_config(config).unwrap();
        daemon.run().unwrap();
        daemon.wait_ready().unwrap();
        thread::sleep(Duration::from_secs(2));
    }
    for sessions in sessions {
        let report = sessions.finish().unwrap();
        assert_eq!(report.broken, Vec::<String>::new());
        assert_eq!(report.alive.len(), 50);
    }
}

/// Says to whoever connects where the connection comes from.
fn mirror(backend: &BackendHost) {
    for address in backend.addresses() {
        let listener = backend
            .netns
            .enter(|| Ok(TcpListener::bind(address)?))
            .unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let peer = stream.peer_addr().unwrap();
                // The daemon's own check has gone already.
                let _ = stream.write_all(peer.to_string().as_bytes());
            }
        });
    }
}

#[test]
fn backends_hear_from_the_listed_addresses_and_else_from_the_nearest() {
    let topology = isolated(1);
    mirror(&topology.backends[0]);
    let listed = ["10.2.0.200", "10.2.0.201", "fd00:2::200", "fd00:2::201"];
    let keys = format!("snat_addresses = {listed:?}");
    let nearest = ["10.2.0.1", "fd00:2::1"];
    for (keys, expected) in [("", &nearest[..]), (keys.as_str(), &listed)] {
        if !keys.is_empty() {
            topology
                .lb
                .ip(
                    "addr add 10.2.0.200/32 dev eth1\naddr add 10.2.0.201/32 dev eth1\n\
             addr add fd00:2::200/128 dev eth1 nodad\naddr add fd00:2::201/128 dev eth1 nodad",
                )
                .unwrap();
        }
        let mut daemon = Daemon::start(&topology.lb, &config(&topology, keys)).unwrap();
        let client = Client::new(&topology.client);
        let mut found = BTreeSet::new();
        for family in Family::BOTH {
            for _ in 0..40 {
                let mut stream = client.connect(vip(family, PORT)).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                let source: SocketAddr = text.parse().unwrap();
                found.insert(source.ip());
            }
        }
        let expected: BTreeSet<IpAddr> =
            expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(found, expected);
        assert!(daemon.stop().unwrap().success());
    }
}

#[test]
fn what_cannot_work_is_said_with_what_does() {
    for (shape, word) in [
        (
            Shape::Local,
            "is on this host, and its replies do not come in by an interface: use forward = \"nat\"",
        ),
        (
            Shape::Bridge,
            "replies to 10.2.0.1 come in by br0, which is not in `interfaces`",
        ),
    ] {
        let topology = Topology::new(shape, 1).unwrap();
        let _servers = topology.serve(Protocol::Tcp).unwrap();
        let daemon = Daemon::start(&topology.lb, &config(&topology, "")).unwrap();
        assert!(daemon.log().contains(word), "{shape:?}: {}", daemon.log());
    }
    let topology = isolated(1);
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let keys = "snat_addresses = [\"10.2.0.77\", \"fd00:2::1\"]";
    let daemon = Daemon::start(&topology.lb, &config(&topology, keys)).unwrap();
    let log = daemon.log();
    assert_eq!(
        log.matches("is no address of this host").count(),
        1,
        "{log}"
    );
}

#[test]
fn running_out_of_ports_is_counted_and_told() {
    let topology = isolated(1);
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    // All but two dozen ports are the host's own.
    topology
        .lb
        .sysctl("net/ipv4/ip_local_port_range", "1024 65511")
        .unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, "")).unwrap();
    let client = Client::new(&topology.client).patience(Duration::from_millis(400));
    let mut streams = Vec::new();
    let mut refused = 0;
    for _ in 0..40 {
        match client.connect(vip(Family::V4, PORT)) {
            Ok(stream) => streams.push(stream),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((streams.len(), refused), (24, 16));
    let status = daemon.status().unwrap();
    assert!(verdict(&status, "drop_no_snat_port") >= 16, "{status:#}");
    assert!(event(&status, "snat_ports_taken") >= 16, "{status:#}");
    daemon
        .wait_status("a tick", Duration::from_secs(5), |_| true)
        .unwrap();
    thread::sleep(Duration::from_millis(1500));
    daemon.expect_running().unwrap();
    let log = daemon.log();
    assert_eq!(log.matches("no free source port").count(), 1, "{log}");
    // Those that have a port are served.
    for stream in &mut streams {
        stream.write_all(b"who\n").unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"b1 who\n");
    }
}

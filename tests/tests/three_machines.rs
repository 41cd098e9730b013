//! A client, a load balancer and backends, each a machine of its own: XDP native on virtio_net, packets from NIC to NIC,
//! and a failover. `cargo xtask test vm` starts the three and runs one of these in each.
//!
//! ```text
//!  client 10.1.0.2 ── eth0 10.1.0.1  lb  10.2.0.1 eth1 ── 10.2.0.11, .12, .13 backends
//! ```
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::{
        Client,
        traffic::{Question, Traffic, summary},
    },
    config::{Backend, Config, Service},
    daemon::{self, Daemon},
    needs,
    netns::Netns,
    server::Server,
    topology::{behind, vip},
    wait::wait_for,
};

/// The others may still boot.
const PATIENCE: Duration = Duration::from_secs(90);
const NAMES: [&str; 3] = ["b1", "b2", "b3"];
const SERVICE_PORT: u16 = 80;
const BACKEND_PORT: u16 = 8080;
/// Services that keep the port, each with one backend, which has the VIP: how it is reached, and whether its address is
/// of the other family.
const BY: [(&str, u16, bool); 4] = [
    ("dsr", 81, false),
    ("ipip", 82, false),
    ("gue", 83, false),
    ("ipip", 84, true),
];
/// Of a download through each.
const DOWNLOAD: u64 = 4 << 20;
/// Where the client tells the others what to do.
const CONTROL_LB: &str = "10.1.0.1:7000";
const CONTROL_BACKENDS: &str = "10.2.0.10:7000";

const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(400);
const FALL: u32 = 2;
/// Three emulated machines on two cores.
const SLACK: Duration = Duration::from_secs(4);

/// The namespace that has the machine's interfaces, configured.
fn host(role: &str, interfaces: &[(&str, &[&str])]) -> Netns {
    assert!(
        env::var_os(needs::IN_GUEST).is_some(),
        "only in a VM: run by `cargo xtask test vm`"
    );
    for module in ["virtio_pci", "virtio_net"] {
        needs::module(module).unwrap();
    }
    let netns = Netns::new(role).unwrap();
    for (interface, addresses) in interfaces {
        wait_for(interface, PATIENCE, || netns.take(interface)).unwrap();
        netns.address(interface, addresses).unwrap();
    }
    netns
}

/// Answers each line that the client sends, until it sends `end`.
fn obey(netns: &Netns, at: &str, mut answer: impl FnMut(&str) -> String) {
    let listener = netns.enter(|| Ok(TcpListener::bind(at)?)).unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        let line = line.trim();
        let text = if line == "end" {
            String::new()
        } else {
            answer(line)
        };
        writeln!(stream, "{text}").unwrap();
        if line == "end" {
            return;
        }
    }
}

#[test]
#[ignore = "run by `cargo xtask test vm`"]
fn backends() {
    let addresses = |n: usize| {
        [
            format!("10.2.0.{}:{BACKEND_PORT}", 10 + n),
            format!("[fd00:2::{}]:{BACKEND_PORT}", 10 + n),
        ]
        .map(|address| address.parse::<SocketAddr>().unwrap())
    };
    let own: &[&str] = &[
        "10.2.0.10/24",
        "10.2.0.11/24",
        "10.2.0.12/24",
        "10.2.0.13/24",
        "fd00:2::10/64",
        "fd00:2::11/64",
        "fd00:2::12/64",
        "fd00:2::13/64",
    ];
    let netns = host("backends", &[("eth0", own)]);
    netns
        .ip("route add default via 10.2.0.1\nroute add default via fd00:2::1")
        .unwrap();
    let serve = |name: &str| -> Vec<Server> {
        let n = 1 + NAMES.iter().position(|known| *known == name).unwrap();
        Protocol::BOTH
            .map(|protocol| Server::start(&netns, protocol, name, &addresses(n)).unwrap())
            .into()
    };
    let mut running: BTreeMap<String, Vec<Server>> = NAMES
        .iter()
        .map(|name| ((*name).to_owned(), serve(name)))
        .collect();
    let _behind = take_from_tunnels(&netns);
    obey(&netns, CONTROL_BACKENDS, |line| {
        let (verb, name) = line.split_once(' ').unwrap();
        match verb {
            "stop" => drop(running.remove(name)),
            "start" => drop(running.insert(name.to_owned(), serve(name))),
            other => panic!("unknown word {other:?}"),
        }
        "done".to_owned()
    });
}

/// The VIP, the kernel's own ends of tunnels, and servers at the VIP.
fn take_from_tunnels(netns: &Netns) -> Vec<Server> {
    behind::take_from_tunnels(netns, "fd00:2::12").unwrap();
    let mut servers = Vec::new();
    for (name, port, _) in BY {
        let addresses = Family::BOTH.map(|family| vip(family, port));
        for protocol in Protocol::BOTH {
            servers.push(Server::start(netns, protocol, name, &addresses).unwrap());
        }
    }
    servers
}

#[test]
#[ignore = "run by `cargo xtask test vm`"]
fn lb() {
    let netns = host(
        "lb",
        &[
            ("eth0", &["10.1.0.1/24", "fd00:1::1/64"]),
            ("eth1", &["10.2.0.1/24", "fd00:2::1/64"]),
        ],
    );
    netns.enable_forwarding().unwrap();
    let mut config = Config::new(vec!["eth0".to_owned(), "eth1".to_owned()]);
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            config = config.service(service(family, protocol));
            for (forward, port, is_4in6) in BY {
                if !is_4in6 || family == Family::V4 {
                    config = config.service(kept_port(forward, port, is_4in6, family, protocol));
                }
            }
        }
    }
    let daemon = Daemon::start(&netns, &config).unwrap();
    obey(&netns, CONTROL_LB, |_| daemon.status().unwrap().to_string());
    print!("{}", daemon.log());
}

fn service(family: Family, protocol: Protocol) -> Service {
    let name = format!("{family}-{protocol}");
    let mut service = Service::new(&name, protocol, &[vip(family, SERVICE_PORT)]);
    if protocol == Protocol::Tcp {
        service = service.health(&format!(
            "type = \"tcp\"\ninterval = \"{}ms\"\ntimeout = \"{}ms\"\nrise = 1\nfall = {FALL}\n",
            INTERVAL.as_millis(),
            TIMEOUT.as_millis()
        ));
    }
    for (n, name) in (11..).zip(NAMES) {
        let address = match family {
            Family::V4 => format!("10.2.0.{n}:{BACKEND_PORT}"),
            Family::V6 => format!("[fd00:2::{n}]:{BACKEND_PORT}"),
        };
        service = service.backend(Backend::new(name, address.parse().unwrap()));
    }
    service
}

fn kept_port(
    forward: &str,
    port: u16,
    is_4in6: bool,
    family: Family,
    protocol: Protocol,
) -> Service {
    let address = match family {
        // Where the backend has a tunnel device for IPv4 in IPv6.
        _ if is_4in6 => format!("[fd00:2::12]:{port}"),
        Family::V4 => format!("10.2.0.11:{port}"),
        Family::V6 => format!("[fd00:2::11]:{port}"),
    };
    Service::new(
        &format!("{forward}-{port}-{family}-{protocol}"),
        protocol,
        &[vip(family, port)],
    )
    .options(&format!("forward = \"{forward}\""))
    // Its server is at the VIP, and answers nobody else; an answering neighbour is all that is asked for.
    .health("type = \"none\"")
    .backend(Backend::new("behind", address.parse().unwrap()))
}

#[test]
#[ignore = "run by `cargo xtask test vm`"]
fn client() {
    let netns = host("client", &[("eth0", &["10.1.0.2/24", "fd00:1::2/64"])]);
    // What the client sends has to fit when it is inside of another packet.
    netns.ip("link set eth0 mtu 1400").unwrap();
    netns
        .ip("route add default via 10.1.0.1\nroute add default via fd00:1::1")
        .unwrap();
    let client = Client::new(&netns);
    let status = wait_for("every backend is up", PATIENCE, || {
        let status = status(&netns)?;
        ensure!(
            daemon::backends(&status).all(|b| b["health"] == "up"),
            "{status:#}"
        );
        Ok(status)
    })
    .unwrap();
    for interface in status["interfaces"].as_array().unwrap() {
        assert_eq!(interface["mode"], "native", "{interface}");
    }
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            goes_from_nic_to_nic(&netns, &client, family, protocol);
        }
    }
    for (forward, port, is_4in6) in BY {
        for family in Family::BOTH {
            if !is_4in6 || family == Family::V4 {
                keeps_the_port(&netns, &client, forward, port, family);
            }
        }
    }
    fails_over(&netns, &client);
    for at in [CONTROL_BACKENDS, CONTROL_LB] {
        tell(&netns, at, "end").unwrap();
    }
}

/// New flows reach every backend, straight from one interface to the other.
fn goes_from_nic_to_nic(netns: &Netns, client: &Client, family: Family, protocol: Protocol) {
    const FLOWS: u64 = 300;
    let before = status(netns).unwrap();
    let counts = client
        .spread(protocol, vip(family, SERVICE_PORT), FLOWS, 2)
        .unwrap()
        .all()
        .unwrap();
    let after = status(netns).unwrap();
    let grown = |name| daemon::verdict(&after, name) - daemon::verdict(&before, name);
    let (forwarded, replied) = (grown("forward_redirect"), grown("reply_redirect"));
    println!(
        "{family} {protocol}: {counts:?}; {forwarded} packets forwarded, {replied} replies, from NIC to NIC"
    );
    for name in NAMES {
        let count = counts.get(name).copied().unwrap_or_default();
        // Five standard deviations of chance are 0.14 of all flows.
        assert!(count.abs_diff(FLOWS / 3) < FLOWS * 14 / 100, "{counts:?}");
    }
    assert!(forwarded >= FLOWS && replied >= FLOWS, "{after:#}");
}

/// TCP and UDP reach the VIP on the backend, a long transfer too; answers do not pass the load balancer's programs.
fn keeps_the_port(netns: &Netns, client: &Client, forward: &str, port: u16, family: Family) {
    const FLOWS: u64 = 50;
    let what = format!("{forward} {port} {family}");
    let before = status(netns).unwrap();
    for protocol in Protocol::BOTH {
        let spread = client
            .spread(protocol, vip(family, port), FLOWS, 2)
            .unwrap();
        assert_eq!(spread.of(forward), FLOWS, "{what}: {spread:?}");
    }
    let mut stream = client.connect(vip(family, port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let line = format!("{}\n", "z".repeat(64 << 10));
    let mut received = 0;
    while received < DOWNLOAD {
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        reader.read_line(&mut answer).unwrap();
        assert_eq!(answer, format!("{forward} {line}"), "{what}");
        received += answer.len() as u64;
    }
    let after = status(netns).unwrap();
    let grown = |prefix| daemon::verdicts(&after, prefix) - daemon::verdicts(&before, prefix);
    println!(
        "{what}: {} packets straight out, {} through the kernel, {} replies seen",
        grown("forward_redirect"),
        grown("forward_stack"),
        grown("reply_")
    );
    assert!(grown("forward_redirect") > FLOWS * 4, "{what}: {after:#}");
    assert_eq!(grown("drop_"), 0, "{what}: {after:#}");
    assert_eq!(grown("reply_") + grown("egress_reply"), 0, "{what}");
}

/// A backend that stops is ejected in time, and comes back.
fn fails_over(netns: &Netns, client: &Client) {
    let patient = client.clone().patience(TIMEOUT);
    let question = Question::Name(Protocol::Tcp);
    let address = vip(Family::V4, SERVICE_PORT);
    let traffic = Traffic::start(&patient, question, address, 2, Duration::from_millis(20));
    tell(netns, CONTROL_BACKENDS, "stop b1").unwrap();
    let stopped = Instant::now();
    wait_for_health(netns, "down");
    let took = stopped.elapsed();
    let ejected = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    let (after, before): (Vec<_>, Vec<_>) = traffic
        .finish()
        .unwrap()
        .into_iter()
        .partition(|sample| sample.start > ejected);
    let (before, after) = (summary(before), summary(after));
    let limit = INTERVAL * FALL + TIMEOUT;
    println!("b1 ejected after {took:?} (limit {limit:?}); before {before:?}; after {after:?}");
    assert!(took <= limit + SLACK, "{took:?}");
    assert!(after.answered() > 10, "{after:?}");
    assert_eq!((after.failed(), after.of("b1")), (0, 0), "{after:?}");

    tell(netns, CONTROL_BACKENDS, "start b1").unwrap();
    wait_for_health(netns, "up");
    let counts = client.spread(Protocol::Tcp, address, 100, 2).unwrap();
    assert!(counts.all().unwrap().contains_key("b1"));
}

/// Until the load balancer says so of `b1`, in the service that is being asked.
fn wait_for_health(netns: &Netns, health: &str) {
    wait_for(format!("b1 is {health}"), PATIENCE, || {
        let status = status(netns)?;
        let services = status["services"].as_array().context("no services")?;
        let service = services
            .iter()
            .find(|service| service["name"] == "IPv4-tcp")
            .context("the service is not there")?;
        let backends = service["backends"].as_array().context("no backends")?;
        ensure!(
            backends
                .iter()
                .any(|b| b["name"] == "b1" && b["health"] == health),
            "{service:#}"
        );
        Ok(())
    })
    .unwrap();
}

fn status(netns: &Netns) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&tell(netns, CONTROL_LB, "status")?)?)
}

fn tell(netns: &Netns, at: &str, line: &str) -> anyhow::Result<String> {
    netns.enter(|| {
        let mut stream = TcpStream::connect_timeout(&at.parse()?, Duration::from_secs(3))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        writeln!(stream, "{line}")?;
        let mut answer = String::new();
        BufReader::new(&stream).read_line(&mut answer)?;
        Ok(answer)
    })
}

//! Datagrams that are larger than a packet: every piece reaches the one backend, and every piece of the answer the client.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod pieces;

use std::{
    collections::BTreeSet,
    net::{SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    config::Config,
    daemon::{Daemon, verdict, verdicts},
    needs,
    netns::Netns,
    topology::{CLIENT_V4, CLIENT_V6, Shape, Topology, vip},
};

use self::pieces::{pieces, send};

const PORT: u16 = 53;
const LENGTH: usize = 8192;
/// Into which a datagram of that length, or the answer to it, is cut where packets have 1500 bytes.
const PIECES: u64 = 6;
/// Of the client, for each family.
const SOCKETS: u64 = 32;
const PATIENCE: Duration = Duration::from_secs(5);
const GENERIC: &str = "xdp_mode = \"generic\"\nredirect = \"never\"";

#[test]
fn large_datagrams_to_other_hosts() {
    echoes(Shape::Gateway, needs::repetitions(10_000, 1_000));
}

#[test]
fn large_datagrams_to_processes_on_this_host() {
    echoes(Shape::Local, needs::repetitions(10_000, 1_000));
}

#[test]
fn large_datagrams_to_containers() {
    echoes(Shape::Bridge, needs::repetitions(2_000, 500));
}

#[test]
fn large_datagrams_in_generic_mode() {
    for shape in Shape::ALL {
        let topology = Topology::new(shape, 3).unwrap();
        let config = config(&topology, "", GENERIC);
        echo(&topology, &config, needs::repetitions(500, 100));
    }
}

#[test]
fn large_datagrams_whose_both_ends_are_translated() {
    let topology = Topology::new(Shape::Gateway, 3).unwrap();
    let config = config(&topology, "forward = \"fullnat\"", "");
    echo(&topology, &config, needs::repetitions(2_000, 500));
}

fn echoes(shape: Shape, count: u64) {
    let topology = Topology::new(shape, 3).unwrap();
    echo(&topology, &config(&topology, "", ""), count);
}

fn echo(topology: &Topology, config: &Config, count: u64) {
    let shape = topology.shape;
    let _servers = topology.serve(Protocol::Udp).unwrap();
    let daemon = Daemon::start(&topology.lb, config).unwrap();
    let before = daemon.status().unwrap();
    // Each family on its own: a client that waits for an answer has one packet in pieces on the way, and no two share an
    // identification.
    thread::scope(|scope| {
        let asks = Family::BOTH.map(|family| {
            let client = &topology.client;
            scope.spawn(move || client.enter(|| ask_all(family, count)))
        });
        for (family, ask) in Family::BOTH.into_iter().zip(asks) {
            let used = ask.join().unwrap();
            let used = used.with_context(|| format!("{shape:?} {family}")).unwrap();
            assert!(
                used.len() > 1,
                "{shape:?} {family}: {used:?} answered alone"
            );
        }
    });
    let after = daemon.status().unwrap();
    let grown = |prefix: &str| verdicts(&after, prefix) - verdicts(&before, prefix);
    let expected = 2 * count * PIECES;
    assert!(grown("forward_") >= expected, "{shape:?}: {after:#}");
    let replied = grown("reply_") + grown("egress_reply");
    assert!(replied >= expected, "{shape:?}: {after:#}");
    assert_eq!(grown("pass_fragment"), 0, "{shape:?}: {after:#}");
    assert_eq!(grown("drop"), 0, "{shape:?}: {after:#}");
}

/// With options for the services, and for the daemon.
fn config(topology: &Topology, services: &str, daemon: &str) -> Config {
    let mut config = Config::new(topology.interfaces()).daemon(daemon);
    for family in Family::BOTH {
        let service = topology.service(&family.to_string(), Protocol::Udp, family, PORT);
        config = config.service(service.options(services));
    }
    config
}

/// Sends large datagrams by many sockets in turn, each after the answer to the one before. Which backends answered.
fn ask_all(family: Family, count: u64) -> anyhow::Result<BTreeSet<String>> {
    let flows = (0..SOCKETS)
        .map(|_| Flow::new(client(family, 0), vip(family, PORT)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for n in 0..count {
        let flow = &flows[(n % SOCKETS) as usize];
        let sent = payload(n);
        flow.socket.send(&sent)?;
        flow.expect(&sent)
            .with_context(|| format!("datagram {n} of {count}"))?;
    }
    Ok(flows.into_iter().map(|flow| flow.backend).collect())
}

/// A socket, and who answers it.
struct Flow {
    socket: UdpSocket,
    backend: String,
}

impl Flow {
    /// A small datagram says where the flow goes.
    fn new(from: SocketAddr, to: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(from)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(b"who")?;
        let answer = receive(&socket)?;
        let answer = String::from_utf8(answer)?;
        let (name, _) = answer.split_once(' ').context("no name")?;
        Ok(Self {
            socket,
            backend: name.to_owned(),
        })
    }

    /// The answer is the flow's backend's, and has what was sent.
    fn expect(&self, sent: &[u8]) -> anyhow::Result<()> {
        let answer = receive(&self.socket)?;
        let name = format!("{} ", self.backend);
        let echo = answer.strip_prefix(name.as_bytes()).with_context(|| {
            let start = String::from_utf8_lossy(&answer[..answer.len().min(8)]).into_owned();
            format!(
                "misdelivered: {} has the flow, found {start:?}",
                self.backend
            )
        })?;
        ensure!(echo == sent, "the answer has other bytes");
        Ok(())
    }
}

fn receive(socket: &UdpSocket) -> anyhow::Result<Vec<u8>> {
    let mut buffer = vec![0; 2 * LENGTH];
    let length = socket.recv(&mut buffer).context("lost: no answer")?;
    buffer.truncate(length);
    Ok(buffer)
}

/// Bytes that no other datagram has, and no other piece of this one.
fn payload(n: u64) -> Vec<u8> {
    (0..LENGTH as u64 / 8)
        .flat_map(|i| (n << 16 | i).to_be_bytes())
        .collect()
}

fn client(family: Family, port: u16) -> SocketAddr {
    match family {
        Family::V4 => (CLIENT_V4, port).into(),
        Family::V6 => (CLIENT_V6, port).into(),
    }
}

#[test]
fn the_second_piece_before_the_first() {
    needs!(needs::kernel("5.18"));
    let count = needs::repetitions(300, 50);
    for shape in [Shape::Gateway, Shape::Local] {
        for family in Family::BOTH {
            swapped(shape, family, count);
        }
    }
}

fn swapped(shape: Shape, family: Family, count: u64) {
    let topology = Topology::new(shape, 3).unwrap();
    let _servers = topology.serve(Protocol::Udp).unwrap();
    let daemon = Daemon::start(&topology.lb, &config(&topology, "", "")).unwrap();
    let before = daemon.status().unwrap();
    let ask = || {
        let flows = (0..8)
            .map(|n| Flow::new(client(family, 20_000 + n), vip(family, PORT)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for n in 0..count {
            let port = 20_000 + (n % 8) as u16;
            let sent = payload(n);
            let mut pieces = pieces(client(family, port), vip(family, PORT), n as u32 + 1, &sent);
            pieces.swap(0, 1);
            send(vip(family, 0), &pieces)?;
            let flow = &flows[(n % 8) as usize];
            flow.expect(&sent)
                .with_context(|| format!("datagram {n} of {count}"))?;
        }
        Ok(())
    };
    topology
        .client
        .enter(ask)
        .with_context(|| format!("{shape:?} {family}"))
        .unwrap();
    let after = daemon.status().unwrap();
    let grown = |name: &str| verdict(&after, name) - verdict(&before, name);
    // Where several CPUs receive, some come in order after all.
    let held = grown("held_fragment");
    assert!(
        held >= count / 2,
        "{shape:?} {family}: {held} held: {after:#}"
    );
    assert_eq!(grown("pass_fragment"), 0, "{shape:?} {family}: {after:#}");
    let forwarded = verdicts(&after, "forward_") - verdicts(&before, "forward_");
    assert!(forwarded >= count * PIECES, "{shape:?} {family}: {after:#}");
}

#[test]
fn a_piece_whose_first_never_comes_is_passed() {
    needs!(needs::kernel("5.18"));
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, "", "")).unwrap();
    for (n, family) in (0..).zip(Family::BOTH) {
        alone(&topology.client, family);
        let counts =
            |status: &Value| ["held_fragment", "pass_fragment"].map(|name| verdict(status, name));
        daemon
            .wait_status("the piece is passed", PATIENCE, |status| {
                counts(status) == [n + 1, n + 1]
            })
            .unwrap();
    }
}

#[test]
fn without_the_daemon_pieces_in_order_go_on_and_others_are_passed() {
    let topology = Topology::new(Shape::Gateway, 2).unwrap();
    let _servers = topology.serve(Protocol::Udp).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, "", "")).unwrap();
    daemon.kill().unwrap();
    for family in Family::BOTH {
        topology
            .client
            .enter(|| ask_all(family, 100))
            .with_context(|| format!("{family}"))
            .unwrap();
        alone(&topology.client, family);
    }
    // The next one reads what the programs have counted meanwhile.
    daemon.run().unwrap();
    let status = daemon.wait_ready().unwrap();
    assert_eq!(verdict(&status, "held_fragment"), 0, "{status:#}");
    assert_eq!(verdict(&status, "pass_fragment"), 2, "{status:#}");
    assert!(verdicts(&status, "forward_") >= 200 * PIECES, "{status:#}");
}

/// Sends a second piece and nothing else.
fn alone(netns: &Netns, family: Family) {
    let pieces = pieces(client(family, 20_000), vip(family, PORT), 1, &payload(1));
    netns.enter(|| send(vip(family, 0), &pieces[1..2])).unwrap();
}

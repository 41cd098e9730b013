//! A client that talks to a backend itself is left alone, also by the very ports it used through the VIP before.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::sys::{
    socket::{
        SockFlag, SockType, SockaddrLike as _, SockaddrStorage, bind, connect, setsockopt, socket,
        sockopt,
    },
    time::TimeVal,
};
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::Config,
    daemon::{Daemon, verdicts},
    netns::Netns,
    topology::{CLIENT_V4, CLIENT_V6, Shape, Topology, vip},
};

const PORT: u16 = 80;
const PORTS: std::ops::Range<u16> = 30_000..30_040;
/// A backend that answers from TIME-WAIT makes the client send its SYN again after a second, without any load
/// balancer too.
const PATIENCE: Duration = Duration::from_secs(4);

#[test]
fn by_ports_used_through_the_vip_just_before() {
    for shape in Shape::ALL {
        for family in Family::BOTH {
            reuses_ports(shape, family);
        }
    }
}

fn reuses_ports(shape: Shape, family: Family) {
    let topology = Topology::new(shape, 1).unwrap();
    let backend = &topology.backends[0];
    let address = backend.address(family);
    let listener = backend
        .netns
        .enter(|| Ok(TcpListener::bind(address)?))
        .unwrap();
    // Closes first, and so is the one that keeps TIME-WAIT.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.write_all(b"hello");
        }
    });
    let service = topology.service("web", Protocol::Tcp, family, PORT);
    let config = Config::new(topology.interfaces()).service(service);
    let daemon = Daemon::start(&topology.lb, &config).unwrap();

    for port in PORTS {
        greet(&topology.client, family, port, vip(family, PORT))
            .with_context(|| format!("{shape:?} {family}: port {port} to the VIP"))
            .unwrap();
    }
    let before = daemon.status().unwrap();
    let mut slowest = Duration::ZERO;
    for port in PORTS {
        let start = Instant::now();
        greet(&topology.client, family, port, address)
            .with_context(|| format!("{shape:?} {family}: port {port} to the backend itself"))
            .unwrap();
        slowest = slowest.max(start.elapsed());
    }
    let after = daemon.status().unwrap();
    let grown = |prefix| verdicts(&after, prefix) - verdicts(&before, prefix);
    println!("{shape:?} {family}: slowest direct connection {slowest:?}");
    assert_eq!(
        grown("forward_"),
        0,
        "a packet of a direct connection went to the VIP"
    );
    // And back again.
    let client = Client::new(&topology.client);
    let mut stream = client.connect(vip(family, PORT)).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

/// Connects from a given port and reads until the other side closes.
fn greet(netns: &Netns, family: Family, port: u16, to: SocketAddr) -> anyhow::Result<()> {
    let from: SocketAddr = match family {
        Family::V4 => (CLIENT_V4, port).into(),
        Family::V6 => (CLIENT_V6, port).into(),
    };
    netns.enter(|| {
        let mut stream = open(from, to)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("reading")?;
        anyhow::ensure!(text == "hello", "found {text:?}");
        Ok(())
    })
}

fn open(from: SocketAddr, to: SocketAddr) -> anyhow::Result<TcpStream> {
    let [from, to] = [from, to].map(SockaddrStorage::from);
    let family = from.family().context("an address without a family")?;
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let limit = TimeVal::new(PATIENCE.as_secs() as i64, 0);
    // Bounds connecting too.
    setsockopt(&socket, sockopt::SendTimeout, &limit)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &limit)?;
    bind(socket.as_raw_fd(), &from).context("binding")?;
    connect(socket.as_raw_fd(), &to).context("connecting")?;
    Ok(socket.into())
}

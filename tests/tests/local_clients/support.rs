//! One service for each protocol and family, and how a client asks for them.

use std::{
    io,
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::Context as _;
use shunt_tests::{
    Family, Protocol, config::Config, daemon::Daemon, netns::Netns, server::Server,
    topology::Topology,
};

/// Of every service, at the VIP.
pub const PORT: u16 = 80;
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn config(topology: &Topology) -> Config {
    let mut config = Config::new(topology.interfaces());
    for protocol in Protocol::BOTH {
        for family in Family::BOTH {
            let name = format!("{}-{family}", protocol.name());
            config = config.service(topology.service(&name, protocol, family, PORT));
        }
    }
    config
}

pub fn serve(topology: &Topology) -> Vec<Server> {
    Protocol::BOTH
        .iter()
        .flat_map(|&protocol| topology.serve(protocol).unwrap())
        .collect()
}

/// How often it happened.
pub fn event(daemon: &Daemon, name: &str) -> u64 {
    daemon.status().unwrap()["events"][name].as_u64().unwrap()
}

pub fn connect(netns: &Netns, to: SocketAddr) -> io::Result<TcpStream> {
    netns
        .enter(|| Ok(TcpStream::connect_timeout(&to, PATIENCE)))
        .unwrap()
}

/// A UDP socket that is not connected.
pub fn unconnected(netns: &Netns, family: Family) -> UdpSocket {
    let any = match family {
        Family::V4 => "0.0.0.0:0",
        Family::V6 => "[::]:0",
    };
    let socket = netns
        .enter(|| UdpSocket::bind(any).context("binding"))
        .unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Who answers a datagram, and by which address.
pub fn exchange(sender: &UdpSocket, to: SocketAddr) -> (String, SocketAddr) {
    sender.send_to(b"who", to).unwrap();
    let mut buffer = [0; 64];
    let (length, from) = sender.recv_from(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    (text.strip_suffix(" who").unwrap().to_owned(), from)
}

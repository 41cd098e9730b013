//! A client, a load balancer and backends, in the three ways backends are reached. Each has both families.
//!
//! ```text
//!            10.1.0.2 ┌──────┐ 10.1.0.1         10.2.0.1
//!  client ──────eth0──┤ veth ├──eth0── lb ── eth1 or br0 ── backends, 10.2.0.11, .12, …
//!           fd00:1::2 └──────┘ fd00:1::1        fd00:2::1              fd00:2::11, …
//! ```
//!
//! | shape | backends | their way back |
//! |---|---|---|
//! | [`Gateway`](Shape::Gateway) | hosts behind `eth1`, on a switch | `lb` is their default gateway |
//! | [`Local`](Shape::Local) | processes on `lb`, at the addresses of its `eth0`, ports 8001, 8002, … | leave through `eth0` |
//! | [`Bridge`](Shape::Bridge) | containers behind `br0` on `lb`, as docker makes them | through `br0` |
//!
//! The VIPs are 10.99.0.1 and fd00:99::1. They reach `lb` by a route, as with BGP or a static route at the operator's
//! router; here it is the client's default route, by which it also reaches backends directly. As operators do whose
//! routing daemon announces a VIP, `lb` has them on its loopback: what the datapath passes (a fragment, a port without
//! a service) ends there and is answered, rather than being routed out again. The datapath does not need that;
//! [`Topology::remove_vips`] is for showing so.
//!
//! `Local` does not forward, as an application host does not; the others do.

pub mod behind;
mod bridge;
mod gateway;
mod local;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Once,
};

use crate::{
    Family, Protocol,
    config::{self, Service},
    netns::Netns,
    server::Server,
    stale::{self, Leftovers},
};

/// Where services listen.
pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 1);

/// The load balancer towards the client.
pub const LB_V4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
pub const LB_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1);

pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2);

/// Where backends on hosts of their own listen; those on the load balancer use 8001, 8002, …
pub const BACKEND_PORT: u16 = 8080;
const LOCAL_PORTS: u16 = 8000;

/// How backends are reached.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Shape {
    Gateway,
    Local,
    Bridge,
}

impl Shape {
    pub const ALL: [Self; 3] = [Self::Gateway, Self::Local, Self::Bridge];
}

/// Where a backend runs and listens.
#[derive(Clone, Debug)]
pub struct BackendHost {
    /// `b1`, `b2`, …
    pub name: String,
    pub netns: Netns,
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
    pub port: u16,
}

impl BackendHost {
    pub fn address(&self, family: Family) -> SocketAddr {
        match family {
            Family::V4 => (self.v4, self.port).into(),
            Family::V6 => (self.v6, self.port).into(),
        }
    }

    /// Both of its addresses.
    pub fn addresses(&self) -> [SocketAddr; 2] {
        Family::BOTH.map(|family| self.address(family))
    }

    /// Starts a server that answers with the backend's name, at both addresses.
    pub fn serve(&self, protocol: Protocol) -> anyhow::Result<Server> {
        Server::start(&self.netns, protocol, &self.name, &self.addresses())
    }
}

#[derive(Debug)]
pub struct Topology {
    pub shape: Shape,
    pub client: Netns,
    pub lb: Netns,
    switch: Option<Netns>,
    pub backends: Vec<BackendHost>,
}

impl Topology {
    /// Makes the hosts, with `backends` backends on which nothing runs yet.
    ///
    /// # Errors
    /// Without root or iproute2. Nothing stays then.
    pub fn new(shape: Shape, backends: usize) -> anyhow::Result<Self> {
        remove_lost();
        let client = Netns::new("client")?;
        let lb = Netns::new("lb")?;
        client.wire("eth0", &lb, "eth0")?;
        client.finish_checksums("eth0")?;
        client.address("eth0", &["10.1.0.2/24", "fd00:1::2/64"])?;
        lb.address("eth0", &["10.1.0.1/24", "fd00:1::1/64"])?;
        lb.address("lo", &["10.99.0.1/32", "fd00:99::1/128"])?;
        client.ip("route add default via 10.1.0.1\nroute add default via fd00:1::1")?;
        // Tens of thousands of connections within the minute for which a closed one holds its port.
        client.sysctl("net/ipv4/ip_local_port_range", "1024 65535")?;
        client.sysctl("net/ipv4/tcp_tw_reuse", "1")?;
        let switch = match shape {
            Shape::Gateway => Some(gateway::lay(&lb)?),
            Shape::Bridge => {
                bridge::lay(&lb)?;
                None
            }
            Shape::Local => None,
        };
        let mut topology = Self {
            shape,
            client,
            lb,
            switch,
            backends: Vec::new(),
        };
        for _ in 0..backends {
            topology.add_backend()?;
        }
        Ok(topology)
    }

    /// Makes one more backend.
    pub fn add_backend(&mut self) -> anyhow::Result<&BackendHost> {
        let n = self.backends.len() + 1;
        let backend = match &self.switch {
            Some(switch) => gateway::backend(switch, n)?,
            None if self.shape == Shape::Bridge => bridge::backend(&self.lb, n)?,
            None => local::backend(&self.lb, n)?,
        };
        self.backends.push(backend);
        Ok(&self.backends[n - 1])
    }

    /// The interfaces the daemon attaches to: those by which packets come from and go to other machines.
    pub fn interfaces(&self) -> Vec<String> {
        let names: &[&str] = match self.shape {
            Shape::Gateway => &["eth0", "eth1"],
            Shape::Local | Shape::Bridge => &["eth0"],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// What the backends of [`Shape::Gateway`] are plugged into: `br0`, with `port1`, … to them and `port0` to `lb`.
    ///
    /// # Panics
    /// The other shapes have none.
    pub fn switch(&self) -> &Netns {
        self.switch
            .as_ref()
            .unwrap_or_else(|| panic!("{:?} has no switch", self.shape))
    }

    /// Takes the VIPs from the loopback of the load balancer.
    pub fn remove_vips(&self) -> anyhow::Result<()> {
        self.lb
            .ip("addr del 10.99.0.1/32 dev lo\naddr del fd00:99::1/128 dev lo")
    }

    /// Starts a server on every backend.
    pub fn serve(&self, protocol: Protocol) -> anyhow::Result<Vec<Server>> {
        self.backends
            .iter()
            .map(|backend| backend.serve(protocol))
            .collect()
    }

    /// A service of one family over every backend, at the VIP.
    pub fn service(&self, name: &str, protocol: Protocol, family: Family, port: u16) -> Service {
        let mut service = Service::new(name, protocol, &[vip(family, port)]);
        for backend in &self.backends {
            let address = backend.address(family);
            service = service.backend(config::Backend::new(&backend.name, address));
        }
        service
    }
}

/// A port of the VIP.
pub fn vip(family: Family, port: u16) -> SocketAddr {
    match family {
        Family::V4 => (IpAddr::V4(VIP_V4), port).into(),
        Family::V6 => (IpAddr::V6(VIP_V6), port).into(),
    }
}

/// Once in a process, removes what killed runs left, so that it does not pile up.
fn remove_lost() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if let Err(error) = stale::remove(Leftovers::Lost) {
            eprintln!("removing what a killed run left: {error:#}");
        }
    });
}

/// Addresses of the `n`-th backend on a host of its own.
fn backend_addresses(n: usize) -> anyhow::Result<(Ipv4Addr, Ipv6Addr)> {
    // 10.2.0.11 and fd00:2::11: the same digits, though the latter are hexadecimal.
    let last = 10 + u8::try_from(n)?;
    anyhow::ensure!(last < 100, "at most 89 backends have addresses, not {n}");
    let digits = u16::from(last / 10) << 4 | u16::from(last % 10);
    Ok((
        Ipv4Addr::new(10, 2, 0, last),
        Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, digits),
    ))
}

/// A host with `eth0` plugged into `bridge` of `at`, and the load balancer as its gateway.
fn plugged_host(at: &Netns, bridge: &str, n: usize) -> anyhow::Result<BackendHost> {
    let (v4, v6) = backend_addresses(n)?;
    let name = format!("b{n}");
    let netns = Netns::new(&name)?;
    let port = format!("port{n}");
    netns.wire("eth0", at, &port)?;
    at.ip(&format!("link set {port} master {bridge}"))?;
    netns.address("eth0", &[&format!("{v4}/24"), &format!("{v6}/64")])?;
    netns.ip("route add default via 10.2.0.1\nroute add default via fd00:2::1")?;
    Ok(BackendHost {
        name,
        netns,
        v4,
        v6,
        port: BACKEND_PORT,
    })
}

//! Who is who: the addresses that rows speak of, in both families.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use lb_common::backend::BackendId;
use lb_userspace::desired::Protocol;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    V4,
    V6,
}

/// What a row is run over: a family and a protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kind {
    pub family: Family,
    pub protocol: Protocol,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::new(Family::V4, Protocol::Tcp),
        Self::new(Family::V4, Protocol::Udp),
        Self::new(Family::V6, Protocol::Tcp),
        Self::new(Family::V6, Protocol::Udp),
    ];

    pub const fn new(family: Family, protocol: Protocol) -> Self {
        Self { family, protocol }
    }

    pub fn is_v4(self) -> bool {
        self.family == Family::V4
    }

    pub fn is_tcp(self) -> bool {
        self.protocol == Protocol::Tcp
    }

    /// The pool that serves it, and the place of its backends among all of them.
    pub fn pool(self) -> u16 {
        let family = if self.is_v4() { 0 } else { 2 };
        family + u16::from(!self.is_tcp())
    }

    pub fn at(self, host: Host, port: u16) -> SocketAddr {
        SocketAddr::new(host.address(self.family), port)
    }

    pub fn vip(self) -> SocketAddr {
        self.at(Host::Vip, VIP_PORT)
    }

    pub fn client(self) -> SocketAddr {
        self.at(Host::Client, CLIENT_PORT)
    }

    pub fn backend(self, host: Host) -> SocketAddr {
        self.at(host, BACKEND_PORT)
    }

    /// The id of the first backend at `host`.
    pub fn id(self, host: Host) -> BackendId {
        self.id_of(host, 1)
    }

    pub fn id_of(self, host: Host, generation: u16) -> BackendId {
        BackendId::new(1 + self.pool() * 16 + host as u16, generation)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.is_tcp() { "TCP" } else { "UDP" };
        write!(f, "{:?} {protocol}", self.family)
    }
}

pub const VIP_PORT: u16 = 80;
/// A port of the VIP with a listener for TCP only, and one for UDP only.
pub const TCP_PORT: u16 = 81;
pub const UDP_PORT: u16 = 82;
/// A port of the VIP whose pool has no table.
pub const EMPTY_PORT: u16 = 83;
pub const EMPTY_POOL: u16 = 9;
pub const CLIENT_PORT: u16 = 40_000;
pub const BACKEND_PORT: u16 = 8001;

/// An interface of the load balancer: its number is its index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Port {
    /// Towards clients.
    Front = 10,
    /// Towards backends.
    Back = 20,
    /// Not one to transmit on.
    Shut = 30,
}

impl Port {
    pub const ALL: [Self; 3] = [Self::Front, Self::Back, Self::Shut];
    /// What fits through [`Self::Back`].
    pub const BACK_MTU: usize = 1400;

    pub const fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 1, self as u8]
    }

    /// May packets be transmitted on it?
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Shut)
    }

    pub const fn mtu(self) -> usize {
        match self {
            Self::Back => Self::BACK_MTU,
            Self::Front | Self::Shut => 1500,
        }
    }
}

/// Somebody with an address in either family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Host {
    /// On no interface: packets to it are seen on their way through.
    Vip,
    /// Behind the front, with a neighbour entry.
    Client,
    /// Behind the front, without one.
    ColdClient,
    /// Behind the back, where the backends are.
    NearClient,
    /// A process on the load balancer itself.
    Local,
    /// A backend behind the front.
    Front,
    /// Two backends behind the back.
    Back,
    Other,
    /// One there without a neighbour entry.
    Cold,
    /// One behind the interface that is not transmitted on.
    Shut,
    /// An address that nothing is configured for.
    Stranger,
}

impl Host {
    pub const BACKENDS: [Self; 6] = [
        Self::Local,
        Self::Front,
        Self::Back,
        Self::Other,
        Self::Cold,
        Self::Shut,
    ];
    pub const NEIGHBOURS: [Self; 6] = [
        Self::Client,
        Self::NearClient,
        Self::Front,
        Self::Back,
        Self::Other,
        Self::Shut,
    ];

    /// The interface it is behind; `None` for what is not on a wire.
    pub const fn port(self) -> Option<Port> {
        match self {
            Self::Client | Self::ColdClient | Self::Front => Some(Port::Front),
            Self::NearClient | Self::Back | Self::Other | Self::Cold => Some(Port::Back),
            Self::Shut => Some(Port::Shut),
            Self::Vip | Self::Local | Self::Stranger => None,
        }
    }

    pub const fn mac(self) -> [u8; 6] {
        [2, 0, 0, 0, 2, self as u8]
    }

    pub fn address(self, family: Family) -> IpAddr {
        let subnet = match self {
            Self::Vip | Self::Stranger => 0,
            // The load balancer's own address on its front.
            Self::Local => return own(Port::Front, family),
            _ => self.port().map_or(0, |port| port as u8),
        };
        address(family, subnet, 100 + self as u8)
    }
}

/// The load balancer's own address on an interface.
pub fn own(port: Port, family: Family) -> IpAddr {
    address(family, port as u8, 1)
}

/// Where packets of `fullnat` come from.
pub fn snat(family: Family) -> IpAddr {
    address(family, Port::Back as u8, 200)
}

fn address(family: Family, subnet: u8, host: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 18, subnet, host).into(),
        Family::V6 => {
            let (subnet, host) = (u16::from(subnet), u16::from(host));
            Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0xfeed, 0xbeef, 0x1234, host).into()
        }
    }
}

//! Who is who: the addresses that rows speak of, in both families.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use lb_common::{
    backend::BackendId,
    port::{self, Tags},
};
use lb_userspace::desired::Protocol;

use super::packet::{SERVICE_VLAN, VLAN};

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

    /// The id of the backend at `host` that has no port of its own.
    pub fn portless_id(self, host: Host) -> BackendId {
        self.id_of(host, 100)
    }

    pub fn id_of(self, host: Host, generation: u16) -> BackendId {
        BackendId::new(1 + self.pool() * 32 + host as u16, generation)
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
    /// Stand for VLAN devices on the front: VLAN 42, service VLAN 7, and VLAN 42 in service VLAN 42.
    Tagged = 40,
    Service = 50,
    Double = 60,
    /// Takes frames larger than a page.
    Wide = 70,
    /// The same, but not from other interfaces.
    Linear = 80,
}

impl Port {
    pub const ALL: [Self; 8] = [
        Self::Front,
        Self::Back,
        Self::Shut,
        Self::Tagged,
        Self::Service,
        Self::Double,
        Self::Wide,
        Self::Linear,
    ];
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
            Self::Wide | Self::Linear => 9000,
            Self::Front | Self::Shut | Self::Tagged | Self::Service | Self::Double => 1500,
        }
    }

    /// The tags of its frames on the front, if it stands for a VLAN device.
    pub fn tags(self) -> Option<Tags> {
        let tag = |protocol: u16, id: u16| Tags::one(protocol.to_be(), id.to_be());
        match self {
            Self::Tagged => Some(tag(VLAN, 42)),
            Self::Service => Some(tag(SERVICE_VLAN, 7)),
            Self::Double => Some(tag(SERVICE_VLAN, 42).around(tag(VLAN, 42))),
            _ => None,
        }
    }

    /// As the daemon tells the programs.
    pub fn told(self) -> port::Port {
        let mtu = if self.is_open() { self.mtu() } else { 0 };
        let through = if self.tags().is_some() {
            Self::Front
        } else {
            self
        };
        let large = if matches!(self, Self::Linear) {
            0
        } else {
            port::Port::LARGE
        };
        port::Port {
            mtu: mtu as u32,
            through: through as u32,
            tags: self.tags().unwrap_or_default(),
            flags: port::Port::REDIRECT | large,
            padding: 0,
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
    /// One each behind the other interfaces.
    Tagged,
    Service,
    Double,
    Wide,
    Linear,
    /// An address that nothing is configured for.
    Stranger,
}

impl Host {
    pub const BACKENDS: [Self; 11] = [
        Self::Local,
        Self::Front,
        Self::Back,
        Self::Other,
        Self::Cold,
        Self::Shut,
        Self::Tagged,
        Self::Service,
        Self::Double,
        Self::Wide,
        Self::Linear,
    ];
    pub const NEIGHBOURS: [Self; 11] = [
        Self::Client,
        Self::NearClient,
        Self::Front,
        Self::Back,
        Self::Other,
        Self::Shut,
        Self::Tagged,
        Self::Service,
        Self::Double,
        Self::Wide,
        Self::Linear,
    ];

    /// The interface it is behind; `None` for what is not on a wire.
    pub const fn port(self) -> Option<Port> {
        match self {
            Self::Client | Self::ColdClient | Self::Front => Some(Port::Front),
            Self::NearClient | Self::Back | Self::Other | Self::Cold => Some(Port::Back),
            Self::Shut => Some(Port::Shut),
            Self::Tagged => Some(Port::Tagged),
            Self::Service => Some(Port::Service),
            Self::Double => Some(Port::Double),
            Self::Wide => Some(Port::Wide),
            Self::Linear => Some(Port::Linear),
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

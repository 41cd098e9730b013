//! Who has which address, in both families. The walk over flows changes the lower bits of an address and of a port, which
//! are zero here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use shunt_tests::Family;

use crate::cases::Side;

/// Flows of one client that follow each other, and services of one VIP: 2 to the power of this.
pub const PORT_BITS: u32 = 4;

const CLIENT_PORT: u16 = 0x8000;
const VIP_PORT: u16 = 8080;
const BACKEND_PORT: u16 = 8001;

/// An interface of the load balancer.
impl Side {
    pub const BOTH: [Self; 2] = [Self::Same, Self::Other];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "front",
            Self::Other => "back",
        }
    }

    pub const fn index(self) -> u32 {
        match self {
            Self::Same => 10,
            Self::Other => 20,
        }
    }

    const fn subnet(self) -> u8 {
        self.index() as u8
    }
}

/// The load balancer's own address, with the length of its prefix.
pub fn own(side: Side, family: Family) -> String {
    let length = match family {
        Family::V4 => 24,
        Family::V6 => 64,
    };
    format!("{}/{length}", host(side.subnet(), 1, family))
}

/// The way to all clients.
pub fn gateway(family: Family) -> IpAddr {
    host(Side::Same.subnet(), 2, family)
}

pub fn backend(side: Side, number: u32, family: Family) -> SocketAddr {
    // At most 100 of them.
    let address = host(side.subnet(), 100 + number as u8, family);
    SocketAddr::new(address, BACKEND_PORT)
}

/// The first of all clients' endpoints.
pub fn clients(family: Family) -> SocketAddr {
    let address = match family {
        Family::V4 => Ipv4Addr::new(10, 64, 0, 0).into(),
        Family::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0).into(),
    };
    SocketAddr::new(address, CLIENT_PORT)
}

/// A service's endpoint; the walk visits them in an order of its own.
pub fn vip(number: u32, family: Family) -> SocketAddr {
    let high = number >> PORT_BITS;
    let address = match family {
        Family::V4 => Ipv4Addr::from_bits(0x0a80_0000 + high).into(),
        Family::V6 => {
            let first = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0);
            Ipv6Addr::from_bits(first.to_bits() + u128::from(high)).into()
        }
    };
    let low = number & ((1 << PORT_BITS) - 1);
    SocketAddr::new(address, VIP_PORT + low as u16)
}

/// An address that is nobody's.
pub fn stranger(family: Family) -> SocketAddr {
    SocketAddr::new(host(99, 9, family), 443)
}

fn host(subnet: u8, host: u8, family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(198, 18, subnet, host).into(),
        Family::V6 => {
            let (subnet, host) = (u16::from(subnet), u16::from(host));
            Ipv6Addr::new(0x2001, 0xdb8, subnet, 0, 0, 0, 0, host).into()
        }
    }
}

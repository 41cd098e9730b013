//! Addresses with a port, a range of ports or neither, as they are written: IPv6 in brackets.

use std::{
    cmp::Ordering,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// An address and a port of it, or no particular one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    pub ip: IpAddr,
    /// Never 0.
    pub port: Option<u16>,
}

/// What a service listens on.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Listen {
    pub ip: IpAddr,
    pub ports: Ports,
}

/// Some ports of an address. The order is that of precedence: where several have a port, the least one gets it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Ports {
    /// Never 0.
    One(u16),
    /// From a port other than 0 to a higher one.
    Range(u16, u16),
    All,
}

/// Why a text is no address of these kinds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AddressError {
    #[error("no IP address, IPv6 in brackets, with or without a port")]
    Form,
    #[error("port 0")]
    PortZero,
    #[error("a port beyond 65535")]
    PortTooLarge,
    #[error("a range that ends before it begins")]
    Reversed,
    #[error("a range of ports")]
    Range,
}

impl Ports {
    /// The first and the last port.
    pub const fn bounds(self) -> (u16, u16) {
        match self {
            Self::One(port) => (port, port),
            Self::Range(first, last) => (first, last),
            Self::All => (0, u16::MAX),
        }
    }

    /// The endpoints that the datapath has for it: one for each port, or one for all.
    pub fn endpoints(self, ip: IpAddr) -> impl ExactSizeIterator<Item = Endpoint> {
        // The one for all has no port, which is 0 here.
        let (first, last) = match self {
            Self::All => (0, 0),
            Self::One(_) | Self::Range(..) => self.bounds(),
        };
        (0..usize::from(last - first) + 1).map(move |offset| {
            let port = first + offset as u16;
            Endpoint {
                ip,
                port: (port != 0).then_some(port),
            }
        })
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        let port = address.port();
        Self {
            ip: address.ip(),
            port: (port != 0).then_some(port),
        }
    }
}

impl From<Endpoint> for Listen {
    fn from(Endpoint { ip, port }: Endpoint) -> Self {
        Self {
            ip,
            ports: port.map_or(Ports::All, Ports::One),
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Listen { ip, ports } = text.parse()?;
        let port = match ports {
            Ports::One(port) => Some(port),
            Ports::Range(..) => return Err(AddressError::Range),
            Ports::All => None,
        };
        Ok(Self { ip, port })
    }
}

impl FromStr for Listen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (ip, ports) = split(text).ok_or(AddressError::Form)?;
        let ports = ports.map_or(Ok(Ports::All), str::parse)?;
        Ok(Self { ip, ports })
    }
}

impl FromStr for Ports {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let Some((first, last)) = text.split_once('-') else {
            return Ok(Self::One(port(text)?));
        };
        let (first, last) = (port(first)?, port(last)?);
        match first.cmp(&last) {
            Ordering::Less => Ok(Self::Range(first, last)),
            Ordering::Equal => Ok(Self::One(first)),
            Ordering::Greater => Err(AddressError::Reversed),
        }
    }
}

/// The address, and what stands behind the colon if there is one.
fn split(text: &str) -> Option<(IpAddr, Option<&str>)> {
    let Some(bracketed) = text.strip_prefix('[') else {
        let (ip, ports) = match text.split_once(':') {
            Some((ip, ports)) => (ip, Some(ports)),
            None => (text, None),
        };
        return Some((ip.parse::<Ipv4Addr>().ok()?.into(), ports));
    };
    let (ip, rest) = bracketed.split_once(']')?;
    let ports = match rest {
        "" => None,
        rest => Some(rest.strip_prefix(':')?),
    };
    Some((ip.parse::<Ipv6Addr>().ok()?.into(), ports))
}

fn port(text: &str) -> Result<u16, AddressError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Form);
    }
    match text.parse() {
        Ok(0) => Err(AddressError::PortZero),
        Ok(port) => Ok(port),
        // Digits alone fail only by being too many.
        Err(_) => Err(AddressError::PortTooLarge),
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Listen::from(*self).fmt(f)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}")?,
            IpAddr::V6(ip) => write!(f, "[{ip}]")?,
        }
        match self.ports {
            Ports::One(port) => write!(f, ":{port}"),
            Ports::Range(first, last) => write!(f, ":{first}-{last}"),
            Ports::All => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_written_the_same() {
        for text in [
            "192.0.2.10",
            "192.0.2.10:80",
            "192.0.2.10:1-65535",
            "[2001:db8::10]",
            "[2001:db8::10]:65535",
            "[2001:db8::10]:8000-8099",
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen.to_string(), text);
            match text.parse::<Endpoint>() {
                Ok(endpoint) => assert_eq!(endpoint.to_string(), text),
                Err(error) => assert_eq!((error, text.contains('-')), (AddressError::Range, true)),
            }
        }
        let one: Ports = "80-80".parse().unwrap();
        assert_eq!(one, Ports::One(80));
    }

    #[test]
    fn anything_else_is_refused() {
        let rows = [
            ("", AddressError::Form),
            ("app.example:80", AddressError::Form),
            ("192.0.2.10:", AddressError::Form),
            ("192.0.2.10:+80", AddressError::Form),
            ("192.0.2.10:80-", AddressError::Form),
            ("192.0.2.10:-80", AddressError::Form),
            ("192.0.2.10:80-81-82", AddressError::Form),
            ("2001:db8::10", AddressError::Form),
            ("[2001:db8::10", AddressError::Form),
            ("[2001:db8::10]80", AddressError::Form),
            ("[192.0.2.10]:80", AddressError::Form),
            ("192.0.2.10:0", AddressError::PortZero),
            ("192.0.2.10:0-80", AddressError::PortZero),
            ("192.0.2.10:65536", AddressError::PortTooLarge),
            (
                "192.0.2.10:1-99999999999999999999",
                AddressError::PortTooLarge,
            ),
            ("192.0.2.10:81-80", AddressError::Reversed),
        ];
        for (text, error) in rows {
            assert_eq!(text.parse::<Listen>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_fewest_ports_come_first() {
        assert!(Ports::One(65535) < Ports::Range(1, 2));
        assert!(Ports::Range(65534, 65535) < Ports::All);
    }

    #[test]
    fn a_range_has_an_endpoint_for_each_port_and_a_whole_address_one_for_all() {
        let ip = IpAddr::from([192, 0, 2, 10]);
        let ports = |ports: Ports| ports.endpoints(ip).map(|endpoint| endpoint.port);
        assert!(ports(Ports::One(80)).eq([Some(80)]));
        assert!(ports(Ports::Range(65534, 65535)).eq([Some(65534), Some(65535)]));
        assert!(ports(Ports::All).eq([None]));
        assert_eq!(ports(Ports::Range(1, 65535)).len(), 65535);
    }
}

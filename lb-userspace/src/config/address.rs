//! Addresses that packets can be sent to.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use super::{field::Field, report::Mistake};
use crate::address::{AddressError, Endpoint, Listen};

/// What an address is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Listener,
    Backend,
    Check,
}

impl Role {
    const fn expected(self) -> &'static str {
        match self {
            Self::Listener => {
                r#"an IP address with a port, a range of ports or neither, such as "192.0.2.10:80", "[2001:db8::10]:8000-8099" or "192.0.2.10""#
            }
            Self::Backend | Self::Check => {
                r#"an IP address with a port or without, such as "10.0.0.11:8001", "[2001:db8:1::11]:8001" or "10.0.0.11""#
            }
        }
    }
}

/// What a service can listen on.
pub(super) fn listen(field: &Field) -> Option<Listen> {
    read(field, Role::Listener)
}

/// Where a backend can be.
pub(super) fn backend(field: &Field) -> Option<Endpoint> {
    read(field, Role::Backend)
}

/// Where one backend is checked.
pub(super) fn check(field: &Field) -> Option<Endpoint> {
    read(field, Role::Check)
}

/// Where all backends of a service are checked, each at its port.
pub(super) fn checked(field: &Field) -> Option<IpAddr> {
    let expected = r#"an IP address, such as "10.0.0.9" or "2001:db8::9""#;
    let text = field.text(expected)?;
    let address = text.parse().ok();
    if address.is_none() {
        field.unlike(expected);
    }
    address
}

fn read<T>(field: &Field, role: Role) -> Option<T>
where
    T: FromStr<Err = AddressError> + Copy + Into<Listen>,
{
    let text = field.text(role.expected())?;
    let mistake = match text.parse::<T>() {
        Ok(address) => match unusable(address.into(), role) {
            None => return Some(address),
            Some(mistake) => mistake,
        },
        Err(error) => unreadable(field, text, role, error),
    };
    field.wrong(mistake);
    None
}

fn unreadable(field: &Field, text: &str, role: Role, error: AddressError) -> Mistake {
    let mistake = Mistake::new(field.found(), role.expected());
    match error {
        AddressError::PortZero => {
            let found = format!("{}, port 0", field.found());
            Mistake::new(found, "a port from 1 to 65535")
        }
        AddressError::PortTooLarge => mistake.help("a port is at most 65535"),
        AddressError::Reversed => mistake.help("write the lower port first"),
        AddressError::Range => mistake.help(
            "a backend has one port; without any, packets keep the port that their client sent them to",
        ),
        AddressError::Form if text.parse::<Ipv6Addr>().is_ok() => {
            mistake.help("an IPv6 address stands in brackets, with its port behind them")
        }
        AddressError::Form => {
            let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
            if is_host_name(host) {
                mistake.help("names are not resolved: write the IP address")
            } else {
                mistake
            }
        }
    }
}

fn is_host_name(text: &str) -> bool {
    text.contains(|character: char| character.is_ascii_alphabetic())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-._".contains(character))
}

/// Why packets cannot be sent to an address.
fn unusable(address: Listen, role: Role) -> Option<Mistake> {
    let found = |what: &str| format!("{address}, {what}");
    let ip = address.ip;
    if let IpAddr::V6(mapped) = ip
        && let Some(ipv4) = mapped.to_ipv4_mapped()
    {
        let ip = ipv4.into();
        let expected = format!(r#"the IPv4 address itself, "{}""#, Listen { ip, ..address });
        return Some(Mistake::new(found("an IPv4-mapped address"), expected));
    }
    if ip.is_unspecified() {
        let help = match role {
            Role::Listener => "list each address that clients use",
            Role::Backend | Role::Check => "write the address that the server can be reached at",
        };
        return Some(Mistake::new(found("no particular address"), "one address").help(help));
    }
    let no_loopback = match role {
        Role::Listener => {
            Some("clients on other hosts cannot send to it: write an address of the interface")
        }
        Role::Backend => Some(
            "packets that came in by an interface cannot be sent to it: let the server \
             listen on an address of the interface, and write that",
        ),
        Role::Check => None,
    };
    if ip.is_loopback()
        && let Some(help) = no_loopback
    {
        return Some(
            Mistake::new(found("a loopback address"), "an address of a network").help(help),
        );
    }
    if ip.is_multicast() {
        return Some(Mistake::new(
            found("a multicast address"),
            "a unicast address",
        ));
    }
    match ip {
        IpAddr::V4(ip) if ip.is_broadcast() => Some(Mistake::new(
            found("the broadcast address"),
            "a unicast address",
        )),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some(
            Mistake::new(
                found("a link-local address"),
                "a global or unique local address",
            )
            .help("a link-local address means another host on every interface"),
        ),
        _ => None,
    }
}

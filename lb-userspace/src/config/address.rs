//! Addresses that packets can be sent to, with a port.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{field::Field, report::Mistake};

/// What an address is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Listener,
    Backend,
}

impl Role {
    const fn expected(self) -> &'static str {
        match self {
            Self::Listener => {
                r#"an IP address with a port, such as "192.0.2.10:80" or "[2001:db8::10]:80""#
            }
            Self::Backend => {
                r#"an IP address with a port, such as "10.0.0.11:8001" or "[2001:db8:1::11]:8001""#
            }
        }
    }
}

/// An address that a service can listen on or a backend can have.
pub(super) fn endpoint(field: &Field, role: Role) -> Option<SocketAddr> {
    let text = field.text(role.expected())?;
    let Ok(address) = text.parse::<SocketAddr>() else {
        field.wrong(unreadable(field, text, role));
        return None;
    };
    if let Some(mistake) = unusable(address, role) {
        field.wrong(mistake);
        return None;
    }
    Some(address)
}

fn unreadable(field: &Field, text: &str, role: Role) -> Mistake {
    let mistake = Mistake::new(field.found(), role.expected());
    if text.parse::<Ipv6Addr>().is_ok() {
        return mistake.help("an IPv6 address stands in brackets before its port");
    }
    if text.parse::<IpAddr>().is_ok() {
        return mistake.help("add the port");
    }
    match text.rsplit_once(':') {
        Some((host, port)) if host.parse::<IpAddr>().is_ok() && is_number(port) => {
            mistake.help("a port is at most 65535")
        }
        Some((host, port)) if is_host_name(host) && is_number(port) => {
            mistake.help("names are not resolved: write the IP address")
        }
        _ => mistake,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_host_name(text: &str) -> bool {
    text.contains(|character: char| character.is_ascii_alphabetic())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-._".contains(character))
}

/// Why packets cannot be sent to an address.
fn unusable(address: SocketAddr, role: Role) -> Option<Mistake> {
    let found = |what: &str| format!("{address}, {what}");
    if address.port() == 0 {
        return Some(Mistake::new(found("port 0"), "a port from 1 to 65535"));
    }
    let ip = address.ip();
    if let IpAddr::V6(mapped) = ip
        && let Some(ipv4) = mapped.to_ipv4_mapped()
    {
        let expected = format!(r#"the IPv4 address itself, "{ipv4}:{}""#, address.port());
        return Some(Mistake::new(found("an IPv4-mapped address"), expected));
    }
    if ip.is_unspecified() {
        let help = match role {
            Role::Listener => "list each address that clients use",
            Role::Backend => "write the address that the server can be reached at",
        };
        return Some(Mistake::new(found("no particular address"), "one address").help(help));
    }
    if ip.is_loopback() {
        let help = match role {
            Role::Listener => {
                "clients on other hosts cannot send to it: write an address of the interface"
            }
            Role::Backend => {
                "packets that came in by an interface cannot be sent to it: let the server \
                 listen on an address of the interface, and write that"
            }
        };
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

//! Addresses as HAProxy writes them: `10.0.0.1:80`, `:80`, `:::80`, `ipv6@:80-89`.

use std::net::Ipv6Addr;

use crate::{
    address::{Endpoint, Ports},
    import::{
        address::{self, Local},
        draft::Ip,
    },
};

const SOCKET: &str = "packets cannot be sent to a unix socket, nor come from one: left out";

/// Where a server is.
pub(super) fn server(text: &str, local: Local) -> Result<Endpoint, &'static str> {
    let text = with_family(text)?.1;
    let (host, port) = split(text);
    if host.is_empty() || host == "*" {
        return Err("no particular address: write the one that the server can be reached at");
    }
    let ip = local.backend(host)?;
    let port = match port {
        "" => None,
        port if port.starts_with(['+', '-']) => {
            return Err("a port that depends on the client's: write the port itself");
        }
        port => Some(port.parse().map_err(|_| "no port from 1 to 65535")?),
    };
    if port == Some(0) {
        return Ok(Endpoint { ip, port: None });
    }
    Ok(Endpoint { ip, port })
}

/// Where clients connect to.
pub(super) fn bind(text: &str) -> Result<(Ip, Ports), &'static str> {
    let (is_v6, text) = with_family(text)?;
    let (host, ports) = split(text);
    let ports = ports
        .parse()
        .map_err(|_| "no port from 1 to 65535, and no range of them: left out")?;
    let ip = match host {
        "" | "*" if is_v6 => Ip::AnyV6,
        "" | "*" => Ip::AnyV4,
        host => address::listener(host)?,
    };
    Ok((ip, ports))
}

/// Whether `ipv6@` stands before it, and the rest.
fn with_family(text: &str) -> Result<(bool, &str), &'static str> {
    if text.starts_with('/') {
        return Err(SOCKET);
    }
    match text.split_once('@') {
        None => Ok((false, text)),
        Some(("ipv4" | "tcp" | "tcp4", rest)) => Ok((false, rest)),
        Some(("ipv6" | "tcp6", rest)) => Ok((true, rest)),
        Some(("unix" | "uxst" | "uxdg" | "abns" | "abnsz" | "sockpair", _)) => Err(SOCKET),
        Some(("quic4" | "quic6", _)) => Err("QUIC is not ended by shunt: left out"),
        Some(_) => Err("no address that packets come to: left out"),
    }
}

/// The port stands behind the last colon, also of a bare IPv6 address, unless that makes no address of it.
fn split(text: &str) -> (&str, &str) {
    let whole = text.ends_with(']') || is_v6(text) && !text.rsplit_once(':').is_some_and(has_port);
    match text.rsplit_once(':') {
        Some(parts) if !whole => parts,
        _ => (text, ""),
    }
}

fn has_port((host, port): (&str, &str)) -> bool {
    is_v6(host) && port.parse::<u16>().is_ok()
}

fn is_v6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let local = Local(&[]);
        for (text, endpoint) in [
            ("10.0.0.1:80", "10.0.0.1:80"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1:", "10.0.0.1"),
            ("ipv4@10.0.0.1:80", "10.0.0.1:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("2001:db8::1:80", "[2001:db8::1]:80"),
            ("2001:db8::80", "[2001:db8::80]"),
        ] {
            let found = server(text, local).map(|at| at.to_string());
            assert_eq!(found.as_deref(), Ok(endpoint), "{text}");
        }
        for text in [
            "api.example:80",
            "/run/x",
            "unix@x",
            ":80",
            "10.0.0.1:+1",
            "10.0.0.1:99999",
            "127.0.0.1:80",
            "${IP}:80",
            "",
        ] {
            assert!(server(text, local).is_err(), "{text}");
        }
        let own = "192.0.2.1".parse().unwrap();
        let found = server("127.0.0.1:80", Local(&[own]));
        assert_eq!(found.map(|at| at.ip), Ok(own));
    }

    #[test]
    fn listeners() {
        let one = Ip::One("192.0.2.1".parse().unwrap());
        for (text, ip, ports) in [
            (":80", Ip::AnyV4, Ports::One(80)),
            ("*:80", Ip::AnyV4, Ports::One(80)),
            ("0.0.0.0:80", Ip::AnyV4, Ports::One(80)),
            (":::80", Ip::AnyV6, Ports::One(80)),
            ("[::]:80", Ip::AnyV6, Ports::One(80)),
            ("ipv6@:80", Ip::AnyV6, Ports::One(80)),
            ("192.0.2.1:80-89", one, Ports::Range(80, 89)),
        ] {
            assert_eq!(bind(text), Ok((ip, ports)), "{text}");
        }
        for text in [
            "",
            "80",
            "*",
            "127.0.0.1:80",
            "/run/x",
            "fd@3",
            "quic4@:443",
            ":0",
            "x:80",
        ] {
            assert!(bind(text).is_err(), "{text}");
        }
    }
}

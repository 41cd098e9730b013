//! `listen`: where do clients connect to?

use super::{
    Module,
    tree::{Directive, named},
};
use crate::{
    address::Ports,
    desired::Protocol,
    import::{address, draft::Ip, notes::Notes, place::Excerpt},
};

#[derive(Clone, Debug)]
pub(super) struct Listen {
    /// Both families, for an IPv6 socket that takes IPv4, too. None where it cannot be taken over.
    pub(super) ips: Vec<Ip>,
    pub(super) ports: Ports,
    pub(super) protocol: Protocol,
    pub(super) encrypted: bool,
    pub(super) is_default: bool,
    pub(super) said: Excerpt,
}

/// All of a server.
pub(super) fn all(server: &Directive, module: Module, notes: &mut Notes) -> Vec<Listen> {
    let mut directives = named(server.inner(), "listen").peekable();
    if directives.peek().is_none() && module == Module::Http {
        // What nginx does, too.
        return vec![Listen {
            ips: vec![Ip::AnyV4],
            ports: Ports::One(80),
            protocol: Protocol::Tcp,
            encrypted: false,
            is_default: false,
            said: server.excerpt(),
        }];
    }
    directives
        .filter_map(|directive| read(directive, notes))
        .collect()
}

fn read(directive: &Directive, notes: &mut Notes) -> Option<Listen> {
    let said = directive.excerpt();
    let (ip, ports) = match endpoint(directive.argument()) {
        Ok(endpoint) => endpoint,
        Err(why) => {
            notes.add(&said, why);
            return None;
        }
    };
    let mut listen = Listen {
        ips: ip.into_iter().collect(),
        ports,
        protocol: Protocol::Tcp,
        encrypted: false,
        is_default: false,
        said,
    };
    let mut tuning = Vec::new();
    for parameter in directive.arguments.iter().skip(1) {
        match parameter.as_str() {
            "default_server" | "default" => listen.is_default = true,
            "ssl" => listen.encrypted = true,
            "udp" => listen.protocol = Protocol::Udp,
            "quic" => {
                listen.protocol = Protocol::Udp;
                listen.encrypted = true;
            }
            "http2" | "spdy" => {
                let why = "clients and backends agree on HTTP/2 themselves";
                notes.add(&directive.part(parameter), why);
            }
            "proxy_protocol" => {
                let why = "the PROXY protocol is not read: it is passed on to the backends";
                notes.add(&directive.part(parameter), why);
            }
            "ipv6only=off" if listen.ips == [Ip::AnyV6] => listen.ips.push(Ip::AnyV4),
            "ipv6only=on" | "ipv6only=off" => {}
            _ => tuning.push(parameter.as_str()),
        }
    }
    if !tuning.is_empty() {
        let why = "not needed: it tunes the sockets of nginx";
        notes.add(&directive.part(&tuning.join(" ")), why);
    }
    if ip.is_none() {
        let why = address::listener(host(directive.argument())).err();
        notes.add(&listen.said, why.unwrap_or("no address to listen on"));
    }
    Some(listen)
}

/// Without an address where it is of no use.
fn endpoint(text: &str) -> Result<(Option<Ip>, Ports), &'static str> {
    if text.starts_with("unix:") {
        return Err("clients reach a load balancer at an address: left out");
    }
    if let Ok(ports) = text.parse() {
        return Ok((Some(Ip::AnyV4), ports));
    }
    let port = text.strip_prefix(host(text)).unwrap_or_default();
    let ports = match port.strip_prefix(':') {
        None => Ports::One(80),
        Some(ports) => ports
            .parse()
            .map_err(|_| "no port from 1 to 65535, and no range of them: left out")?,
    };
    let ip = match host(text) {
        "*" => Some(Ip::AnyV4),
        host => address::listener(host).ok(),
    };
    Ok((ip, ports))
}

/// What stands before the port.
fn host(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, _)) if !text.ends_with(']') => host,
        _ => text,
    }
}

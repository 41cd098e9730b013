//! Which addresses packets can be sent to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::draft::Ip;

/// Of this host, in place of its loopback addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local<'a>(pub(super) &'a [IpAddr]);

const LOOPBACK: &str = "packets from an interface cannot be sent to a loopback address: let the server listen on an address of this \
     host, and name that with --local";

impl Local<'_> {
    /// The address of a server, or why there is none.
    pub(super) fn backend(self, host: &str) -> Result<IpAddr, &'static str> {
        if host == "localhost" {
            let mut all = self.0.iter();
            let v4 = all.clone().find(|ip| ip.is_ipv4());
            return v4.or_else(|| all.next()).copied().ok_or(LOOPBACK);
        }
        let ip = ip(host)?;
        if ip.is_loopback() {
            let mut all = self.0.iter();
            let same = all.find(|local| local.is_ipv4() == ip.is_ipv4());
            return same.copied().ok_or(LOOPBACK);
        }
        if ip.is_unspecified() {
            return Err("no particular address: write the one that the server can be reached at");
        }
        reachable(ip)
    }
}

/// Where clients connect to.
pub(super) fn listener(host: &str) -> Result<Ip, &'static str> {
    let ip = ip(host)?;
    if ip.is_unspecified() {
        return Ok(if ip.is_ipv4() { Ip::AnyV4 } else { Ip::AnyV6 });
    }
    if ip.is_loopback() {
        return Err(
            "clients on other hosts cannot send to a loopback address, and those on this host are served at the VIP",
        );
    }
    reachable(ip).map(Ip::One)
}

/// An address for an option: one that packets can be sent to.
///
/// # Errors
/// What is wrong with it.
pub fn usable(text: &str) -> Result<IpAddr, &'static str> {
    let ip = ip(text)?;
    if ip.is_unspecified() || ip.is_loopback() {
        return Err("expected an address of a network");
    }
    reachable(ip)
}

fn ip(host: &str) -> Result<IpAddr, &'static str> {
    if host.contains('$') {
        return Err("what a variable stands for is not known: write the address");
    }
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let parsed = match bare {
        Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => host.parse(),
    };
    let Ok(ip) = parsed else {
        return Err("names are not resolved: write the IP address");
    };
    match ip {
        IpAddr::V6(v6) => Ok(v6.to_ipv4_mapped().map_or(ip, IpAddr::V4)),
        IpAddr::V4(_) => Ok(ip),
    }
}

fn reachable(ip: IpAddr) -> Result<IpAddr, &'static str> {
    let unusable = match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip == Ipv4Addr::BROADCAST,
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unicast_link_local(),
    };
    if unusable {
        return Err("shunt takes unicast addresses that are not link-local");
    }
    Ok(ip)
}

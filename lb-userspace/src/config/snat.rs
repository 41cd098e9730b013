//! `[daemon] snat_addresses`: where packets of `fullnat` come from.

use std::net::{IpAddr, SocketAddr};

use lb_common::layout;

use super::{
    field::Field,
    report::{Mistake, Report},
    section::Section,
    service::Service,
};
use crate::desired::Forward;

const ADDRESSES: &str = r#"a list of addresses, such as ["192.0.2.20", "2001:db8::20"]"#;
const ADDRESS: &str = r#"an IP address without a port, such as "192.0.2.20" or "2001:db8::20""#;
/// Of each family; the other half is for addresses that the host itself chooses.
const MOST: usize = layout::SNAT_CAPACITY as usize / 2 - 1;

pub(super) fn addresses(daemon: &mut Section) -> Vec<IpAddr> {
    let field = daemon.optional("snat_addresses");
    let Some(fields) = field.and_then(|field| field.elements(ADDRESSES)) else {
        return Vec::new();
    };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for field in fields {
        let Some(address) = address(&field) else {
            continue;
        };
        let of_family = |known: &&IpAddr| known.is_ipv4() == address.is_ipv4();
        if addresses.contains(&address) {
            let found = format!("{address} for the second time");
            field.wrong(Mistake::new(found, "each address once"));
        } else if addresses.iter().filter(of_family).count() == MOST {
            let found = format!("more than {MOST} addresses of a family");
            field.wrong(Mistake::new(found, format!("at most {MOST}")));
            break;
        } else {
            addresses.push(address);
        }
    }
    addresses
}

fn address(field: &Field) -> Option<IpAddr> {
    let text = field.text(ADDRESS)?;
    let Ok(address) = text.parse::<IpAddr>() else {
        let mistake = Mistake::new(field.found(), ADDRESS);
        field.wrong(if text.parse::<SocketAddr>().is_ok() {
            mistake.help("every port from 1024 up is used")
        } else {
            mistake
        });
        return None;
    };
    let is_usable = match address {
        IpAddr::V4(ip) => {
            !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast())
        }
        IpAddr::V6(ip) => {
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some())
        }
    };
    if !is_usable {
        let expected = "an address that backends can send their replies to";
        field.wrong(Mistake::new(address.to_string(), expected));
        return None;
    }
    Some(address)
}

/// Where addresses are listed, they are listed for every family that needs one.
pub(super) fn check(addresses: &[IpAddr], services: &[Service], report: &Report) {
    if addresses.is_empty() {
        return;
    }
    let translated = services
        .iter()
        .filter(|service| service.forward == Forward::Fullnat);
    for service in translated {
        for (is_v4, name, example) in [
            (true, "IPv4", "192.0.2.20"),
            (false, "IPv6", "2001:db8::20"),
        ] {
            let mut listeners = service.listen.iter();
            let Some(listener) = listeners.find(|at| at.value.ip.is_ipv4() == is_v4) else {
                continue;
            };
            if addresses.iter().any(|address| address.is_ipv4() == is_v4) {
                continue;
            }
            let found = format!("{}, but no {name} address to send from", listener.value);
            let expected = format!(r#"one in daemon.snat_addresses, such as "{example}""#);
            report.add(&listener.place, Mistake::new(found, expected));
        }
    }
}

//! Which network namespaces are behind the bridges of this host: those of the other ends of a bridge's veth ports.
//!
//! A namespace numbers those it knows; a port says the number, and each namespace that there is can be asked for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::PathBuf,
};

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage},
    nsid::{NsidAttribute, NsidMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::netlink;

/// A port that leads into another namespace.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Port {
    /// Of the interface: another port with the same namespace may lead into one that took over its number.
    pub index: u32,
    /// The namespace's number.
    pub namespace: i32,
}

/// The ports of bridges, and the names that are no bridge's.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Ports {
    pub ports: BTreeSet<Port>,
    pub missing: BTreeSet<String>,
}

pub fn ports(bridges: &[String]) -> io::Result<Ports> {
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let links: Vec<_> = netlink::ask(NETLINK_ROUTE, question, NLM_F_DUMP)?
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        })
        .collect();
    Ok(ports_of(&links, bridges))
}

fn ports_of(links: &[LinkMessage], bridges: &[String]) -> Ports {
    let found: BTreeMap<&String, u32> = links
        .iter()
        .filter(|link| is_bridge(link))
        .filter_map(|link| Some((name(link)?, link.header.index)))
        .filter(|(name, _)| bridges.contains(name))
        .collect();
    let masters: BTreeSet<u32> = found.values().copied().collect();
    let port = |link: &LinkMessage| -> Option<Port> {
        let controller = link
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::Controller(index) => Some(*index),
                _ => None,
            })?;
        let namespace = link
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                LinkAttribute::LinkNetNsId(number) if *number >= 0 => Some(*number),
                _ => None,
            })?;
        masters.contains(&controller).then_some(Port {
            index: link.header.index,
            namespace,
        })
    };
    Ports {
        ports: links.iter().filter_map(port).collect(),
        missing: bridges
            .iter()
            .filter(|name| !found.contains_key(name))
            .cloned()
            .collect(),
    }
}

fn name(link: &LinkMessage) -> Option<&String> {
    link.attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        })
}

fn is_bridge(link: &LinkMessage) -> bool {
    let is_kind = |info: &LinkInfo| matches!(info, LinkInfo::Kind(InfoKind::Bridge));
    link.attributes.iter().any(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().any(is_kind),
        _ => false,
    })
}

/// The namespaces with these numbers, by number, as far as a process is in them or a file stands for them.
pub fn namespaces(numbers: &BTreeSet<i32>) -> BTreeMap<i32, File> {
    let mut seen = BTreeSet::new();
    let mut found = BTreeMap::new();
    for path in candidates() {
        // Whatever is gone or not to be entered is none of a client we could serve.
        let Ok(inode) = fs::metadata(&path).map(|metadata| metadata.ino()) else {
            continue;
        };
        if !seen.insert(inode) {
            continue;
        }
        let Ok(file) = File::open(&path) else {
            continue;
        };
        if let Ok(Some(number)) = number(&file)
            && numbers.contains(&number)
        {
            found.insert(number, file);
        }
    }
    found
}

/// Where namespaces are to be found: those of processes, and those that iproute2 and docker keep without one.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let list = |directory: &str| fs::read_dir(directory).into_iter().flatten().flatten();
    let processes = list("/proc")
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .map(|entry| entry.path().join("ns/net"));
    let kept = ["/run/netns", "/run/docker/netns"]
        .into_iter()
        .flat_map(list)
        .map(|entry| entry.path());
    processes.chain(kept)
}

/// `None` for one that this namespace has not numbered.
fn number(namespace: &File) -> io::Result<Option<i32>> {
    let mut question = NsidMessage::default();
    let descriptor = namespace.as_raw_fd().cast_unsigned();
    question.attributes.push(NsidAttribute::Fd(descriptor));
    let answers = netlink::ask(NETLINK_ROUTE, RouteNetlinkMessage::GetNsId(question), 0)?;
    Ok(answers.iter().find_map(|answer| {
        let RouteNetlinkMessage::NewNsId(message) = answer else {
            return None;
        };
        message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                NsidAttribute::Id(number) if *number >= 0 => Some(*number),
                _ => None,
            })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut link = LinkMessage::default();
        link.header.index = index;
        link.attributes = attributes;
        link.attributes.push(LinkAttribute::IfName(name.into()));
        link
    }

    fn bridge() -> LinkAttribute {
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)])
    }

    #[test]
    fn only_ports_of_the_bridges_named_that_lead_elsewhere() {
        let into = LinkAttribute::LinkNetNsId;
        let port_of = LinkAttribute::Controller;
        let links = [
            link(1, "lo", Vec::new()),
            link(2, "eth0", Vec::new()),
            link(3, "docker0", vec![bridge()]),
            link(4, "br-other", vec![bridge()]),
            link(5, "veth1", vec![port_of(3), into(0)]),
            link(6, "veth2", vec![into(7), port_of(3)]),
            link(7, "veth3", vec![port_of(4), into(2)]),
            link(8, "tap0", vec![port_of(3)]),
            link(9, "veth4", vec![port_of(3), into(-1)]),
            link(10, "veth5", vec![into(3)]),
        ];
        let bridges = ["docker0", "eth0", "br7"].map(str::to_owned);
        let ports = ports_of(&links, &bridges);
        let found: Vec<_> = ports
            .ports
            .iter()
            .map(|port| (port.index, port.namespace))
            .collect();
        assert_eq!(found, [(5, 0), (6, 7)]);
        assert_eq!(ports.missing, ["br7".to_owned(), "eth0".to_owned()].into());
    }
}

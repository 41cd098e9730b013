//! Which interfaces the host has, and which are made of others.

use std::io;

use lb_common::port::Tags;
use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind, InfoVlan, LinkAttribute, LinkInfo, LinkMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::dataplane::bpf::netlink;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    pub kind: Kind,
    /// The bond or bridge it is a member of.
    pub master: Option<u32>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Its frames are those of `carrier` with this tag.
    Vlan {
        carrier: u32,
        tag: Tags,
    },
    /// Its frames come in by its members.
    Bond,
    Other,
}

/// All interfaces of this network namespace.
pub fn list() -> io::Result<Vec<Link>> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = netlink::ask(NETLINK_ROUTE, request, NLM_F_DUMP)?;
    Ok(answers
        .iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(message) => Some(link(message)),
            _ => None,
        })
        .collect())
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        mtu: 0,
        kind: Kind::Other,
        master: None,
    };
    let mut carrier = None;
    let mut is_abroad = false;
    let mut infos: &[LinkInfo] = &[];
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Controller(master) => link.master = Some(*master),
            LinkAttribute::Link(index) => carrier = Some(*index),
            // Its carrier's index is one of another namespace.
            LinkAttribute::LinkNetNsId(_) => is_abroad = true,
            LinkAttribute::LinkInfo(list) => infos = list,
            _ => {}
        }
    }
    let carrier = carrier.filter(|_| !is_abroad);
    link.kind = kind(infos, carrier);
    link
}

fn kind(infos: &[LinkInfo], carrier: Option<u32>) -> Kind {
    let mut kind = Kind::Other;
    for info in infos {
        match (info, carrier) {
            (LinkInfo::Kind(InfoKind::Bond), _) => kind = Kind::Bond,
            (LinkInfo::Data(InfoData::Vlan(vlan)), Some(carrier)) => {
                let tag = tag(vlan);
                kind = Kind::Vlan { carrier, tag };
            }
            _ => {}
        }
    }
    kind
}

fn tag(vlan: &[InfoVlan]) -> Tags {
    let (mut protocol, mut id) = (lb_common::packet::VLAN, 0);
    for attribute in vlan {
        match attribute {
            InfoVlan::Id(found) => id = *found,
            InfoVlan::Protocol(found) => protocol = u16::from(*found).to_be(),
            _ => {}
        }
    }
    Tags::one(protocol, id.to_be())
}

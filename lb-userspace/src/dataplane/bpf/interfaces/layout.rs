//! How frames come in and leave by the interfaces that the programs are attached to, and by what is made of those: VLAN
//! devices, bonds. Pure.

use std::collections::BTreeMap;

use lb_common::port::{Arrival, Port, Tags};

use super::links::{Kind, Link};

/// The interface of a frame in which XDP sees no tag, where the hardware takes tags off: only the kernel knows.
const UNKNOWN: u32 = 0;

/// An interface with the programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Own {
    /// Whether frames are transmitted on it.
    pub is_open: bool,
    /// As in [`Port::flags`].
    pub flags: u32,
    /// Whether tags are taken off frames before XDP sees them.
    pub hides_tags: bool,
}

/// What the programs are told.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Layout {
    pub ports: BTreeMap<u32, Port>,
    pub devices: BTreeMap<Arrival, u32>,
    /// The interfaces whose hidden tags would matter, because they carry VLAN devices.
    pub hidden: Vec<u32>,
}

/// `own` by index.
pub fn layout(links: &[Link], own: &BTreeMap<u32, Own>) -> Layout {
    let links: BTreeMap<u32, &Link> = links.iter().map(|link| (link.index, link)).collect();
    let mut layout = Layout::default();
    for (&index, link) in &links {
        let Some((through, tags)) = way(&links, own, link) else {
            continue;
        };
        let Own {
            is_open,
            flags,
            hides_tags,
        } = own[&through];
        let port = Port {
            // The programs keep 16 bits of it.
            mtu: if is_open {
                link.mtu.min(u16::MAX.into())
            } else {
                0
            },
            through,
            tags,
            flags,
            padding: 0,
        };
        layout.ports.insert(index, port);
        for entrance in entrances(&links, through) {
            if tags != Tags::NONE {
                layout.devices.insert(Arrival::new(entrance, tags), index);
                if hides_tags {
                    let untagged = Arrival::new(entrance, Tags::NONE);
                    layout.devices.insert(untagged, UNKNOWN);
                    layout.hidden.push(through);
                }
            } else if entrance != index {
                let untagged = Arrival::new(entrance, Tags::NONE);
                layout.devices.entry(untagged).or_insert(index);
            }
        }
    }
    layout.hidden.sort_unstable();
    layout.hidden.dedup();
    layout
}

/// The interface of ours that frames of `link` leave through, and with which tags.
fn way(links: &BTreeMap<u32, &Link>, own: &BTreeMap<u32, Own>, link: &Link) -> Option<(u32, Tags)> {
    let mut index = link.index;
    let mut tags = Tags::NONE;
    // As many tags as the programs read.
    for _ in 0..=2 {
        if own.contains_key(&index) {
            return Some((index, tags));
        }
        let Kind::Vlan { carrier, tag } = links.get(&index)?.kind else {
            return None;
        };
        tags = tag.around(tags);
        index = carrier;
    }
    None
}

/// The interfaces that a program attached to `index` sees frames come in by.
pub fn entrances(links: &BTreeMap<u32, &Link>, index: u32) -> Vec<u32> {
    let is_bond = |index| {
        links
            .get(&index)
            .is_some_and(|link| link.kind == Kind::Bond)
    };
    let members = links
        .values()
        .filter(|link| is_bond(index) && link.master == Some(index))
        .map(|link| link.index);
    // Itself in generic mode.
    [index].into_iter().chain(members).collect()
}

#[cfg(test)]
mod tests {
    use lb_common::packet::{SERVICE_VLAN, VLAN};

    use super::*;

    const OPEN: Own = Own {
        is_open: true,
        flags: Port::REDIRECT,
        hides_tags: false,
    };

    fn link(index: u32, kind: Kind) -> Link {
        Link {
            index,
            name: format!("eth{index}"),
            mtu: 1500,
            kind,
            master: None,
        }
    }

    fn tag(id: u16) -> Tags {
        Tags::one(VLAN, id.to_be())
    }

    fn vlan(index: u32, carrier: u32, tag: Tags) -> Link {
        link(index, Kind::Vlan { carrier, tag })
    }

    fn port(through: u32, tags: Tags) -> Port {
        Port {
            mtu: 1500,
            through,
            tags,
            flags: Port::REDIRECT,
            padding: 0,
        }
    }

    #[test]
    fn vlan_devices_leave_through_their_carrier() {
        let service = Tags::one(SERVICE_VLAN, 5_u16.to_be());
        let links = [
            link(2, Kind::Other),
            vlan(3, 2, tag(100)),
            vlan(4, 2, service),
            vlan(5, 4, tag(100)),
            // A third tag, and what is carried by nobody of ours.
            vlan(6, 5, tag(100)),
            link(7, Kind::Other),
            vlan(8, 7, tag(100)),
        ];
        let layout = layout(&links, &BTreeMap::from([(2, OPEN)]));
        let two = service.around(tag(100));
        assert_eq!(
            layout.ports,
            BTreeMap::from([
                (2, port(2, Tags::NONE)),
                (3, port(2, tag(100))),
                (4, port(2, service)),
                (5, port(2, two)),
            ])
        );
        assert_eq!(
            layout.devices,
            BTreeMap::from([
                (Arrival::new(2, tag(100)), 3),
                (Arrival::new(2, service), 4),
                (Arrival::new(2, two), 5),
            ])
        );
    }

    #[test]
    fn a_vlan_device_of_ours_is_its_own_way() {
        let links = [link(2, Kind::Other), vlan(3, 2, tag(100))];
        let layout = layout(&links, &BTreeMap::from([(2, OPEN), (3, OPEN)]));
        assert_eq!(layout.ports[&3], port(3, Tags::NONE));
        // The stack brings its frames to its own program.
        assert_eq!(layout.devices, BTreeMap::new());
    }

    #[test]
    fn members_of_a_bond_count_as_the_bond() {
        let member = |index| Link {
            master: Some(9),
            ..link(index, Kind::Other)
        };
        let links = [
            member(2),
            member(3),
            link(9, Kind::Bond),
            vlan(10, 9, tag(7)),
        ];
        let layout = layout(&links, &BTreeMap::from([(9, OPEN)]));
        assert_eq!(
            layout.ports,
            BTreeMap::from([(9, port(9, Tags::NONE)), (10, port(9, tag(7)))])
        );
        let devices = [2, 3].map(|index| (Arrival::new(index, Tags::NONE), 9));
        let tagged = [2, 3, 9].map(|index| (Arrival::new(index, tag(7)), 10));
        assert_eq!(layout.devices, devices.into_iter().chain(tagged).collect());
    }

    #[test]
    fn where_tags_are_hidden_nothing_counts_as_untagged() {
        let own = Own {
            hides_tags: true,
            ..OPEN
        };
        let links = [link(2, Kind::Other)];
        let plain = layout(&links, &BTreeMap::from([(2, own)]));
        assert_eq!((plain.devices.len(), plain.hidden.len()), (0, 0));
        let links = [link(2, Kind::Other), vlan(3, 2, tag(100))];
        let trunk = layout(&links, &BTreeMap::from([(2, own)]));
        assert_eq!(trunk.devices[&Arrival::new(2, Tags::NONE)], UNKNOWN);
        assert_eq!(trunk.hidden, [2]);
    }

    #[test]
    fn a_closed_interface_closes_what_it_carries() {
        let own = Own {
            is_open: false,
            ..OPEN
        };
        let links = [link(2, Kind::Other), vlan(3, 2, tag(100))];
        let layout = layout(&links, &BTreeMap::from([(2, own)]));
        assert!(layout.ports.values().all(|port| port.mtu == 0));
    }
}

//! Ethernet and VLAN tags.

use network_types::eth::EtherType;

use super::{Packet, Skip};

/// Bytes of an untagged Ethernet header.
pub const ETHERNET_LENGTH: usize = 14;
const TAG_LENGTH: usize = 4;
/// Two tags are 802.1ad's own limit.
const TAGS: usize = 2;

const ETHERTYPE_OFFSET: usize = 12;
/// EtherTypes of tags: 802.1Q, and 802.1ad's outer one. Network byte order, as all of them.
pub const VLAN: u16 = EtherType::Ieee8021q as u16;
pub const SERVICE_VLAN: u16 = EtherType::Ieee8021ad as u16;

/// The EtherType (network byte order) behind any tags, and the offset of what follows it.
#[inline(always)]
pub fn network_layer<P: Packet>(packet: &P) -> Result<(u16, usize), Skip> {
    let ethernet = packet.view::<ETHERNET_LENGTH>(0).ok_or(Skip::Malformed)?;
    let mut ethertype: u16 = ethernet.load(ETHERTYPE_OFFSET);
    let mut network = ETHERNET_LENGTH;
    for _ in 0..TAGS {
        if ethertype != VLAN && ethertype != SERVICE_VLAN {
            break;
        }
        let tag = packet.view::<TAG_LENGTH>(network).ok_or(Skip::Malformed)?;
        ethertype = tag.load(2);
        network += TAG_LENGTH;
    }
    Ok((ethertype, packet.anchor::<31>(network)))
}

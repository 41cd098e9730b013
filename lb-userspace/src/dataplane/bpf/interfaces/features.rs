//! What a driver says it does with XDP, since kernel 6.3: the generic netlink family `netdev`
//! (Documentation/netlink/specs/netdev.yaml).

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, Nla as _, NlasIterator, Parseable as _,
    ParseableParametrized,
};
use netlink_packet_generic::{
    GenlFamily, GenlHeader, GenlMessage,
    ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs},
};
use netlink_sys::protocols::NETLINK_GENERIC;

use crate::dataplane::bpf::netlink;

const FAMILY: &str = "netdev";
/// `NETDEV_CMD_DEV_GET`.
const GET: u8 = 1;
/// `NETDEV_A_DEV_IFINDEX` and `NETDEV_A_DEV_XDP_FEATURES`.
const INDEX: u16 = 1;
const XDP_FEATURES: u16 = 3;

/// `enum netdev_xdp_act`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Features(u64);

impl Features {
    const TRANSMIT: u64 = 1 << 2;
    const TRANSMIT_BUFFERS: u64 = 1 << 6;

    /// Takes frames that came in by other interfaces.
    pub const fn takes_others(self) -> bool {
        self.0 & Self::TRANSMIT != 0
    }

    /// Takes them also where they do not fit in one buffer.
    pub const fn takes_large(self) -> bool {
        self.takes_others() && self.0 & Self::TRANSMIT_BUFFERS != 0
    }
}

/// Those of an interface.
///
/// # Errors
/// The kernel does not know the family.
pub fn read(interface: u32) -> io::Result<Features> {
    let request = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(FAMILY.to_owned())],
    });
    let family = netlink::ask(NETLINK_GENERIC, request, 0)?
        .into_iter()
        .flat_map(|answer| answer.payload.nlas)
        .find_map(|attribute| match attribute {
            GenlCtrlAttrs::FamilyId(id) => Some(id),
            _ => None,
        })
        .ok_or(io::ErrorKind::NotFound)?;
    let mut request = GenlMessage::from_payload(Device(vec![DefaultNla::new(
        INDEX,
        interface.to_ne_bytes().to_vec(),
    )]));
    request.set_resolved_family_id(family);
    netlink::ask(NETLINK_GENERIC, request, 0)?
        .into_iter()
        .flat_map(|answer| answer.payload.0)
        .find(|attribute| attribute.kind() == XDP_FEATURES)
        .and_then(|attribute| {
            let mut value = [0; size_of::<u64>()];
            (attribute.value_len() == value.len()).then(|| {
                attribute.emit_value(&mut value);
                Features(u64::from_ne_bytes(value))
            })
        })
        .ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The attributes of a device.
#[derive(Debug)]
struct Device(Vec<DefaultNla>);

impl GenlFamily for Device {
    fn family_name() -> &'static str {
        FAMILY
    }

    fn command(&self) -> u8 {
        GET
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Device {
    fn buffer_len(&self) -> usize {
        self.0.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.0.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Device {
    fn parse_with_param(buffer: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        NlasIterator::new(buffer)
            .map(|attribute| DefaultNla::parse(&attribute?))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_transmits_nothing_of_others() {
        match read(1) {
            Ok(features) => assert!(!features.takes_others(), "{features:?}"),
            // Before 6.3.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
        }
    }
}

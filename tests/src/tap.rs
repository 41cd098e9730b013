//! Which TCP and UDP packets reach a host, or leave it?
//!
//! Neighbour discovery and the like come and go on any wire, which is why counters of interfaces do not tell.

use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket},
};

use crate::netns::Netns;

/// Longer ones are cut.
const LONGEST: usize = 2048;

/// Listens from its making on, on all interfaces.
#[derive(Debug)]
pub struct Tap(OwnedFd);

impl Tap {
    /// # Errors
    /// Without root.
    pub fn new(netns: &Netns) -> anyhow::Result<Self> {
        netns.enter(|| {
            let packets = socket(
                AddressFamily::Packet,
                SockType::Datagram,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::EthAll,
            )
            .context("opening a packet socket")?;
            Ok(Self(packets))
        })
    }

    /// Those since the last call, from their IP headers on.
    ///
    /// # Errors
    /// The socket's.
    pub fn take(&self) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut taken = Vec::new();
        let mut packet = [0; LONGEST];
        loop {
            match recv(self.0.as_raw_fd(), &mut packet, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => taken.extend(transport(&packet[..length]).map(<[u8]>::to_vec)),
                Err(Errno::EAGAIN) => return Ok(taken),
                Err(error) => return Err(error).context("reading a packet socket"),
            }
        }
    }
}

fn transport(packet: &[u8]) -> Option<&[u8]> {
    let protocol = match packet.first()? >> 4 {
        4 => packet.get(9),
        6 => packet.get(6),
        _ => None,
    };
    [libc::IPPROTO_TCP, libc::IPPROTO_UDP]
        .contains(&i32::from(*protocol?))
        .then_some(packet)
}

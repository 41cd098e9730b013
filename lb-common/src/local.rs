//! Clients on the load balancer's own host: whose sockets are balanced, and what is remembered of each.
//!
//! Sockets go by their cookie, a number that the kernel gives to each and to no other before the next boot.

use crate::{address::Address, map_type};

/// What the daemon and the programs for sockets tell each other. One entry.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LocalControl {
    /// The cookie of the network namespace that the last witness connected in.
    pub netns: u64,
    /// The cookie of a socket of the daemon, which is about to connect; 0: the programs have answered.
    pub witness: u64,
}

map_type!(LocalControl, size = 16, align = 8);

/// What a socket talks to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Endpoint<A> {
    pub address: A,
    pub port: u16,
    pub padding: u16,
}

map_type!(Endpoint<u32>, size = 8, align = 4);
map_type!(Endpoint<[u32; 4]>, size = 20, align = 4);

impl<A: Address> Endpoint<A> {
    #[inline(always)]
    pub const fn new(address: A, port: u16) -> Self {
        Self {
            address,
            port,
            padding: 0,
        }
    }
}

/// A socket and what it talks to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SocketPeer<A> {
    /// Low and high word of its cookie.
    pub socket: [u32; 2],
    pub peer: Endpoint<A>,
}

map_type!(SocketPeer<u32>, size = 16, align = 4);
map_type!(SocketPeer<[u32; 4]>, size = 28, align = 4);

impl<A: Address> SocketPeer<A> {
    #[inline(always)]
    pub const fn new(cookie: u64, peer: Endpoint<A>) -> Self {
        Self {
            socket: [cookie as u32, (cookie >> 32) as u32],
            peer,
        }
    }
}

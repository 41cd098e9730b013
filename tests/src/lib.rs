//! What the end-to-end tests and the demo stand on: hosts made of network namespaces, the daemon, servers, clients.
//!
//! | module | question it answers |
//! |---|---|
//! | [`netns`] | how is a host made, entered and removed? |
//! | [`topology`] | which hosts are there, and how are they wired? |
//! | [`process`], [`wait`] | how does a child run, and how long do we wait for it? |
//! | [`config`], [`daemon`] | how is the daemon told what to do, started, asked and stopped? |
//! | [`app`], [`nginx`], [`server`] | who answers? |
//! | [`client`] | who asks, and what came of it? |
//! | [`tap`] | what passes a host's interfaces? |
//! | [`scratch`], [`stale`] | where do files go, and who removes what a killed run left? |
//! | [`load`] | what did it cost to load a program? |
//! | [`needs`] | what must a machine have for a test to run on it? |
//! | [`guest`] | what happens inside a test VM? |
//!
//! Everything is removed when its value goes. Declare the topology first, so that it goes last.

pub mod app;
pub mod client;
pub mod config;
pub mod daemon;
pub mod guest;
pub mod load;
pub mod needs;
pub mod netns;
pub mod nginx;
pub mod process;
pub mod scratch;
pub mod server;
pub mod stale;
pub mod tap;
pub mod topology;
pub mod wait;

use std::fmt;

/// An address family; every topology has both.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];

    /// As the configuration spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

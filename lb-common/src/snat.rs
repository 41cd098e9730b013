//! Source addresses of `fullnat`, their ports, and which of them a new flow tries.

use crate::{backend::BackendId, hash, map_type};

/// The ports of a source address that may be used, in two ranges: (first, count), host byte order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ports {
    pub low_first: u16,
    pub low_count: u16,
    pub high_first: u16,
    pub high_count: u16,
}

map_type!(Ports, size = 8, align = 2);

/// Below it are services.
const FIRST_PORT: u16 = 1024;

impl Ports {
    /// Every port from 1024 up: nobody but us uses the address.
    pub const ALL: Self = Self::without(FIRST_PORT, FIRST_PORT - 1);

    /// Every port from 1024 up but `first` to `last`, which may be none: `last` then lies before `first`.
    pub const fn without(first: u16, last: u16) -> Self {
        let high_first = if last < FIRST_PORT - 1 {
            FIRST_PORT
        } else {
            last.saturating_add(1)
        };
        Self {
            low_first: FIRST_PORT,
            low_count: first.saturating_sub(FIRST_PORT),
            high_first,
            high_count: if last == u16::MAX {
                0
            } else {
                u16::MAX - high_first + 1
            },
        }
    }

    #[inline(always)]
    pub const fn count(&self) -> u32 {
        self.low_count as u32 + self.high_count as u32
    }

    /// The port of an index below [`Self::count`], in network byte order.
    #[inline(always)]
    pub const fn nth(&self, index: u32) -> u16 {
        let low_count = self.low_count as u32;
        let port = if index < low_count {
            self.low_first as u32 + index
        } else {
            self.high_first as u32 + (index - low_count)
        };
        (port as u16).to_be()
    }
}

/// A source address, and its ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SnatAddress<A> {
    pub address: A,
    pub ports: Ports,
}

map_type!(SnatAddress<u32>, size = 12, align = 4);
map_type!(SnatAddress<[u32; 4]>, size = 24, align = 4);

/// What was chosen and drawn for a new flow, from one program to the next.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drawn {
    pub address: [u32; 4],
    pub port: u16,
    /// One of the constants below.
    pub outcome: u16,
    pub backend: BackendId,
    /// How often a backend with room was looked for.
    pub attempts: u32,
}

map_type!(Drawn, size = 28, align = 4);

impl Drawn {
    /// Every port that was tried is taken.
    pub const NONE: u16 = 0;
    pub const FREE: u16 = 1;
    /// Somebody's, whose translation is over.
    pub const OVER: u16 = 2;
    /// There is no backend for it.
    pub const NOBODY: u16 = 3;
    /// Every backend has as many flows as it may have.
    pub const FULL: u16 = 4;
}

/// Ports that a new flow tries. Each is drawn anew: where 50,000 of 64,512 are taken, all of them are in one case of ten
/// million.
pub const PROBES: u32 = 64;

/// One draw for a flow with this hash: it says which address and port.
#[inline(always)]
pub const fn draw(flow: u32, probe: u32) -> u32 {
    hash::mix(flow ^ probe.wrapping_mul(0x9e37_79b1))
}

impl<A> SnatAddress<A> {
    /// The port that a draw says, in network byte order.
    #[inline(always)]
    pub const fn port(&self, draw: u32) -> u16 {
        // Mixed once more: the draw itself has chosen the address.
        self.ports
            .nth(hash::scale(hash::mix(draw), self.ports.count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_leave_out_a_range() {
        assert_eq!(Ports::ALL.count(), 64_512);
        for (first, last, count) in [
            (32_768, 60_999, 36_280),
            (1024, u16::MAX, 0),
            (0, 2000, 63_535),
            (1, 500, 64_512),
            (60_000, u16::MAX, 58_976),
        ] {
            let ports = Ports::without(first, last);
            let all: Vec<u16> = (0..ports.count())
                .map(|index| u16::from_be(ports.nth(index)))
                .collect();
            assert_eq!(all.len(), count, "{first} to {last}");
            let expected: Vec<u16> = (FIRST_PORT..=u16::MAX)
                .filter(|port| !(first..=last).contains(port))
                .collect();
            assert_eq!(all, expected, "{first} to {last}");
        }
    }

    #[test]
    fn fifty_thousand_flows_find_ports() {
        let address = SnatAddress {
            address: (),
            ports: Ports::ALL,
        };
        for seed in 0..16 {
            let mut taken = vec![false; 1 << 16];
            for flow in 0..50_000 {
                let hash = hash::mix(flow ^ hash::mix(seed));
                let port = (0..PROBES)
                    .map(|probe| usize::from(u16::from_be(address.port(draw(hash, probe)))))
                    .find(|&port| !taken[port]);
                let port = port.unwrap_or_else(|| panic!("seed {seed}: flow {flow} finds none"));
                taken[port] = true;
            }
        }
    }
}

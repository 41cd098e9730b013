//! Translations of `fullnat`: both ends of a client's packet are rewritten, and both ends of its reply back.
//!
//! A translation has two halves, which live and die together:
//!
//! | half | keyed by the [`Tuple`] of | says |
//! |---|---|---|
//! | [`Translation`] | the client's packets | where the packet to the backend comes from |
//! | [`Return`] | the backend's packets | who the client is, and which VIP it talks to |
//!
//! The second one is the claim on (source address, port, backend): it is inserted first and only where there is none, and
//! it goes last. Each half knows what its own side has said; both together say how long the translation lives.

use crate::{
    address::Address,
    backend::BackendId,
    flow::{self, Closing, Seen, Tuple, UDP},
    map_type,
    packet::Headers,
};

/// What one side of a translated flow has said, and when it did last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Side {
    pub seen: Seen,
    /// Bits of [`Closing`], and [`Self::SPOKE`].
    pub said: u16,
    pub padding: u16,
}

map_type!(Side, size = 8, align = 4);

impl Side {
    /// It said more than SYN or RST. A backend that only ever resets has never spoken, nor has a client that only sends
    /// SYNs; UDP speaks with every packet.
    pub const SPOKE: u16 = 1 << 3;

    /// A side that sends `headers` for the first time; `fin` is what a FIN of it means.
    #[inline(always)]
    pub fn new<A>(headers: &Headers<A>, fin: Closing, now: Seen) -> Self {
        let mut side = Self {
            seen: now,
            ..Self::default()
        };
        side.hear(headers, fin, now);
        side
    }

    /// Takes note of a packet; what was said before it, where it says more. Writes only what changes: the other packets of a
    /// second cost no store.
    #[inline(always)]
    pub fn hear<A>(&mut self, headers: &Headers<A>, fin: Closing, now: Seen) -> Option<u16> {
        let before = self.said;
        let mut said = before;
        if let Some(closing) = headers.closing(fin) {
            said |= closing as u16;
        }
        if !headers.opens() && !headers.resets() {
            said |= Self::SPOKE;
        }
        if self.seen != now {
            self.seen = now;
        }
        if before == said {
            return None;
        }
        self.said = said;
        Some(before)
    }
}

/// How long flows may be idle, in the unit of [`Seen`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    pub half_open: u32,
    pub tcp: u32,
    pub udp: u32,
}

/// How long a closed connection keeps its port: the side that closed first answers for as long (Linux,
/// `TCP_TIMEWAIT_LEN`).
pub const CLOSED: u32 = Seen::units(60);

/// What both sides together say of a translation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Life {
    seen: Seen,
    said: u16,
    /// Whether both sides have spoken.
    is_established: bool,
}

impl Life {
    #[inline(always)]
    pub fn of(client: Side, backend: Side) -> Self {
        Self {
            seen: if client.seen > backend.seen {
                client.seen
            } else {
                backend.seen
            },
            said: client.said | backend.said,
            is_established: client.said & backend.said & Side::SPOKE != 0,
        }
    }

    /// Whether the connection has ended.
    #[inline(always)]
    pub const fn is_closed(self) -> bool {
        flow::is_closed(self.said)
    }

    /// Whether the translation may go: it has been idle for longer than its state allows.
    #[inline(always)]
    pub const fn is_over(self, protocol: u8, now: Seen, limits: Limits) -> bool {
        let limit = if !self.is_established {
            limits.half_open
        } else if protocol == UDP {
            limits.udp
        } else if self.is_closed() {
            CLOSED
        } else {
            limits.tcp
        };
        self.seen.is_older(now, limit)
    }
}

/// The forward half.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Translation<A> {
    pub source: A,
    pub source_port: u16,
    pub padding: u16,
    pub backend: BackendId,
    pub client: Side,
}

map_type!(Translation<u32>, size = 20, align = 4);
map_type!(Translation<[u32; 4]>, size = 32, align = 4);

impl<A: Address> Translation<A> {
    /// The tuple of the packets that `tuple` becomes, on their way to the backend at `address` and `port`.
    #[inline(always)]
    pub fn applied(&self, tuple: &Tuple<A>, address: A, port: u16) -> Tuple<A> {
        Tuple {
            source: self.source,
            source_port: self.source_port,
            destination: address,
            destination_port: port,
            ..*tuple
        }
    }
}

/// The reverse half.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Return<A> {
    pub client: A,
    pub vip: A,
    pub client_port: u16,
    pub vip_port: u16,
    pub id: BackendId,
    pub backend: Side,
}

map_type!(Return<u32>, size = 24, align = 4);
map_type!(Return<[u32; 4]>, size = 48, align = 4);

impl<A: Address> Return<A> {
    /// The claim of a client's flow.
    #[inline(always)]
    pub fn of(tuple: &Tuple<A>, id: BackendId, now: Seen) -> Self {
        Self {
            client: tuple.source,
            vip: tuple.destination,
            client_port: tuple.source_port,
            vip_port: tuple.destination_port,
            id,
            backend: Side {
                seen: now,
                ..Side::default()
            },
        }
    }

    /// The tuple of the client's packets, which is the key of the other half.
    #[inline(always)]
    pub fn forward(&self, protocol: u8) -> Tuple<A> {
        Tuple {
            source: self.client,
            source_port: self.client_port,
            destination: self.vip,
            destination_port: self.vip_port,
            protocol,
            padding: 0,
            more_padding: 0,
        }
    }

    /// Whether `other` is the forward half, `reply` being the key of this one.
    #[inline(always)]
    pub fn belongs_to(&self, other: &Translation<A>, reply: &Tuple<A>) -> bool {
        other.source == reply.destination
            && other.source_port == reply.destination_port
            && other.backend == self.id
    }
}

/// Who holds a lock of a reverse half. What a killed daemon held, the next one opens.
pub const DATAPATH: u32 = 0;
pub const DAEMON: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flow::TCP,
        packet::{ACK, Carries, FIN, Fragment, RST, SYN},
    };

    const LIMITS: Limits = Limits {
        half_open: 10,
        tcp: 3600,
        udp: 60,
    };

    fn headers(flags: u8) -> Headers<u32> {
        Headers {
            carries: Carries::TRANSPORT,
            fragment: Fragment::default(),
            network: 14,
            transport: 34,
            length: 40,
            extensions: 0,
            tuple: Tuple::default(),
            flags,
            ttl: 64,
        }
    }

    /// After what both sides said, all at the same time: for how long does the translation live?
    fn lives_for(protocol: u8, client: &[u8], backend: &[u8]) -> u32 {
        let start = Seen::at(1 << 40);
        let say = |flags: &[u8], fin| {
            let mut side = Side {
                seen: start,
                ..Side::default()
            };
            for &flags in flags {
                side.hear(&headers(flags), fin, start);
            }
            side
        };
        let life = Life::of(say(client, Closing::Client), say(backend, Closing::Backend));
        (0..)
            .find(|&units| {
                life.is_over(
                    protocol,
                    Seen::at((1 << 40) + (u64::from(units) << 30)),
                    LIMITS,
                )
            })
            .map_or(0, |units: u32| units - 1)
    }

    #[test]
    fn a_translation_lives_as_long_as_its_state_allows() {
        let closed = CLOSED;
        for (what, protocol, client, backend, expected) in [
            ("a SYN", TCP, &[SYN][..], &[][..], 10),
            ("a SYN that is answered", TCP, &[SYN], &[SYN | ACK], 10),
            ("a SYN that is refused", TCP, &[SYN], &[RST | ACK], 10),
            ("data out of nowhere, refused", TCP, &[ACK], &[RST], 10),
            ("the third packet", TCP, &[SYN, ACK], &[SYN | ACK], 3600),
            (
                "data from the backend first",
                TCP,
                &[SYN, ACK],
                &[SYN | ACK, ACK],
                3600,
            ),
            (
                "half closed by the client",
                TCP,
                &[SYN, ACK, FIN | ACK],
                &[SYN | ACK, ACK],
                3600,
            ),
            (
                "half closed by the backend",
                TCP,
                &[SYN, ACK],
                &[SYN | ACK, FIN | ACK],
                3600,
            ),
            (
                "closed",
                TCP,
                &[SYN, ACK, FIN | ACK],
                &[SYN | ACK, FIN | ACK],
                closed,
            ),
            (
                "reset by the client",
                TCP,
                &[SYN, ACK, RST],
                &[SYN | ACK],
                closed,
            ),
            (
                "reset by the backend",
                TCP,
                &[SYN, ACK],
                &[SYN | ACK, RST],
                closed,
            ),
            ("a question", UDP, &[0], &[], 10),
            ("a question and its answer", UDP, &[0], &[0], 60),
        ] {
            assert_eq!(lives_for(protocol, client, backend), expected, "{what}");
        }
    }

    #[test]
    fn either_side_keeps_it_alive() {
        let (old, new) = (Seen::at(1 << 40), Seen::at(1 << 45));
        let side = |seen| Side {
            seen,
            said: Side::SPOKE,
            padding: 0,
        };
        for (client, backend) in [(old, new), (new, old)] {
            let life = Life::of(side(client), side(backend));
            assert!(!life.is_over(TCP, new, LIMITS));
        }
        assert!(Life::of(side(old), side(old)).is_over(TCP, new, LIMITS));
    }
}

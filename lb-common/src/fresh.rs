//! Which UDP flows had their entry of the reverse table written within this second? Their next packet need not look.
//!
//! An array of words, one flow in each place: the flow's mark, and when it was made. Another flow of the same place only
//! displaces it, and costs it one more look. Nothing is compared but the mark, of 40 bits beside the 20 of the place, by
//! a hash whose secret nobody can know: that two flows of a second share all of them is not worth a thought.

use crate::{
    address::Address,
    backend::BackendId,
    flow::{Seen, Tuple},
    hash,
};

/// Words; a power of two.
pub const PLACES: u32 = 1 << 20;
/// Bits of a word that say when, in units of [`Seen`]: they repeat after 208 days.
const WHEN: u32 = 24;

/// Where and how a flow is noted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    pub place: u32,
    pub word: u64,
}

impl Mark {
    /// The mark of a flow whose backend's packets have the tuple `reply`, and are rewritten to come from a VIP.
    #[inline(always)]
    pub fn of<A: Address>(
        secret: u64,
        reply: &Tuple<A>,
        vip: (A, u16),
        backend: BackendId,
        now: Seen,
    ) -> Self {
        let ends = hash::ends(secret, reply);
        let hash = hash::whole(ends, vip.0, vip.1, backend);
        Self {
            place: place_of(ends),
            word: hash << WHEN | u64::from(now.bits() & ((1 << WHEN) - 1)),
        }
    }
}

/// The place of every flow between these ends, whichever VIP it goes through.
#[inline(always)]
pub fn place<A: Address>(secret: u64, reply: &Tuple<A>) -> u32 {
    place_of(hash::ends(secret, reply))
}

#[inline(always)]
fn place_of(ends: u64) -> u32 {
    (ends >> 32) as u32 & (PLACES - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::flow::UDP;

    const SECRET: u64 = 0x0123_4567_89ab_cdef;

    fn reply(client: u32, port: u16) -> Tuple<u32> {
        Tuple {
            source: 0x0a02_000b_u32.to_be(),
            destination: client.to_be(),
            source_port: 53_u16.to_be(),
            destination_port: port.to_be(),
            protocol: UDP,
            ..Tuple::default()
        }
    }

    fn mark(reply: &Tuple<u32>) -> Mark {
        let vip = (0x0a63_0001_u32.to_be(), 53_u16.to_be());
        Mark::of(SECRET, reply, vip, BackendId::new(1, 1), Seen::from_bits(7))
    }

    #[test]
    fn half_a_million_flows_have_as_many_marks_and_use_the_places_evenly() {
        let mut marks = BTreeSet::new();
        let mut places = BTreeSet::new();
        for client in 0..512 {
            for port in 0..1024 {
                let mark = mark(&reply(0x0a01_0000 + client, 30_000 + port));
                marks.insert((mark.place, mark.word));
                places.insert(mark.place);
            }
        }
        assert_eq!(marks.len(), 1 << 19);
        // Random ones would use 1 - e^(-1/2) of all, 412,574; the hash is nearly as good.
        let used = places.len();
        assert!((408_000..417_000).contains(&used), "{used}");
    }

    #[test]
    fn whatever_a_record_says_is_in_the_mark() {
        let reply = reply(1, 2);
        let of = |vip, port, backend, now| Mark::of(SECRET, &reply, (vip, port), backend, now);
        let (one, other) = (BackendId::new(1, 1), BackendId::new(1, 2));
        let (now, later) = (Seen::from_bits(7), Seen::from_bits(8));
        let all = [
            of(1_u32, 2, one, now),
            of(3, 2, one, now),
            of(1, 4, one, now),
            of(1, 2, other, now),
            of(1, 2, one, later),
        ];
        let words: BTreeSet<u64> = all.iter().map(|mark| mark.word).collect();
        assert_eq!(words.len(), all.len());
        // A direct packet, which knows nothing of the VIP, finds all of them.
        assert!(all.iter().all(|mark| mark.place == place(SECRET, &reply)));
    }

    #[test]
    fn every_word_of_an_ipv6_client_matters() {
        let marks: BTreeSet<u64> = (0..4)
            .map(|i| {
                let mut reply = Tuple::<[u32; 4]>::default();
                reply.destination[i] = 1;
                Mark::of(
                    SECRET,
                    &reply,
                    ([0; 4], 0),
                    BackendId::NONE,
                    Seen::default(),
                )
                .word
            })
            .collect();
        assert_eq!(marks.len(), 4);
    }
}

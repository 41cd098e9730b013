//! Where the ports of a fragmented packet are remembered: only its first fragment has them.
//!
//! A table of fixed size in an array, shared by all CPUs, because the fragments of one packet may come in on several. A
//! packet has [`WAYS`] places; what is recorded there takes that of the oldest. Nothing is locked: an entry carries a
//! digest of itself, so that one that is half of one writer and half of another is no entry.
//!
//! A sender that uses an identification again starts over with the first fragment.

use crate::{address::Address, flow::Seen, hash, map_type, packet::Headers};

/// Places of the table, a power of two; 4 MiB.
pub const PLACES: u32 = 1 << 16;
/// Consecutive places in which a packet's entry may be.
pub const WAYS: u32 = 4;

/// How long an entry holds. Receivers wait at least that long for the rest of a packet: 30 s in Linux over IPv4, 60 s over
/// IPv6 (RFC 8200, section 4.5).
const LIFETIME: u32 = Seen::units(30);
/// Fragments of a packet may still be on their way for about that long: 2 s.
const YOUNG: u32 = 1;

const KEY_WORDS: usize = 5;
const PORTS: usize = 5;
const SEEN: usize = 6;
const DIGEST: usize = 7;

/// An entry, in words that are read and written one by one.
///
/// Source and destination in two each; identification below, family above; source port, destination port and protocol from
/// the lowest bits on; [`Seen`]; the digest of those.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FragmentEntry {
    pub words: [u64; 8],
}

map_type!(FragmentEntry, size = 64, align = 8);

/// What the fragments of one packet have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key([u64; KEY_WORDS]);

/// What a first fragment says of the later ones; ports in network byte order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    pub source: u16,
    pub destination: u16,
    pub protocol: u8,
}

impl Key {
    #[inline(always)]
    pub fn of<A: Address>(headers: &Headers<A>) -> Self {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let source = headers.tuple.source.to_words();
        let destination = headers.tuple.destination.to_words();
        Self([
            pair(source[0], source[1]),
            pair(source[2], source[3]),
            pair(destination[0], destination[1]),
            pair(destination[2], destination[3]),
            pair(headers.fragment.identification, A::FAMILY.into()),
        ])
    }

    /// The first of the places in which its entry may be.
    #[inline(always)]
    pub const fn first_place(&self, seed: u32) -> u32 {
        let mut digest = seed as u64;
        let mut i = 0;
        while i < KEY_WORDS {
            digest = digested(digest, self.0[i]);
            i += 1;
        }
        hash::mix((digest >> 32) as u32) & (PLACES - 1) & !(WAYS - 1)
    }
}

impl FragmentEntry {
    #[inline(always)]
    pub fn new(key: &Key, ports: Ports, now: Seen) -> Self {
        let Key([a, b, c, d, e]) = *key;
        let mut words = [a, b, c, d, e, ports.to_word(), now.bits().into(), 0];
        words[DIGEST] = words[..DIGEST]
            .iter()
            .fold(0, |sum, &word| digested(sum, word));
        Self { words }
    }
}

impl Ports {
    #[inline(always)]
    const fn to_word(self) -> u64 {
        self.source as u64 | (self.destination as u64) << 16 | (self.protocol as u64) << 32
    }

    #[inline(always)]
    const fn from_word(word: u64) -> Self {
        Self {
            source: word as u16,
            destination: (word >> 16) as u16,
            protocol: (word >> 32) as u8,
        }
    }
}

/// What stands in a place, as far as one packet is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    ports: Ports,
    /// `None`: no entry.
    age: Option<u32>,
    is_same: bool,
}

impl Reading {
    /// Reads each word once: another CPU may write at the same time.
    #[inline(always)]
    pub fn of(key: &Key, now: Seen, word: impl Fn(usize) -> u64) -> Self {
        let (mut digest, mut difference) = (0, 0);
        for (i, expected) in key.0.into_iter().enumerate() {
            let found = word(i);
            difference |= found ^ expected;
            digest = digested(digest, found);
        }
        let (ports, seen) = (word(PORTS), word(SEEN));
        digest = digested(digested(digest, ports), seen);
        let age = now.since(Seen::from_bits(seen as u32));
        Self {
            ports: Ports::from_word(ports),
            age: (digest == word(DIGEST) && age <= LIFETIME).then_some(age),
            is_same: difference == 0,
        }
    }

    /// The ports, if it is the packet's entry.
    #[inline(always)]
    pub const fn ports(&self) -> Option<Ports> {
        if self.is_same && self.age.is_some() {
            Some(self.ports)
        } else {
            None
        }
    }

    /// The place with the lowest is written to: the packet's own, an empty one, the oldest.
    #[inline(always)]
    pub const fn worth(&self) -> u32 {
        match self.age {
            _ if self.is_same => 0,
            None => 1,
            Some(age) => 2 + LIFETIME - age,
        }
    }
}

/// Whether writing to a place of this worth takes the ports from fragments that may still come.
#[inline(always)]
pub const fn is_loss(worth: u32) -> bool {
    worth >= 2 + LIFETIME - YOUNG
}

/// Multiplied with 2^64 / phi, so that every bit reaches all above it, and folded so that these reach those below.
#[inline(always)]
const fn digested(digest: u64, word: u64) -> u64 {
    let product = (digest ^ word ^ 0x5bd1_e995).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 29
}

/// A fragment that is handed to the daemon, before the bytes of its frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HeldFragment {
    /// The index of the interface it came in by.
    pub ingress: u32,
    /// Bytes of the frame.
    pub length: u32,
}

map_type!(HeldFragment, size = 8, align = 4);

/// Bytes of a frame that the kernel takes back: a page without what it keeps in it itself (`bpf_test_run_xdp_live`).
pub const HELD_LENGTH: usize = 3072;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::HashMap;

    use super::*;
    use crate::{
        address::{V4, V6},
        flow::{Tuple, UDP},
        packet::Fragment,
    };

    fn key(identification: u16) -> Key {
        Key::of(&headers::<V4>(1, 2, identification))
    }

    fn headers<A: Address>(source: A, destination: A, identification: u16) -> Headers<A> {
        Headers {
            network: 14,
            transport: 34,
            length: 100,
            is_extended: false,
            fragment: Fragment::v4(0x2000_u16.to_be(), identification, UDP),
            tuple: Tuple {
                source,
                destination,
                ..Tuple::default()
            },
            flags: 0,
            ttl: 64,
        }
    }

    fn ports(source: u16) -> Ports {
        Ports {
            source,
            destination: 53,
            protocol: UDP,
        }
    }

    fn seconds(seconds: u64) -> Seen {
        Seen::at(seconds * 1_000_000_000)
    }

    fn read(entry: &FragmentEntry, key: &Key, now: Seen) -> Reading {
        Reading::of(key, now, |i| entry.words[i])
    }

    /// The table, as the programs use it.
    struct Table(HashMap<u32, FragmentEntry>);

    impl Table {
        fn readings(&self, key: &Key, now: Seen) -> Vec<(u32, Reading)> {
            let first = key.first_place(0);
            (first..first + WAYS)
                .map(|place| {
                    (
                        place,
                        read(&self.0.get(&place).copied().unwrap_or_default(), key, now),
                    )
                })
                .collect()
        }

        /// Whether another's ports were lost.
        fn record(&mut self, key: &Key, ports: Ports, now: Seen) -> bool {
            let readings = self.readings(key, now).into_iter();
            let (worth, place) = readings
                .map(|(place, reading)| (reading.worth(), place))
                .min()
                .unwrap();
            self.0.insert(place, FragmentEntry::new(key, ports, now));
            is_loss(worth)
        }

        fn find(&self, key: &Key, now: Seen) -> Option<Ports> {
            self.readings(key, now)
                .into_iter()
                .find_map(|(_, reading)| reading.ports())
        }
    }

    #[test]
    fn an_entry_answers_for_its_packet_alone() {
        let entry = FragmentEntry::new(&key(7), ports(9), seconds(100));
        assert_eq!(read(&entry, &key(7), seconds(101)).ports(), Some(ports(9)));
        assert_eq!(read(&entry, &key(8), seconds(101)).ports(), None);
        let reversed = Key::of(&headers::<V4>(2, 1, 7));
        assert_eq!(read(&entry, &reversed, seconds(101)).ports(), None);
        let v6 = Key::of(&headers::<V6>([1, 0, 0, 0], [2, 0, 0, 0], 7));
        assert_eq!(read(&entry, &v6, seconds(101)).ports(), None);
    }

    #[test]
    fn an_entry_ends_and_an_empty_place_has_none() {
        let entry = FragmentEntry::new(&key(7), ports(9), seconds(100));
        assert!(read(&entry, &key(7), seconds(130)).ports().is_some());
        assert!(read(&entry, &key(7), seconds(133)).ports().is_none());
        let zeros = Key([0; KEY_WORDS]);
        assert_eq!(
            read(&FragmentEntry::default(), &zeros, Seen::default()).ports(),
            None
        );
    }

    #[test]
    fn the_oldest_makes_room_and_the_young_are_missed() {
        // Five packets of one bucket.
        let first = key(0).first_place(0);
        let keys: Vec<Key> = (0..)
            .map(key)
            .filter(|key| key.first_place(0) == first)
            .take(5)
            .collect();
        let mut table = Table(HashMap::new());
        for (key, second) in keys.iter().zip([100, 103, 101, 103]) {
            assert!(!table.record(key, ports(1), seconds(second)));
        }
        assert!(
            !table.record(&keys[1], ports(2), seconds(103)),
            "its own place"
        );
        assert!(
            !table.record(&keys[4], ports(5), seconds(104)),
            "the oldest is not young"
        );
        assert_eq!(table.find(&keys[0], seconds(104)), None);
        for (key, expected) in keys[1..].iter().zip([2, 1, 1, 5]) {
            assert_eq!(table.find(key, seconds(104)), Some(ports(expected)));
        }
        assert!(!table.record(&keys[0], ports(1), seconds(104)));
        assert!(
            table.record(&keys[2], ports(1), seconds(104)),
            "all are young"
        );
    }

    proptest! {
        /// What two writers of a place leave, or a reader sees of one, word by word.
        #[test]
        fn a_torn_entry_is_none(
            old: (u16, u16, u16), new: (u16, u16, u16), from_new in prop::array::uniform8(any::<bool>()),
        ) {
            let entry = |(identification, source, second): (u16, u16, u16)| {
                FragmentEntry::new(&key(identification), ports(source), seconds(second.into()))
            };
            let (old_entry, new_entry) = (entry(old), entry(new));
            let torn = FragmentEntry {
                words: std::array::from_fn(|i| if from_new[i] { new_entry.words[i] } else { old_entry.words[i] }),
            };
            prop_assume!(torn != old_entry && torn != new_entry);
            for (identification, _, second) in [old, new] {
                let reading = read(&torn, &key(identification), seconds(second.into()));
                prop_assert_eq!(reading.ports(), None);
            }
        }

        /// However many there are, none finds another's ports, and one that is not found was counted.
        #[test]
        fn nobody_gets_the_ports_of_another(packets in prop::collection::vec((0_u16..300, any::<u16>()), 1..400)) {
            let mut table = Table(HashMap::new());
            let mut known = HashMap::new();
            let mut losses = 0;
            for (identification, source) in packets {
                losses += u32::from(table.record(&key(identification), ports(source), seconds(9)));
                known.insert(identification, source);
            }
            let mut missing = 0;
            for (identification, source) in known {
                match table.find(&key(identification), seconds(10)) {
                    Some(found) => prop_assert_eq!(found, ports(source)),
                    None => missing += 1,
                }
            }
            prop_assert!(missing <= losses);
        }
    }
}

use proptest::prelude::*;
use std::collections::HashMap;

use super::*;
use crate::{
    address::{V4, V6},
    flow::{Tuple, UDP},
    packet::{Carries, Fragment},
};

fn key(identification: u16) -> Key {
    Key::of(&headers::<V4>(1, 2, identification))
}

fn headers<A: Address>(source: A, destination: A, identification: u16) -> Headers<A> {
    Headers {
        carries: Carries::TRANSPORT,
        network: 14,
        transport: 34,
        length: 100,
        extensions: 0,
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

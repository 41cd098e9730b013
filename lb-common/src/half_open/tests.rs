use std::collections::BTreeSet;

use super::*;
use crate::{
    address::{V4, V6},
    flow::{Seen, TCP},
};

const SEED: u32 = 7;
const SECOND: u64 = 1_000_000_000;

/// As the programs hold it.
struct Table<A> {
    heads: Vec<Heads>,
    entries: Vec<HalfOpen<A>>,
}

impl<A: Address> Table<A> {
    fn new() -> Self {
        Self {
            heads: vec![Heads::default(); BUCKETS as usize],
            entries: vec![HalfOpen::default(); REVERSE_HALF_CAPACITY as usize],
        }
    }

    fn write(&mut self, reply: &Tuple<A>, record: &ReverseRecord<A>, nanoseconds: u64) -> bool {
        let now = Ticks::at(nanoseconds);
        let spot = Spot::of(SEED, reply);
        let heads = &mut self.heads[spot.bucket as usize].words;
        let way = spot.choose(now, |way| heads[way as usize]);
        let former = heads[way as usize];
        heads[way as usize] = spot.head(now);
        let entry = words(&mut self.entries[spot.place(way) as usize]);
        let before = entry.to_vec();
        spot.write(
            former,
            reply,
            record,
            |i| before[i],
            |i, word| entry[i] = word,
        )
    }

    fn read(&self, reply: &Tuple<A>, nanoseconds: u64) -> Option<ReverseRecord<A>> {
        let spot = Spot::of(SEED, reply);
        let heads = self.heads[spot.bucket as usize].words;
        let (way, head) = spot.find(|way| heads[way as usize])?;
        let mut entry = self.entries[spot.place(way) as usize];
        let entry = words(&mut entry);
        spot.read(head, reply, Ticks::at(nanoseconds), |i| entry[i])
    }

    fn client_closes(&mut self, reply: &Tuple<A>) {
        let spot = Spot::of(SEED, reply);
        let heads = &mut self.heads[spot.bucket as usize].words;
        let (way, head) = spot.find(|way| heads[way as usize]).unwrap();
        heads[way as usize] = Spot::closed_by_client(head);
    }

    fn entry(&mut self, reply: &Tuple<A>) -> &mut HalfOpen<A> {
        let spot = Spot::of(SEED, reply);
        let heads = self.heads[spot.bucket as usize].words;
        let (way, _) = spot.find(|way| heads[way as usize]).unwrap();
        &mut self.entries[spot.place(way) as usize]
    }
}

fn words<A: Address>(entry: &mut HalfOpen<A>) -> &mut [u32] {
    let first = std::ptr::from_mut(entry).cast();
    // SAFETY: integers of no less alignment, as many as are asserted.
    unsafe { std::slice::from_raw_parts_mut(first, HalfOpen::<A>::WORDS) }
}

fn v4(n: u32) -> Tuple<V4> {
    Tuple {
        source: 0x0a02_000b_u32.to_be(),
        destination: (0x0a01_0000 + (n >> 14)).to_be(),
        source_port: 8000_u16.to_be(),
        destination_port: (10_000 + (n & 0x3fff) as u16).to_be(),
        protocol: TCP,
        ..Tuple::default()
    }
}

fn v6(n: u32) -> Tuple<V6> {
    let like = v4(n);
    Tuple {
        source: [0xfd00_u32.to_be(), 0, 0, like.source],
        destination: [0xfd01_u32.to_be(), 0, 0, like.destination],
        source_port: like.source_port,
        destination_port: like.destination_port,
        protocol: TCP,
        ..Tuple::default()
    }
}

fn record<A: Address>(vip: A, vip_port: u16, nanoseconds: u64) -> ReverseRecord<A> {
    ReverseRecord {
        vip,
        vip_port,
        closing: 0,
        backend: BackendId::new(3, 1),
        seen: Seen::at(nanoseconds),
    }
}

fn what_was_written_last_is_read<A: Address>(reply: impl Fn(u32) -> Tuple<A>, vip: A) {
    let mut table = Table::new();
    let now = 100 * SECOND;
    assert_eq!(table.read(&reply(0), now), None);
    for (n, port) in [(0, 80), (1, 80), (0, 443)] {
        assert!(table.write(&reply(n), &record(vip, port, now), now));
        assert!(!table.write(&reply(n), &record(vip, port, now), now));
        assert_eq!(
            table.read(&reply(n), now + SECOND),
            Some(record(vip, port, now))
        );
    }
    assert_eq!(table.read(&reply(1), now), Some(record(vip, 80, now)));
    assert_eq!(table.read(&reply(2), now), None);
    assert_eq!(
        table
            .heads
            .iter()
            .flat_map(|heads| heads.words)
            .filter(|head| *head != 0)
            .count(),
        2
    );
}

#[test]
fn what_was_written_last_is_read_in_both_families() {
    what_was_written_last_is_read(v4, 0x0a63_0001_u32.to_be());
    what_was_written_last_is_read(v6, [0xfd63_u32.to_be(), 0, 0, 1]);
}

/// Flows of one bucket.
#[test]
fn a_client_that_says_goodbye_early_is_remembered_until_it_begins_anew() {
    let mut table = Table::new();
    let (reply, record) = (v4(1), record(9, 80, SECOND));
    table.write(&reply, &record, SECOND);
    assert_eq!(table.read(&reply, SECOND).unwrap().closing, 0);
    table.client_closes(&reply);
    table.client_closes(&reply);
    let closing = table.read(&reply, SECOND).unwrap().closing;
    assert_eq!(closing, Closing::Client as u16);
    table.write(&reply, &record, 2 * SECOND);
    assert_eq!(table.read(&reply, 2 * SECOND).unwrap().closing, 0);
}

fn neighbours() -> impl Iterator<Item = Tuple<V4>> {
    let bucket = Spot::of(SEED, &v4(0)).bucket;
    (0..1 << 22)
        .map(v4)
        .filter(move |reply| Spot::of(SEED, reply).bucket == bucket)
}

#[test]
fn the_oldest_of_a_bucket_makes_room() {
    let mut table = Table::new();
    let flows: Vec<_> = neighbours().take(WAYS as usize + 3).collect();
    for (flow, second) in flows.iter().zip(100..) {
        table.write(flow, &record(1, 80, second * SECOND), second * SECOND);
    }
    let found: Vec<_> = flows
        .iter()
        .map(|flow| table.read(flow, 200 * SECOND).is_some())
        .collect();
    assert_eq!(
        found,
        [[false; 3].as_slice(), &[true; WAYS as usize]].concat()
    );
}

#[test]
fn of_equally_old_ones_any_makes_room() {
    let mut table = Table::new();
    let now = 100 * SECOND;
    let mut flows = neighbours();
    let first: Vec<_> = flows.by_ref().take(WAYS as usize).collect();
    for flow in &first {
        table.write(flow, &record(1, 80, now), now);
    }
    let mut taken = BTreeSet::new();
    for flow in flows.take(40) {
        let spot = Spot::of(SEED, &flow);
        let heads = table.heads[spot.bucket as usize].words;
        taken.insert(spot.choose(Ticks::at(now), |way| heads[way as usize]));
    }
    assert_eq!(taken.len(), WAYS as usize, "{taken:?}");
}

#[test]
fn a_clock_that_lags_behind_makes_nothing_old() {
    let mut table = Table::new();
    let flows: Vec<_> = neighbours().take(WAYS as usize + 1).collect();
    let (last, others) = flows.split_last().unwrap();
    let written = 100 * SECOND;
    for flow in others {
        table.write(flow, &record(1, 80, written), written);
    }
    // The first but for this one is renewed by a CPU that is ahead.
    let ahead = written + 20_000_000;
    table.write(&others[3], &record(1, 80, ahead), ahead);
    assert_eq!(
        table.read(&others[3], written),
        Some(record(1, 80, written))
    );
    table.write(last, &record(1, 80, written), written);
    assert!(table.read(&others[3], written).is_some());
}

#[test]
fn an_entry_of_two_writers_is_none() {
    let now = 100 * SECOND;
    let changes: [fn(&mut HalfOpen<V4>); 5] = [
        |entry| entry.vip = 2,
        |entry| entry.vip_port = 443,
        |entry| entry.backend = BackendId::new(3, 2),
        |entry| entry.reply.destination ^= 1,
        |entry| entry.reply.protocol ^= 1,
    ];
    for change in changes {
        let mut table = Table::new();
        table.write(&v4(0), &record(1, 80, now), now);
        assert!(table.read(&v4(0), now).is_some());
        change(table.entry(&v4(0)));
        assert_eq!(table.read(&v4(0), now), None);
    }
}

#[test]
fn a_quarter_of_the_places_is_used_without_loss() {
    let mut table = Table::new();
    let now = 100 * SECOND;
    let flows = REVERSE_HALF_CAPACITY / 4;
    for n in 0..flows {
        table.write(&v4(n), &record(1, 80, now), now);
    }
    let kept = (0..flows)
        .filter(|&n| table.read(&v4(n), now).is_some())
        .count();
    // Of buckets with two flows on average, one in 4,000 has more than eight.
    assert!(kept as u32 > flows - flows / 1000, "{kept} of {flows}");
}

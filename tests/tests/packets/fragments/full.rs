//! Five packets whose entries compete for four places.

use std::collections::BTreeMap;

use lb_common::{
    address::{V4, V6},
    fragment::Key,
    packet::{Frame, parse},
    verdict::{Event, Verdict},
};

use super::{BY_FRONT, whole};
use crate::{
    forward::to_port,
    support::{
        packet::{ETHERNET, Packet},
        plan::{Host, Kind, Port},
        row::{Row, Step},
        world::SEED,
    },
};

pub fn rows(kind: Kind) -> Vec<Row> {
    let piece = |id: u32, range| whole(kind).piece(id, range);
    let mut buckets = BTreeMap::<u32, Vec<u32>>::new();
    let rivals = (0..=0xffff).find_map(|id| {
        let bucket = buckets
            .entry(first_place(kind, &piece(id, 0..40)))
            .or_default();
        bucket.push(id);
        <[u32; 5]>::try_from(bucket.as_slice()).ok()
    });
    let [a, b, c, d, e] = rivals.expect("of 65,536 packets five share one of 16,384 buckets");
    let seen = |id| Step::seen(BY_FRONT, piece(id, 0..40), Verdict::ForwardOther);
    let recorded = [
        Event::SelectStable,
        Event::FragmentRecorded,
        Event::FragmentTableFull,
    ];
    let later = piece(a, 40..64);
    vec![
        to_port(
            kind,
            "the first fragment of more packets than there are places",
            Port::Back,
            &piece(e, 0..40),
        )
        .after([seen(a), seen(b), seen(c), seen(d)])
        .with(&recorded),
        to_port(
            kind,
            "a later fragment of the last of them",
            Port::Back,
            &piece(e, 40..64),
        )
        .after([seen(a), seen(b), seen(c), seen(d), seen(e)]),
        Row::new(
            kind,
            "a later fragment of one that made room",
            &later,
            Verdict::HeldFragment,
        )
        .served_by(Host::Back)
        .after([seen(a), seen(b), seen(c), seen(d), seen(e)]),
    ]
}

/// Where entries stand is no one's business: the datapath's own hash says it.
fn first_place(kind: Kind, packet: &Packet) -> u32 {
    let mut bytes = packet.bytes();
    let frame = Frame(&mut bytes);
    let key = if kind.is_v4() {
        Key::of(&parse::<V4, _>(&frame, ETHERNET).unwrap())
    } else {
        Key::of(&parse::<V6, _>(&frame, ETHERNET).unwrap())
    };
    key.first_place(SEED)
}

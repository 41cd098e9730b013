//! How many connections are open, as the programs count them while they pass, against those that are.

use std::time::Instant;

use anyhow::ensure;
use lb_userspace::desired::Protocol;
use shunt_tests::needs;

use crate::{
    forward::request,
    reply::HERE,
    snat_ports::nth_client,
    support::{
        packet::{ACK, FIN, Packet, RST, SYN},
        plan::{Family, Kind, Port},
        row::Row,
        world::{self, World},
    },
};
use lb_common::verdict::Verdict;

/// One of so many connections stays open.
const STAYS: u32 = 100;

/// A connection from its first packet to its last, unless it stays open: some are reset, by either side, some SYNs sent twice.
fn connection(kind: Kind, n: u32) -> Vec<(Port, Packet)> {
    let client = nth_client(kind, n);
    let asks = |flags| {
        let packet = request(kind).from(client).flags(flags);
        (Port::Front, packet)
    };
    let answers = |flags| {
        let packet = Packet::new(kind, kind.backend(HERE), client);
        (Port::Back, packet.flags(flags))
    };
    let mut packets = vec![asks(SYN)];
    if n.is_multiple_of(16) {
        packets.push(asks(SYN));
    }
    packets.extend([answers(SYN | ACK), asks(ACK), answers(ACK)]);
    match n % STAYS {
        0 => {}
        1..10 => packets.push(asks(RST)),
        10..20 => packets.extend([answers(FIN | ACK), asks(RST | ACK)]),
        20..30 => packets.push(answers(RST | ACK)),
        30..60 => packets.extend([answers(FIN | ACK), asks(FIN | ACK), answers(ACK)]),
        _ => packets.extend([asks(FIN | ACK), answers(FIN | ACK), asks(ACK)]),
    }
    packets
}

fn pass(world: &mut World, kind: Kind, n: u32) -> anyhow::Result<()> {
    for (port, packet) in connection(kind, n) {
        world.send(port, &packet.bytes())?;
    }
    Ok(())
}

#[test]
fn open_connections_are_counted_through_many_opens_and_closes() {
    let connections = needs::at_length(1_000_000, 20_000, 2000) as u32;
    for family in [Family::V4, Family::V6] {
        let kind = Kind::new(family, Protocol::Tcp);
        world::with(|world| {
            let row = Row::new(kind, "", &request(kind), Verdict::NotOurs);
            world.prepare(&row.served_by(HERE))?;
            world.never_forget()?;
            for n in 0..connections {
                pass(world, kind, n)?;
            }
            let open = connections.div_ceil(STAYS);
            let counted = world.open(kind.id(HERE))?;
            let begin = Instant::now();
            let walked = world.walk_open(kind.id(HERE))?;
            println!(
                "{kind}: {connections} opened, {open} of them still open: counted {counted}; found by a walk {walked}, in {:?}",
                begin.elapsed()
            );
            let close = |found: u64| found.abs_diff(open.into()) * 100 <= u64::from(open);
            ensure!(close(counted.into()), "counted {counted}, expected {open}");
            // A full table forgets who was used least, but those that have ended first.
            ensure!(
                walked <= u64::from(open),
                "walked {walked}, expected {open}"
            );
            let set_right = world.open(kind.id(HERE))?;
            ensure!(
                u64::from(set_right) == walked,
                "{set_right} after a walk that found {walked}"
            );
            Ok(())
        });
    }
}

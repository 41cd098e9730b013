//! A flood of SYNs overruns what is half-open, and nothing else: flows that were answered go on, in slots that move, too.

use std::{net::SocketAddr, ops::Range};

use anyhow::{Context as _, ensure};
use lb_common::{
    layout::REVERSE_HALF_CAPACITY,
    slot::Slot,
    verdict::{Event, Verdict},
};
use lb_userspace::desired::Protocol;
use shunt_tests::needs;

use crate::{
    forward::request,
    reply::{BY_BACK, HERE, reply},
    snat_ports::{nth, nth_client},
    support::{
        packet::{ACK, Packet, SYN},
        plan::{Family, Host, Kind, Port},
        row::{Program, Row, Step},
        world::{self, World},
    },
};

const BY_FRONT: Program = Program::Xdp(Port::Front);
const NEXT: Host = Host::Other;
/// Flows that are established before.
const FLOWS: u16 = 100;
/// SYNs of the flood whose answers are looked at.
const SAMPLE: u32 = 200;

fn client(kind: Kind, n: u16) -> SocketAddr {
    kind.at(Host::Client, 20_000 + n)
}

fn question(kind: Kind, n: u16) -> Packet {
    request(kind).from(client(kind, n))
}

fn answer(kind: Kind, n: u16) -> Packet {
    reply(kind).to(client(kind, n))
}

/// Connections that were accepted and have carried data, and then the slot moves to another backend.
fn established(kind: Kind) -> Vec<Step> {
    let asked = |packet| Step::seen(BY_FRONT, packet, Verdict::ForwardOther);
    let answered = |packet| Step::seen(BY_BACK, packet, Verdict::ReplyOther);
    let mut steps = vec![Step::Table(vec![Slot::stable(kind.id(HERE))])];
    steps.extend((0..FLOWS).flat_map(|n| {
        [
            asked(question(kind, n).flags(SYN)),
            answered(answer(kind, n).flags(SYN | ACK)),
            asked(question(kind, n)),
            answered(answer(kind, n)),
        ]
    }));
    let moving = Slot {
        current: kind.id(NEXT),
        previous: kind.id(HERE),
    };
    steps.push(Step::Table(vec![moving]));
    steps.extend((0..FLOWS).map(|n| asked(question(kind, n))));
    steps
}

fn goes_on(world: &mut World, kind: Kind, n: u16) -> anyhow::Result<()> {
    let asked = world.run(BY_FRONT, &question(kind, n).bytes())?;
    let sent = question(kind, n).to(kind.backend(HERE));
    ensure!(
        asked.events == [Event::SelectRecorded],
        "found {:?}",
        asked.events
    );
    ensure!(asked.output == sent.routed(Port::Back, HERE).bytes());
    let answered = world.run(BY_BACK, &answer(kind, n).bytes())?;
    let sent = answer(kind, n).from(kind.vip());
    ensure!(
        answered.verdict == Verdict::ReplyOther,
        "found {}",
        answered.verdict.name()
    );
    ensure!(answered.output == sent.routed(Port::Front, Host::Client).bytes());
    Ok(())
}

/// How many SYNs of the flood have their answer recognised.
fn accepted(world: &mut World, kind: Kind, flood: Range<u32>) -> anyhow::Result<usize> {
    let mut recognised = 0;
    for n in flood {
        let answer = Packet::new(kind, kind.backend(NEXT), nth_client(kind, n));
        let ran = world.run(BY_BACK, &answer.flags(SYN | ACK).bytes())?;
        match ran.verdict {
            // Nobody is the way to these clients.
            Verdict::ReplyStack => recognised += 1,
            Verdict::NotOurs => {}
            other => anyhow::bail!("SYN-ACK {n}: found {}", other.name()),
        }
    }
    Ok(recognised)
}

#[test]
fn established_flows_outlive_a_flood_of_syns() {
    const FORWARDED: u32 = 4;
    let full = u64::from(REVERSE_HALF_CAPACITY);
    // Twice what there is room for; an emulated machine would take minutes.
    let flood = needs::repetitions(2 * full, full + full / 8) as u32;
    for kind in [
        Kind::new(Family::V4, Protocol::Tcp),
        Kind::new(Family::V6, Protocol::Tcp),
    ] {
        world::with(|world| {
            let row = Row::new(kind, "", &request(kind), Verdict::NotOurs);
            world.prepare(&row.after(established(kind)))?;
            world.never_forget()?;
            for n in 0..flood {
                let (code, _) = world.send(Port::Front, &nth(kind, n).bytes())?;
                ensure!(code == FORWARDED, "SYN {n} was not forwarded: {code}");
            }
            // It did overrun the table, of which the newest are left.
            let first = accepted(world, kind, 0..SAMPLE)?;
            ensure!(first < SAMPLE as usize / 2, "{first} of the first {SAMPLE}");
            let last = accepted(world, kind, flood - SAMPLE..flood)?;
            ensure!(
                last > SAMPLE as usize * 9 / 10,
                "{last} of the last {SAMPLE}"
            );
            for n in 0..FLOWS {
                goes_on(world, kind, n).with_context(|| format!("flow {n}"))?;
            }
            Ok(())
        });
    }
}

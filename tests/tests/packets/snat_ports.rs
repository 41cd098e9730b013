//! Ports of `fullnat`: each flow has one of its own, for as long as it lives, and those that find none are counted.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, ensure};
use etherparse::{SlicedPacket, TransportSlice};
use lb_common::{
    layout::TRANSLATIONS_CAPACITY,
    snat::Ports,
    verdict::{Event, Verdict},
};
use lb_userspace::desired::Protocol;
use shunt_tests::needs;

use crate::{
    forward::request,
    fullnat::{BY_FRONT, HERE, reply, row, served},
    support::{
        packet::{Packet, SYN},
        plan::{self, Family, Kind, Port},
        world::{self, World},
    },
};

/// The `n`-th of many clients.
pub fn nth_client(kind: Kind, n: u32) -> SocketAddr {
    let address: IpAddr = match kind.family {
        Family::V4 => [10, 1, (n >> 16) as u8, (n >> 8) as u8].into(),
        Family::V6 => [
            0x2001,
            0xdb8,
            0xc,
            0,
            0,
            0,
            (n >> 16) as u16,
            (n >> 8) as u16,
        ]
        .into(),
    };
    SocketAddr::new(address, 5000 + (n & 0xff) as u16)
}

/// Its first packet.
pub fn nth(kind: Kind, n: u32) -> Packet {
    let client = nth_client(kind, n);
    request(kind).from(client).flags(SYN).payload(b"")
}

fn sender(frame: &[u8]) -> anyhow::Result<u16> {
    match SlicedPacket::from_ethernet(frame)?.transport {
        Some(TransportSlice::Tcp(tcp)) => Ok(tcp.source_port()),
        Some(TransportSlice::Udp(udp)) => Ok(udp.source_port()),
        _ => anyhow::bail!("neither TCP nor UDP"),
    }
}

fn serve(world: &mut World, kind: Kind) -> anyhow::Result<()> {
    world.prepare(&row(kind, "", &request(kind), Verdict::NotOurs).after(served(kind, HERE)))
}

/// 64,512 ports serve 50,000 flows without a loss, and then as many as are found; each has a port of its own, and
/// whoever gets none is counted.
#[test]
fn fifty_thousand_flows_to_one_backend_by_one_address() {
    const FORWARDED: u32 = 4;
    // An emulated machine takes minutes for so many: a tenth of the flows has a tenth of the ports there.
    let wanted = needs::repetitions(50_000, 5_000) as u32;
    let ports_used = if wanted == 50_000 {
        Ports::ALL
    } else {
        Ports::without(7475, u16::MAX)
    };
    let tried = ports_used.count() + 1_000;
    for kind in [
        Kind::new(Family::V4, Protocol::Tcp),
        Kind::new(Family::V6, Protocol::Udp),
    ] {
        world::with(|world| {
            serve(world, kind)?;
            world.never_forget()?;
            world.memory().use_ports(ports_used)?;
            let before = world.counted(Verdict::NoSnatPort, Event::SnatPortsTaken)?;
            let mut ports = BTreeSet::new();
            let mut dropped = 0;
            for n in 0..tried {
                let (code, output) = world.send(Port::Front, &nth(kind, n).bytes())?;
                if code != FORWARDED {
                    ensure!(n >= wanted, "flow {n} got no port");
                    dropped += 1;
                    continue;
                }
                let port = sender(&output)?;
                ensure!(port >= 1024, "port {port}");
                ensure!(
                    ports.insert(port),
                    "flow {n} got port {port}, which is in use"
                );
            }
            let after = world.counted(Verdict::NoSnatPort, Event::SnatPortsTaken)?;
            let halves = world.memory().translations();
            println!("{kind}: {} flows, {dropped} without a port", ports.len());
            ensure!(dropped >= 1_000, "{dropped}");
            ensure!(
                after == (before.0 + dropped, before.1 + dropped),
                "{after:?}"
            );
            ensure!(halves == (ports.len(), ports.len()), "{halves:?}");
            // Every one of them is a flow of its own.
            for n in (0..wanted).step_by(997) {
                let (_, output) = world.send(Port::Front, &nth(kind, n).bytes())?;
                let source = SocketAddr::new(plan::snat(kind.family), sender(&output)?);
                let packet = reply(kind).to(source);
                let (_, output) = world.send(Port::Back, &packet.bytes())?;
                let expected = nth(kind, n).bytes();
                let (network, length) = if kind.is_v4() { (26, 4) } else { (22, 16) };
                let client = &expected[network..network + length];
                ensure!(
                    output[network + length..network + 2 * length] == *client,
                    "the reply to flow {n} goes to another client"
                );
            }
            Ok(())
        });
    }
}

#[test]
fn ports_of_flows_that_are_over_are_used_again() {
    for kind in Kind::ALL {
        world::with(|world| {
            serve(world, kind)?;
            let two = Ports {
                low_first: 2000,
                low_count: 2,
                ..Ports::default()
            };
            world.memory().use_ports(two)?;
            let open = |world: &mut World, n: u32| {
                let packet = nth(kind, n).bytes();
                let ran = world.run(BY_FRONT, &packet).context(format!("flow {n}"))?;
                anyhow::Ok((ran.verdict, ran.events))
            };
            let written = vec![Event::SelectCurrent, Event::TranslationWritten];
            let taken = vec![Event::SelectCurrent, Event::SnatPortsTaken];
            for n in 0..2 {
                let (verdict, events) = open(world, n)?;
                ensure!(
                    verdict != Verdict::NoSnatPort && events == written,
                    "{events:?}"
                );
            }
            ensure!(open(world, 2)? == (Verdict::NoSnatPort, taken));
            world.memory().age()?;
            for n in 2..4 {
                let (_, events) = open(world, n)?;
                ensure!(events.contains(&Event::TranslationReclaimed), "{events:?}");
            }
            // The halves of those that were over have gone together.
            ensure!(world.memory().translations() == (2, 2));
            world.memory().use_ports(Ports::ALL)
        });
    }
}

#[test]
fn the_daemon_takes_both_halves_of_a_flow_that_is_over() {
    for kind in Kind::ALL {
        world::with(|world| {
            serve(world, kind)?;
            for n in 0..100 {
                world.send(Port::Front, &nth(kind, n).bytes())?;
            }
            let recorded = world.sweep()?;
            ensure!(recorded.translations == 100, "{recorded:?}");
            ensure!(recorded.backends == [kind.id(HERE)].into(), "{recorded:?}");
            world.memory().age()?;
            world.send(Port::Front, &nth(kind, 7).bytes())?;
            let recorded = world.sweep()?;
            ensure!(recorded.translations == 1, "{recorded:?}");
            ensure!(world.memory().translations() == (1, 1));
            Ok(())
        });
    }
}

/// Every place is taken by somebody: new flows are dropped and counted, until the daemon has taken away what is over.
#[test]
fn where_there_is_no_room_new_flows_wait_for_the_daemon() {
    for kind in [
        Kind::new(Family::V4, Protocol::Udp),
        Kind::new(Family::V6, Protocol::Tcp),
    ] {
        world::with(|world| {
            serve(world, kind)?;
            world.memory().fill_returns(kind.family)?;
            let open = |world: &mut World| {
                let ran = world.run(BY_FRONT, &nth(kind, 0).bytes())?;
                anyhow::Ok((ran.verdict, ran.events))
            };
            let full = vec![Event::SelectCurrent, Event::TranslationsFull];
            ensure!(open(world)? == (Verdict::NoSnatPort, full));
            let halves = world.memory().translations();
            ensure!(halves == (0, TRANSLATIONS_CAPACITY as usize), "{halves:?}");
            world.sweep()?;
            ensure!(world.memory().translations() == (0, 0));
            let written = vec![Event::SelectCurrent, Event::TranslationWritten];
            ensure!(open(world)? == (Verdict::ForwardOther, written));
            ensure!(world.memory().translations() == (1, 1));
            Ok(())
        });
    }
}

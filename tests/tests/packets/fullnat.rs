//! Flows both of whose ends are translated, and their replies.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context as _, ensure};
use etherparse::{SlicedPacket, TransportSlice};
use lb_common::{
    backend::{BackendState, Forward},
    slot::Slot,
    translation::Ports,
    verdict::{Event, Verdict},
};

use crate::{
    forward::request,
    support::{
        flow,
        packet::{ACK, FIN, PSH, Packet, RST, SYN, VLAN},
        plan::{self, Family, Host, Kind, Port},
        row::{Program, Row, Step},
        world::{self, NOBODY, World},
    },
};

const HERE: Host = Host::Back;
const BY_FRONT: Program = Program::Xdp(Port::Front);
const BY_BACK: Program = Program::Xdp(Port::Back);

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = requests(kind);
    rows.extend(known_flows(kind));
    rows.extend(replies(kind));
    rows.extend(strangers(kind));
    rows
}

/// Served by `host`.
fn served(kind: Kind, host: Host) -> [Step; 2] {
    [
        Step::Forward(kind, host, Forward::Fullnat),
        Step::Table(vec![Slot::stable(kind.id(host))]),
    ]
}

fn row(kind: Kind, description: &str, packet: &Packet, verdict: Verdict) -> Row {
    Row::new(kind, &format!("fullnat: {description}"), packet, verdict)
}

/// A client's packet as its backend gets it, through the kernel.
fn translated(kind: Kind, packet: &Packet, host: Host) -> Packet {
    packet
        .clone()
        .from(flow::source(kind.client()))
        .to(kind.backend(host))
}

fn requests(kind: Kind) -> Vec<Row> {
    let packet = request(kind).flags(SYN);
    let to = |description: &str, host: Host, packet: &Packet, verdict| {
        let sent = translated(kind, packet, host);
        let sent = match (verdict, host.port()) {
            (Verdict::ForwardSame | Verdict::ForwardOther, Some(port)) => sent.routed(port, host),
            _ => sent,
        };
        row(kind, description, packet, verdict)
            .after(served(kind, host))
            .becomes(&sent)
    };
    let (other, same, stack) = (
        Verdict::ForwardOther,
        Verdict::ForwardSame,
        Verdict::ForwardStack,
    );
    let first = [Event::SelectCurrent, Event::TranslationWritten];
    let mut rows = vec![
        to("out of another interface", HERE, &packet, other).with(&first),
        to("out of the same interface", Host::Front, &packet, same),
        to("a neighbour not resolved yet", Host::Cold, &packet, stack),
        to("behind a closed interface", Host::Shut, &packet, stack),
        to("a VLAN tag", HERE, &packet.clone().tagged(&[VLAN]), stack),
        to("no record of a flow", HERE, &request(kind), other).with(&first),
        to("no payload", HERE, &packet.clone().payload(b""), other),
        to(
            "an odd length",
            HERE,
            &packet.clone().payload(b"odd"),
            other,
        ),
        to(
            "a wrong checksum stays wrong by as much",
            HERE,
            &packet.clone().checksum_off_by(0x0101),
            other,
        ),
        to("two hops left", HERE, &packet.clone().ttl(2), other),
        row(
            kind,
            "one hop left",
            &packet.clone().ttl(1),
            Verdict::TtlExceeded,
        )
        .after(served(kind, HERE)),
    ];
    if kind.is_v4() {
        // Router alert (RFC 2113).
        let options = packet.clone().options(&[148, 4, 0, 0]);
        rows.push(to("options", HERE, &options, other));
    }
    if !kind.is_tcp() {
        let without = packet.without_checksum();
        rows.push(to("no checksum stays none", HERE, &without, other));
    }
    rows
}

/// The client's first packet to the VIP.
fn opened(kind: Kind) -> Step {
    Step::seen(BY_FRONT, request(kind).flags(SYN), Verdict::ForwardOther)
}

/// A later one.
fn said(kind: Kind, flags: u8) -> Step {
    Step::seen(BY_FRONT, request(kind).flags(flags), Verdict::ForwardOther)
}

/// A packet of the backend to the flow's source.
fn reply(kind: Kind) -> Packet {
    Packet::new(kind, kind.backend(HERE), flow::source(kind.client()))
        .flags(ACK | PSH)
        .payload(b"here you are")
}

fn answered(kind: Kind, flags: u8) -> Step {
    Step::seen(BY_BACK, reply(kind).flags(flags), Verdict::ReplyOther)
}

/// The other backend takes over the only slot.
fn moved(kind: Kind) -> [Step; 2] {
    [
        Step::Forward(kind, Host::Other, Forward::Fullnat),
        Step::Table(vec![Slot::stable(kind.id(Host::Other))]),
    ]
}

fn known_flows(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let open: Vec<Step> = served(kind, HERE)
        .into_iter()
        .chain([opened(kind)])
        .collect();
    let goes_to = |description: &str, steps: &[Step], packet: &Packet, host: Host| {
        let sent = translated(kind, packet, host).routed(Port::Back, host);
        row(kind, description, packet, Verdict::ForwardOther)
            .after(open.clone())
            .after(steps.to_vec())
            .becomes(&sent)
    };
    let down = Step::Backend(HERE, 1, BackendState::Down);
    let written = [Event::SelectCurrent, Event::TranslationWritten];
    let mut rows = vec![
        goes_to("a known flow", &[], &packet, HERE).with(&[Event::SelectRecorded]),
        goes_to("a known flow stays", &moved(kind), &packet, HERE).with(&[Event::SelectRecorded]),
        goes_to(
            "a known flow stays where no new ones go",
            &[Step::Table(vec![NOBODY])],
            &packet,
            HERE,
        ),
        goes_to(
            "a known flow whose backend died",
            &[moved(kind).as_slice(), &[down]].concat(),
            &packet,
            Host::Other,
        )
        .with(&written),
        row(kind, "no new flow to nobody", &packet, Verdict::NoBackend)
            .after(served(kind, HERE))
            .after([Step::Table(vec![NOBODY])]),
    ];
    if kind.is_tcp() {
        let ended = [
            said(kind, ACK),
            answered(kind, SYN | ACK),
            said(kind, FIN | ACK),
            answered(kind, FIN | ACK),
        ];
        let syn = packet.clone().flags(SYN);
        let ended_and_moved = [ended.as_slice(), &moved(kind)].concat();
        rows.extend([
            goes_to(
                "a SYN of a closed connection",
                &ended_and_moved,
                &syn,
                Host::Other,
            )
            .with(&written),
            goes_to(
                "a late packet of a closed connection",
                &ended_and_moved,
                &packet.clone().flags(ACK),
                HERE,
            ),
            goes_to("a SYN once more", &moved(kind), &syn, HERE),
        ]);
    }
    rows
}

fn replies(kind: Kind) -> Vec<Row> {
    let reply = reply(kind);
    let back = |description: &str, packet: &Packet, verdict| {
        let sent = packet.clone().from(kind.vip()).to(kind.client());
        let sent = if verdict == Verdict::ReplyOther {
            sent.routed(Port::Front, Host::Client)
        } else {
            sent
        };
        row(kind, description, packet, verdict)
            .after(served(kind, HERE))
            .after([opened(kind)])
            .seen_by(BY_BACK)
            .becomes(&sent)
    };
    let (other, stack) = (Verdict::ReplyOther, Verdict::ReplyStackTranslated);
    let mut rows = vec![
        back("a reply", &reply, other).with(&[]),
        back(
            "a reply that refuses",
            &reply.clone().flags(RST | ACK),
            other,
        ),
        back(
            "a reply with a VLAN tag",
            &reply.clone().tagged(&[VLAN]),
            stack,
        ),
        back("a reply with one hop left", &reply.clone().ttl(1), stack),
        back(
            "a reply's wrong checksum",
            &reply.clone().checksum_off_by(7),
            other,
        ),
        back("a reply later than the timeout", &reply, other).after([Step::Age]),
        from_elsewhere(kind, Host::ColdClient, None),
        from_elsewhere(kind, Host::NearClient, Some(Port::Back)),
    ];
    if !kind.is_v4() {
        return rows;
    }
    let options = reply.options(&[148, 4, 0, 0]);
    rows.push(back("a reply with options", &options, other));
    rows
}

/// A reply to a client at `host`: by which interface it leaves, if not through the kernel.
fn from_elsewhere(kind: Kind, host: Host, port: Option<Port>) -> Row {
    let client = kind.at(host, plan::CLIENT_PORT);
    let source = flow::source(client);
    let packet = reply(kind).to(source);
    let sent = packet.clone().from(kind.vip()).to(client);
    let (verdict, sent) = match port {
        Some(port) => (Verdict::ReplySame, sent.routed(port, host)),
        None => (Verdict::ReplyStackTranslated, sent),
    };
    let first = request(kind).from(client);
    row(kind, &format!("a reply to {host:?}"), &packet, verdict)
        .after(served(kind, HERE))
        .after([Step::seen(BY_FRONT, first, Verdict::ForwardOther)])
        .seen_by(BY_BACK)
        .becomes(&sent)
}

/// Packets that are no replies.
fn strangers(kind: Kind) -> Vec<Row> {
    let reply = reply(kind);
    let source = flow::source(kind.client());
    let next = SocketAddr::new(source.ip(), source.port() ^ 1);
    let untouched = |description: &str, packet: &Packet| {
        row(kind, description, packet, Verdict::NotOurs)
            .after(served(kind, HERE))
            .after([opened(kind)])
            .seen_by(BY_BACK)
            .with(&[])
    };
    vec![
        untouched("to another port", &reply.clone().to(next)),
        untouched(
            "from another backend",
            &reply.clone().from(kind.backend(Host::Other)),
        ),
        untouched(
            "from another port",
            &reply.clone().from(kind.at(HERE, 8002)),
        ),
        untouched("to the client itself", &reply.to(kind.client())),
    ]
}

/// The `n`-th client's first packet.
fn nth(kind: Kind, n: u32) -> Packet {
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
    let client = SocketAddr::new(address, 5000 + (n & 0xff) as u16);
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
    const WANTED: u32 = 50_000;
    const TRIED: u32 = 66_000;
    const FORWARDED: u32 = 4;
    for kind in [
        Kind::new(Family::V4, lb_userspace::desired::Protocol::Tcp),
        Kind::new(Family::V6, lb_userspace::desired::Protocol::Udp),
    ] {
        world::with(|world| {
            serve(world, kind)?;
            let before = world.counted(Verdict::NoSnatPort, Event::SnatPortsTaken)?;
            let mut ports = BTreeSet::new();
            let mut dropped = 0;
            for n in 0..TRIED {
                let (code, output) = world.send(Port::Front, &nth(kind, n).bytes())?;
                if code != FORWARDED {
                    ensure!(n >= WANTED, "flow {n} got no port");
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
            ensure!(dropped >= u64::from(TRIED - 64_512), "{dropped}");
            ensure!(
                after == (before.0 + dropped, before.1 + dropped),
                "{after:?}"
            );
            ensure!(halves == (ports.len(), ports.len()), "{halves:?}");
            // Every one of them is a flow of its own.
            for n in (0..WANTED).step_by(997) {
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

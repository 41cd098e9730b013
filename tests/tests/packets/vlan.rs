//! Tagged frames: each belongs to the VLAN device that its tags name, and leaves with those of the device that the way
//! goes through.

use lb_common::verdict::Verdict;

use crate::{
    forward::{request, to_stack},
    reply::{opened_by, reply_of},
    support::{
        packet::{Packet, SERVICE_VLAN, VLAN},
        plan::{Host, Kind, Port},
        row::{Program, Row, Step},
    },
};

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = straight(kind);
    rows.extend(through_the_kernel(kind));
    rows.extend(replies(kind));
    rows
}

/// A row about a packet that leaves through `port` to the backend behind it, with the tags of `sent`.
fn to(kind: Kind, description: &str, host: Host, packet: &Packet, sent: &Packet) -> Row {
    let port = host.port().expect("it is on a wire");
    let verdict = match port {
        Port::Back => Verdict::ForwardOther,
        _ => Verdict::ForwardSame,
    };
    Row::new(kind, description, packet, verdict)
        .served_by(host)
        .becomes(&sent.clone().to(kind.backend(host)).routed(port, host))
}

fn straight(kind: Kind) -> Vec<Row> {
    let plain = request(kind);
    let tagged = plain.clone().tagged(&[VLAN]);
    let double = plain.clone().tagged(&[SERVICE_VLAN, VLAN]);
    // Its priority is the old one's.
    let service = plain.clone().tagged(&[SERVICE_VLAN]).control(0x2007);
    let unimportant = |packet: &Packet, id| packet.clone().control(id);
    vec![
        to(kind, "a tag stays", Host::Tagged, &tagged, &tagged),
        to(kind, "a tag goes", Host::Front, &tagged, &plain),
        to(
            kind,
            "a tag goes, out of another interface",
            Host::Back,
            &tagged,
            &plain,
        ),
        to(
            kind,
            "a tag becomes a service tag",
            Host::Service,
            &tagged,
            &service,
        ),
        to(
            kind,
            "a service tag becomes a tag",
            Host::Tagged,
            &service,
            &tagged,
        ),
        to(
            kind,
            "an untagged frame gets a tag",
            Host::Tagged,
            &plain,
            &unimportant(&tagged, 42),
        ),
        to(
            kind,
            "an untagged frame gets a service tag",
            Host::Service,
            &plain,
            &unimportant(&service, 7),
        ),
        to(
            kind,
            "trailing bytes stay where a tag goes",
            Host::Front,
            &tagged.clone().payload(b"x").padded(b"trailer"),
            &plain.clone().payload(b"x").padded(b"trailer"),
        ),
        to(kind, "two tags stay", Host::Double, &double, &double),
        by_back(kind, &plain, &unimportant(&tagged, 42)),
    ]
}

fn by_back(kind: Kind, packet: &Packet, sent: &Packet) -> Row {
    let mut row = to(
        kind,
        "from another interface, with a tag",
        Host::Tagged,
        packet,
        sent,
    );
    row.verdict = Verdict::ForwardOther;
    row.seen_by(Program::Xdp(Port::Back))
}

fn through_the_kernel(kind: Kind) -> Vec<Row> {
    let plain = request(kind);
    let tagged = plain.clone().tagged(&[VLAN]);
    let double = plain.clone().tagged(&[SERVICE_VLAN, VLAN]);
    let three = plain.clone().tagged(&[SERVICE_VLAN, VLAN, VLAN]);
    let unknown = tagged.clone().control(43);
    vec![
        to_stack(kind, "a tag, to a process here", Host::Local, &tagged),
        to_stack(kind, "an unknown VLAN's tag", Host::Front, &unknown),
        to_stack(kind, "of two tags, both would go", Host::Front, &double),
        to_stack(kind, "of two tags, one would go", Host::Tagged, &double),
        to_stack(kind, "two tags would be added", Host::Double, &plain),
        to_stack(kind, "a second tag would be added", Host::Double, &tagged),
        to_stack(
            kind,
            "two tags in another order",
            Host::Double,
            &plain.clone().tagged(&[VLAN, SERVICE_VLAN]),
        ),
        Row::new(kind, "three tags", &three, Verdict::NotOurs),
    ]
}

fn replies(kind: Kind) -> Vec<Row> {
    let answer = reply_of(kind, Host::Tagged).tagged(&[VLAN]);
    let opened = opened_by(kind, Verdict::ForwardSame);
    let sent = answer
        .clone()
        .tagged(&[])
        .from(kind.vip())
        .routed(Port::Front, Host::Client);
    let row = |description: &str, opened: Step, answer: &Packet| {
        Row::new(kind, description, answer, Verdict::ReplySame)
            .served_by(Host::Tagged)
            .after([opened])
    };
    vec![row("a reply whose tag goes", opened, &answer).becomes(&sent)]
}

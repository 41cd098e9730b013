//! Slots in every state, and which packets open a flow.

use lb_common::{
    backend::{BackendId, BackendState},
    slot::Slot,
    verdict::{Event, Verdict},
};

use crate::{
    forward::request,
    support::{
        packet::{ACK, FIN, PSH, Packet, RST, SYN, URG},
        plan::{Host, Kind, Port},
        row::{Program, Row, Step},
    },
};

/// The owner before a change, and the one after it.
const OLD: Host = Host::Back;
const NEW: Host = Host::Other;

pub fn rows(kind: Kind) -> Vec<Row> {
    let mut rows = old_flows(kind);
    rows.extend(recorded(kind));
    rows.extend(owners_gone(kind));
    rows.extend(resized(kind));
    rows.extend(replies(kind));
    if kind.is_tcp() {
        rows.extend(new_flows(kind));
        rows.extend(odd_flags(kind));
    }
    rows
}

/// A packet that goes to the backend at `host`, out of the back.
fn to(kind: Kind, description: &str, host: Host, packet: &Packet) -> Row {
    let sent = packet.clone().to(kind.backend(host));
    let row = Row::new(kind, description, packet, Verdict::ForwardOther);
    if host == Host::Front {
        let row = Row {
            verdict: Verdict::ForwardSame,
            ..row
        };
        return row.becomes(&sent.routed(Port::Front, host));
    }
    row.becomes(&sent.routed(Port::Back, host))
}

fn slot(kind: Kind, current: Host, previous: Host) -> Slot {
    Slot {
        current: kind.id(current),
        previous: kind.id(previous),
    }
}

/// The slot has just moved from [`OLD`] to [`NEW`].
fn moved(kind: Kind) -> Step {
    Step::Table(vec![slot(kind, NEW, OLD)])
}

/// The same, later: who has not shown himself is no old flow.
fn settled(kind: Kind) -> Step {
    Step::Slots(vec![slot(kind, NEW, NEW)])
}

fn seen(packet: Packet) -> Step {
    Step::seen(Program::Xdp(Port::Front), packet, Verdict::ForwardOther)
}

/// What happens with a packet that is not the one which writes the reverse entry of a TCP flow.
fn and_reverse(kind: Kind, events: &[Event]) -> Vec<Event> {
    let written = (!kind.is_tcp()).then_some(Event::ReverseWritten);
    events.iter().copied().chain(written).collect()
}

fn old_flows(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let previous = and_reverse(kind, &[Event::SelectPrevious, Event::FlowRecorded]);
    let current = and_reverse(kind, &[Event::SelectCurrent]);
    vec![
        to(
            kind,
            "an old flow stays with the previous owner",
            OLD,
            &packet,
        )
        .after([moved(kind)])
        .with(&previous),
        to(kind, "an old flow that showed itself stays", OLD, &packet)
            .after([moved(kind), seen(packet.clone())])
            .with(&[Event::SelectRecorded]),
        to(kind, "it stays when the slot has settled", OLD, &packet)
            .after([moved(kind), seen(packet.clone()), settled(kind)])
            .with(&[Event::SelectRecorded]),
        to(kind, "it stays when the slot moves again", OLD, &packet)
            .after([
                moved(kind),
                seen(packet.clone()),
                Step::Table(vec![slot(kind, Host::Front, OLD)]),
            ])
            .with(&[Event::SelectRecorded]),
        to(
            kind,
            "one that shows itself after the second move stays",
            OLD,
            &packet,
        )
        .after([moved(kind), Step::Table(vec![slot(kind, Host::Front, OLD)])])
        .with(&previous),
        to(kind, "nothing recorded in a settled slot", NEW, &packet)
            .after([moved(kind), settled(kind)])
            .with(&current),
        to(kind, "a stable slot again asks no table", NEW, &packet)
            .after([moved(kind), Step::Slots(vec![Slot::stable(kind.id(NEW))])])
            .with(&and_reverse(kind, &[Event::SelectStable])),
    ]
}

/// TCP alone opens flows.
fn new_flows(kind: Kind) -> Vec<Row> {
    let (syn, data) = (request(kind).flags(SYN), request(kind));
    let again = Step::Table(vec![slot(kind, Host::Front, OLD)]);
    vec![
        to(kind, "a new flow goes to the current owner", NEW, &syn)
            .after([moved(kind)])
            .with(&[
                Event::SelectCurrent,
                Event::FlowRecorded,
                Event::ReverseWritten,
            ]),
        to(kind, "its data follows", NEW, &data)
            .after([moved(kind), seen(syn.clone())])
            .with(&[Event::SelectRecorded]),
        to(kind, "its data follows after a second move", NEW, &data)
            .after([moved(kind), seen(syn.clone()), again.clone()])
            .with(&[Event::SelectRecorded]),
        to(kind, "a SYN sent again goes to the same backend", NEW, &syn)
            .after([moved(kind), seen(syn.clone())])
            .with(&[Event::SelectRecorded, Event::ReverseWritten]),
        to(kind, "also after a second move", NEW, &syn)
            .after([moved(kind), seen(syn.clone()), again.clone()])
            .with(&[Event::SelectRecorded, Event::ReverseWritten]),
        to(
            kind,
            "a new flow in a settled slot is not recorded",
            NEW,
            &syn,
        )
        .after([moved(kind), settled(kind)])
        .with(&[Event::SelectCurrent, Event::ReverseWritten]),
        to(
            kind,
            "its backend is down: the current owner, not the previous",
            Host::Front,
            &data,
        )
        .after([moved(kind), seen(syn.clone()), again])
        .after([Step::Backend(NEW, 1, BackendState::Down)])
        .with(&[Event::SelectCurrent, Event::FlowRecorded]),
    ]
}

fn recorded(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let orphaned = and_reverse(kind, &[Event::SelectCurrent, Event::FlowRecorded]);
    let recorded_then = |step: Step| vec![moved(kind), seen(packet.clone()), step];
    let down = || recorded_then(Step::Backend(OLD, 1, BackendState::Down));
    let recycled = || recorded_then(Step::Backend(OLD, 2, BackendState::Alive));
    vec![
        to(kind, "a recorded backend that is down", NEW, &packet)
            .after(down())
            .with(&orphaned),
        to(
            kind,
            "a recorded backend whose place is another's",
            NEW,
            &packet,
        )
        .after(recycled())
        .with(&orphaned),
        to(kind, "the same in a settled slot", NEW, &packet)
            .after(recycled())
            .after([settled(kind)])
            .with(&orphaned),
        to(kind, "it stays with its new backend", NEW, &packet)
            .after(down())
            .after([
                seen(packet.clone()),
                Step::Backend(OLD, 1, BackendState::Alive),
            ])
            .with(&[Event::SelectRecorded]),
    ]
}

fn owners_gone(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let table =
        |current: BackendId, previous: BackendId| Step::Table(vec![Slot { current, previous }]);
    let (old, new) = (kind.id(OLD), kind.id(NEW));
    let restarted = and_reverse(kind, &[Event::SelectCurrent, Event::FlowRecorded]);
    let mut rows = vec![
        to(kind, "the previous owner is down", NEW, &packet)
            .after([Step::Backend(OLD, 1, BackendState::Down), moved(kind)])
            .with(&restarted),
        to(
            kind,
            "the previous owner's place is another's",
            NEW,
            &packet,
        )
        .after([Step::Backend(OLD, 2, BackendState::Alive), moved(kind)])
        .with(&restarted),
        to(kind, "nobody owned it before", NEW, &packet)
            .after([table(new, BackendId::NOBODY)])
            .with(&restarted),
        to(kind, "nobody owns it now, an old flow stays", OLD, &packet)
            .after([table(BackendId::NOBODY, old)]),
    ];
    let syn = request(kind).flags(SYN);
    if kind.is_tcp() {
        rows.push(
            Row::new(
                kind,
                "nobody owns it now, a new flow",
                &syn,
                Verdict::NoBackend,
            )
            .after([table(BackendId::NOBODY, old)])
            .with(&[Event::SelectCurrent]),
        );
    }
    rows
}

/// A table of another size asks the former one who had the old flows.
fn resized(kind: Kind) -> Vec<Row> {
    let packet = request(kind);
    let stable = |host| Step::Table(vec![Slot::stable(kind.id(host))]);
    let larger = |host| Step::Table(vec![Slot::resized(kind.id(host)); 3]);
    let previous = and_reverse(kind, &[Event::SelectPrevious, Event::FlowRecorded]);
    let mut rows = vec![
        to(kind, "resized: an old flow stays", OLD, &packet)
            .after([stable(OLD), larger(NEW)])
            .with(&previous),
        to(kind, "resized: it showed itself", OLD, &packet)
            .after([stable(OLD), larger(NEW), seen(packet.clone())])
            .with(&[Event::SelectRecorded]),
        to(
            kind,
            "resized in transition: the oldest owner keeps it",
            OLD,
            &packet,
        )
        .after([moved(kind), larger(Host::Front)])
        .with(&previous),
        to(kind, "resized, to the same owner", OLD, &packet).after([stable(OLD), larger(OLD)]),
        to(kind, "resized, the former table is gone", NEW, &packet)
            .after([stable(OLD), Step::Table(vec![Slot::resized(kind.id(NEW))])]),
    ];
    if kind.is_tcp() {
        let syn = request(kind).flags(SYN);
        rows.push(
            to(
                kind,
                "resized: a new flow goes to the current owner",
                NEW,
                &syn,
            )
            .after([stable(OLD), larger(NEW)])
            .with(&[
                Event::SelectCurrent,
                Event::FlowRecorded,
                Event::ReverseWritten,
            ]),
        );
    }
    rows
}

/// What replies say about recorded flows.
fn replies(kind: Kind) -> Vec<Row> {
    let answer = |host| Packet::new(kind, kind.backend(host), kind.client()).payload(b"answer");
    let opening = request(kind).flags(SYN);
    // UDP opens no flow: its first packet is an old flow's.
    let host = if kind.is_tcp() { NEW } else { OLD };
    let rewritten = |host| {
        answer(host)
            .from(kind.vip())
            .routed(Port::Front, Host::Client)
    };
    let row = |description: &str, host| {
        Row::new(kind, description, &answer(host), Verdict::ReplyOther)
            .becomes(&rewritten(host))
            .seen_by(Program::Xdp(Port::Back))
    };
    let established = vec![
        Step::Table(vec![Slot::stable(kind.id(OLD))]),
        seen(opening.clone()),
        Step::seen(Program::Xdp(Port::Back), answer(OLD), Verdict::ReplyOther),
        moved(kind),
        seen(request(kind)),
    ];
    vec![
        row("an answer establishes the recorded flow", host)
            .after([moved(kind), seen(opening)])
            .with(&[Event::ReversePromoted, Event::FlowPromoted]),
        row("a flow established before is recorded as such", OLD)
            .after(established.clone())
            .with(&[]),
        to(
            kind,
            "an established flow whose backend died stays with the next",
            NEW,
            &request(kind),
        )
        .after(established)
        .after([
            Step::Backend(OLD, 1, BackendState::Down),
            seen(request(kind)),
            Step::Backend(OLD, 1, BackendState::Alive),
        ])
        .with(&[Event::SelectRecorded]),
    ]
}

fn odd_flags(kind: Kind) -> Vec<Row> {
    let opening = [
        ("SYN", SYN),
        ("SYN and FIN", SYN | FIN),
        ("SYN with data pushed", SYN | PSH),
    ];
    let not_opening = [
        ("no flag", 0),
        ("FIN, PSH and URG", FIN | PSH | URG),
        ("SYN and RST", SYN | RST),
        ("SYN and ACK", SYN | ACK),
        ("FIN", FIN),
        ("RST", RST),
        ("every flag", FIN | SYN | RST | PSH | ACK | URG),
    ];
    let rows = |flags: u8, name: &str, opens: bool| {
        let packet = request(kind).flags(flags);
        let host = if opens { NEW } else { OLD };
        let mut events = vec![Event::SelectStable];
        events.extend(opens.then_some(Event::ReverseWritten));
        [
            to(kind, &format!("{name} in transition"), host, &packet).after([moved(kind)]),
            to(kind, &format!("{name} in a stable slot"), NEW, &packet)
                .served_by(NEW)
                .with(&events),
        ]
    };
    opening
        .iter()
        .flat_map(|&(name, flags)| rows(flags, name, true))
        .chain(
            not_opening
                .iter()
                .flat_map(|&(name, flags)| rows(flags, name, false)),
        )
        .collect()
}

//! What is measured.

use lb_common::{
    backend::Forward,
    verdict::{Event, Verdict},
};
use shunt_tests::{Family, Protocol};

use crate::modes::{MODES, Mode, STABLE};

/// What kind of packet is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Traffic {
    /// Client data: of an open connection, or datagrams.
    Data,
    /// A client's SYN.
    Syn,
    /// A backend's answer on an open connection.
    Reply,
    /// Client data to an address that is no service's.
    Elsewhere,
    Arp,
    /// No packet is looked at: what the method itself adds.
    Nothing,
}

/// The state of every slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Slots {
    Stable,
    Moving,
}

/// Which interface the backends are behind; clients are behind the first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    Same,
    Other,
}

/// What a case should cost at most.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    Nanoseconds(f64),
    /// So many times what another case costs.
    Times(f64, String),
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub family: Family,
    pub protocol: Protocol,
    pub traffic: Traffic,
    /// 2 to the power of this: how many flows are walked over.
    pub flow_bits: u32,
    /// Whether the walk is over services instead of clients.
    pub walks_services: bool,
    pub services: u32,
    pub backends: u32,
    pub side: Side,
    pub slots: Slots,
    pub forward: Forward,
    pub growth: u32,
    /// What becomes of every single packet.
    pub verdict: Verdict,
    pub events: &'static [Event],
    /// What some of the packets cause besides.
    pub sometimes: &'static [Event],
    pub goal: Option<Goal>,
    /// Katran's price of the same in ns, quoted.
    pub katran: Option<f64>,
}

impl Case {
    /// Data of one flow to a service with 100 backends, out of the interface it came in by.
    fn new(name: String, family: Family, protocol: Protocol) -> Self {
        Self {
            name,
            family,
            protocol,
            traffic: Traffic::Data,
            flow_bits: 0,
            walks_services: false,
            services: 1,
            backends: 100,
            side: Side::Same,
            slots: Slots::Stable,
            forward: Forward::Nat,
            growth: 0,
            verdict: Verdict::ForwardSame,
            events: STABLE,
            sometimes: &[Event::HopAsked],
            goal: None,
            katran: None,
        }
    }

    /// The same by a forwarding mode.
    fn by(mode: Mode, name: String, family: Family, protocol: Protocol) -> Self {
        let [v4, v6] = mode.growth;
        Self {
            forward: mode.forward,
            growth: if family == Family::V4 { v4 } else { v6 },
            ..Self::new(name, family, protocol)
        }
    }
}

pub fn all() -> Vec<Case> {
    let mut cases = nothing();
    for mode in MODES {
        for family in Family::BOTH {
            cases.extend(tcp(mode, family));
            cases.extend(udp(mode, family));
        }
    }
    for family in Family::BOTH {
        cases.extend(not_ours(family));
    }
    cases.push(Case {
        traffic: Traffic::Arp,
        verdict: Verdict::NotOurs,
        events: &[],
        goal: Some(Goal::Nanoseconds(8.0)),
        katran: Some(3.3),
        ..Case::new("not ours: ARP".to_owned(), Family::V4, Protocol::Tcp)
    });
    cases
}

/// The method on itself.
fn nothing() -> Vec<Case> {
    let row = |name: &str, growth| Case {
        traffic: Traffic::Nothing,
        growth,
        events: &[],
        goal: Some(Goal::Nanoseconds(1.0)),
        ..Case::new(name.to_owned(), Family::V4, Protocol::Tcp)
    };
    vec![
        row("an empty program", 0),
        row("an empty program that grows the head", 20),
    ]
}

fn tcp(mode: Mode, family: Family) -> Vec<Case> {
    let is_v4 = family == Family::V4;
    let by = mode.forward.name();
    let name = |what: &str| format!("{by} {family} TCP: {what}");
    let case = |what: &str| Case {
        events: mode.established,
        ..Case::by(mode, name(what), family, Protocol::Tcp)
    };
    let hot = "established, 1 flow";
    let goal = |which: usize, what: &str| {
        if is_v4 {
            return Some(Goal::Nanoseconds(mode.goals?[which]));
        }
        Some(Goal::Times(1.2, format!("{by} IPv4 TCP: {what}")))
    };
    let quoted = |v4: f64| is_v4.then_some(v4);

    let mut cases = vec![Case {
        goal: goal(0, hot),
        katran: Some(if is_v4 { 101.9 } else { 97.1 }),
        ..case(hot)
    }];
    for (what, flow_bits, katran) in [
        ("established, 4k flows", 12, 112.0),
        ("established, 64k flows", 16, 361.0),
        ("established, 512k flows", 19, 425.0),
    ] {
        if !mode.holds(flow_bits) {
            continue;
        }
        cases.push(Case {
            flow_bits,
            goal: goal(1, what),
            katran: quoted(katran),
            ..case(what)
        });
    }
    if mode.forward != Forward::Nat {
        if mode.forward != Forward::Fullnat {
            cases.push(Case {
                traffic: Traffic::Syn,
                flow_bits: 15,
                events: mode.opening,
                goal: Some(Goal::Times(1.0, name("established, 64k flows"))),
                ..case("SYN, 32k sources, stable slots")
            });
        }
        return cases;
    }
    cases.extend([
        Case {
            side: Side::Other,
            verdict: Verdict::ForwardOther,
            ..case("established, 1 flow, out of another interface")
        },
        Case {
            services: 10_000,
            goal: Some(Goal::Times(1.2, name(hot))),
            ..case("established, 1 flow, 10,000 services")
        },
        Case {
            services: 10_000,
            flow_bits: 13,
            walks_services: true,
            ..case("established, 8k flows to as many of 10,000 services")
        },
        Case {
            slots: Slots::Moving,
            flow_bits: 12,
            events: &[Event::SelectRecorded],
            ..case("established, 4k flows, moving slots, recorded")
        },
        Case {
            traffic: Traffic::Syn,
            flow_bits: 15,
            events: mode.opening,
            katran: quoted(250.0),
            ..case("SYN, 32k sources, stable slots")
        },
        Case {
            traffic: Traffic::Syn,
            flow_bits: 20,
            events: mode.opening,
            // A multiple of what a case costs that misses its own goal is none.
            goal: Some(Goal::Nanoseconds(if is_v4 { 200.0 } else { 240.0 })),
            katran: quoted(807.0),
            ..case("SYN flood, 1M sources, stable slots")
        },
        Case {
            traffic: Traffic::Syn,
            flow_bits: 20,
            slots: Slots::Moving,
            events: &[
                Event::SelectCurrent,
                Event::FlowRecorded,
                Event::ReverseWritten,
            ],
            ..case("SYN flood, 1M sources, moving slots")
        },
    ]);
    if mode.has_replies {
        cases.extend(replies(mode, family, Protocol::Tcp));
    }
    cases
}

fn udp(mode: Mode, family: Family) -> Vec<Case> {
    let by = mode.forward.name();
    let case = |what: &str| Case {
        events: mode.established,
        ..Case::by(
            mode,
            format!("{by} {family} UDP: {what}"),
            family,
            Protocol::Udp,
        )
    };
    let tcp = |what: &str| Some(Goal::Times(1.0, format!("{by} {family} TCP: {what}")));
    let quoted = |v4: f64| (family == Family::V4).then_some(v4);
    let mut cases = vec![
        Case {
            goal: tcp("established, 1 flow"),
            katran: quoted(136.0),
            ..case("1 flow")
        },
        Case {
            flow_bits: 12,
            goal: tcp("established, 4k flows"),
            ..case("4k flows")
        },
    ];
    if mode.holds(19) {
        let (what, sometimes): (_, &[Event]) = if mode.has_replies {
            (
                "512k flows, each noted once a second",
                &[Event::HopAsked, Event::ReverseWritten],
            )
        } else {
            ("512k flows", &[Event::HopAsked])
        };
        cases.push(Case {
            flow_bits: 19,
            sometimes,
            goal: tcp("established, 512k flows"),
            ..case(what)
        });
    }
    if mode.has_replies {
        cases.extend(replies(mode, family, Protocol::Udp));
    }
    cases
}

/// From one backend, so that its address is that of all flows.
fn replies(mode: Mode, family: Family, protocol: Protocol) -> Vec<Case> {
    let case = |what: &str, flow_bits| Case {
        traffic: Traffic::Reply,
        flow_bits,
        backends: 1,
        verdict: Verdict::ReplySame,
        events: &[],
        ..Case::new(
            format!(
                "{} {family} {}: {what}",
                mode.forward.name(),
                shown(protocol)
            ),
            family,
            protocol,
        )
    };
    vec![
        case("reply, 1 flow", 0),
        case("reply, 4k flows of 256 clients", 12),
        case("reply, 64k flows of 4k clients", 16),
    ]
}

fn not_ours(family: Family) -> Vec<Case> {
    let case = |protocol: Protocol, katran| Case {
        traffic: Traffic::Elsewhere,
        verdict: Verdict::NotOurs,
        events: &[],
        goal: Some(Goal::Nanoseconds(8.0)),
        katran,
        ..Case::new(
            format!("not ours: {family} {}", shown(protocol)),
            family,
            protocol,
        )
    };
    let katran = (family == Family::V4).then_some(48.8);
    vec![case(Protocol::Tcp, katran), case(Protocol::Udp, None)]
}

fn shown(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

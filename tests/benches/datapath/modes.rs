//! Which ways to forward are measured.

use lb_common::{backend::Forward, layout::TRANSLATIONS_CAPACITY, verdict::Event};

/// Of a packet that its slot alone sends to its backend.
pub const STABLE: &[Event] = &[Event::SelectStable];

/// A forwarding mode.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    pub forward: Forward,
    /// Bytes by which a packet grows, in each family.
    pub growth: [u32; 2],
    /// What an established packet may cost in ns, over IPv4: one flow, and 512k.
    pub goals: Option<[f64; 2]>,
    /// What a packet of an established flow, and a SYN, leave behind.
    pub established: &'static [Event],
    pub opening: &'static [Event],
    /// Whether replies come back by the reverse table.
    pub has_replies: bool,
}

const NAT: Mode = Mode {
    forward: Forward::Nat,
    growth: [0, 0],
    goals: Some([50.0, 60.0]),
    established: STABLE,
    opening: &[Event::SelectStable, Event::ReverseWritten],
    has_replies: true,
};

/// A mode that looks up and writes nothing.
const DSR: Mode = Mode {
    forward: Forward::Dsr,
    goals: Some([38.0, 60.0]),
    opening: STABLE,
    has_replies: false,
    ..NAT
};

pub const MODES: [Mode; 5] = [
    NAT,
    Mode {
        forward: Forward::Fullnat,
        // Nobody has said what a lookup by flow may cost.
        goals: None,
        established: &[Event::SelectRecorded],
        has_replies: false,
        ..NAT
    },
    DSR,
    Mode {
        forward: Forward::Ipip,
        growth: [20, 40],
        goals: Some([45.0, 60.0]),
        ..DSR
    },
    Mode {
        forward: Forward::Gue,
        growth: [28, 48],
        goals: Some([60.0, 60.0]),
        ..DSR
    },
];

impl Mode {
    /// Whether there is room for 2 to the power of `flow_bits` flows.
    pub fn holds(self, flow_bits: u32) -> bool {
        self.forward != Forward::Fullnat || 1 << flow_bits <= TRANSLATIONS_CAPACITY
    }
}

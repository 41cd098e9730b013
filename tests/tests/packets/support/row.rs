//! One row: what is sent where, and what has to become of it.

use lb_common::{
    backend::{BackendState, Forward},
    service::IndexedBy,
    slot::Slot,
    verdict::{Event, Verdict},
};
use lb_userspace::desired::Protocol;

use super::{
    packet::Packet,
    plan::{Host, Kind, Port},
};

/// Which program sees the packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// The packet arrives by this interface.
    Xdp(Port),
    /// The daemon puts it back, as if it arrived by this interface.
    PutBack(Port),
    /// The packet leaves.
    Egress,
}

/// What happens before the row's packet.
#[derive(Clone, Debug)]
pub enum Step {
    /// A table is written for the row's pool, indexed by the flow.
    Table(Vec<Slot>),
    /// The same, indexed in this way.
    Indexed(IndexedBy, Vec<Slot>),
    /// The first slots of the pool are changed in place.
    Slots(Vec<Slot>),
    /// A backend is put: its host, generation and state.
    Backend(Host, u16, BackendState),
    /// A backend that is alive is reached in another way; of another kind, perhaps.
    Forward(Kind, Host, Forward),
    /// A backend without a port of its own is put, reached in this way.
    Portless(Kind, Host, Forward),
    /// All that is remembered becomes as old as the machine.
    Age,
    /// Another packet, and what became of it.
    Seen(Program, Box<Packet>, Verdict),
}

impl Step {
    pub fn seen(program: Program, packet: Packet, verdict: Verdict) -> Self {
        Self::Seen(program, Box::new(packet), verdict)
    }
}

/// A listener at the VIP; without a port, for all that have none.
#[derive(Clone, Copy, Debug)]
pub struct Listens {
    pub protocol: Protocol,
    pub port: Option<u16>,
    pub pool: u16,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub kind: Kind,
    pub description: String,
    pub program: Program,
    /// Listeners at the VIP beyond those that every row has.
    pub listeners: Vec<Listens>,
    pub setup: Vec<Step>,
    pub input: Vec<u8>,
    pub verdict: Verdict,
    pub output: Vec<u8>,
    /// What else happens on the way, questions to the kernel aside; `None`: not this row's topic.
    pub events: Option<Vec<Event>>,
}

impl Row {
    /// A packet that arrives at the front and is passed untouched under `verdict`, unless the row says more.
    pub fn new(kind: Kind, description: &str, packet: &Packet, verdict: Verdict) -> Self {
        Self::raw(kind, description, packet.bytes(), verdict)
    }

    /// The same for bytes that are no TCP or UDP packet.
    pub fn raw(kind: Kind, description: &str, input: Vec<u8>, verdict: Verdict) -> Self {
        Self {
            kind,
            description: format!("{kind}: {description}"),
            program: Program::Xdp(Port::Front),
            listeners: Vec::new(),
            setup: Vec::new(),
            output: input.clone(),
            input,
            verdict,
            events: None,
        }
    }

    /// Whether a packet of the row has VLAN tags.
    pub fn is_tagged(&self) -> bool {
        let has_tag = |frame: &[u8]| matches!(frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
        let seen = self.setup.iter().any(|step| match step {
            Step::Seen(_, packet, _) => has_tag(&packet.bytes()),
            _ => false,
        });
        seen || has_tag(&self.input) || has_tag(&self.output)
    }

    pub fn after(mut self, setup: impl IntoIterator<Item = Step>) -> Self {
        self.setup.extend(setup);
        self
    }

    pub fn listening(mut self, listener: Listens) -> Self {
        self.listeners.push(listener);
        self
    }

    /// With one slot, which is `host`'s.
    pub fn served_by(self, host: Host) -> Self {
        let table = vec![Slot::stable(self.kind.id(host))];
        self.after([Step::Table(table)])
    }

    pub fn seen_by(self, program: Program) -> Self {
        Self { program, ..self }
    }

    pub fn becomes(self, packet: &Packet) -> Self {
        Self {
            output: packet.bytes(),
            ..self
        }
    }

    pub fn with(self, events: &[Event]) -> Self {
        Self {
            events: Some(events.to_vec()),
            ..self
        }
    }
}

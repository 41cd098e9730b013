//! Backends as the datapath knows them.

use crate::map_type;

/// Names one backend for as long as it exists: a place in the backend array and the generation of that
/// place. A recycled place gets a new generation, so an id that was recorded for a flow never means
/// another backend. Zero is no backend.
///
/// Layout: generation in the upper 16 bits, index in the lower 16.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BackendId(u32);

impl BackendId {
    /// Nothing is named: the empty `previous` of a stable slot.
    pub const NONE: Self = Self(0);

    /// Nobody owns the slot: a service without a backend that takes new flows. It never serves.
    pub const NOBODY: Self = Self(1 << 16);

    /// The table before the last resize knows: the `previous` of a slot whose flows came from several old slots.
    /// It never serves either.
    pub const FORMER: Self = Self(2 << 16);

    /// Index 0 is never handed out, so that no real id is one of the above.
    pub const fn new(index: u16, generation: u16) -> Self {
        Self((generation as u32) << 16 | index as u32)
    }

    pub const fn index(self) -> u32 {
        self.0 & 0xffff
    }

    pub const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }

    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the id names a backend at all.
    pub const fn is_somebody(self) -> bool {
        self.index() != 0
    }

    pub const fn bits(self) -> u32 {
        self.0
    }

    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

map_type!(BackendId, size = 4, align = 4);

/// What the datapath may do with a backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BackendState {
    /// Flows go to it. Whether new ones do is the table's business, not the backend's.
    Alive,
    /// Found dead: its flows choose again.
    Down,
}

/// How packets are handed to a backend.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Forward {
    /// The destination is rewritten; replies pass here again.
    #[default]
    Nat = 0,
    /// Only the MAC is: the backend has the VIP, and answers clients itself.
    Dsr = 1,
    /// IP in IP: 4in4, 6in6 and 4in6.
    Ipip = 2,
    /// The same in UDP: Generic UDP Encapsulation, variant 1 (draft-ietf-intarea-gue).
    Gue = 3,
    /// Destination and source are rewritten: replies come back to this host by themselves.
    Fullnat = 4,
}

impl Forward {
    pub const ALL: [Self; 5] = [Self::Nat, Self::Fullnat, Self::Dsr, Self::Ipip, Self::Gue];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dsr => "dsr",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Fullnat => "fullnat",
        }
    }

    /// Whether packets travel inside of others, which may be of the other family.
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }

    /// Whether a backend may listen on another port than the service.
    pub const fn changes_ports(self) -> bool {
        matches!(self, Self::Nat | Self::Fullnat)
    }

    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Nat),
            1 => Some(Self::Dsr),
            2 => Some(Self::Ipip),
            3 => Some(Self::Gue),
            4 => Some(Self::Fullnat),
            _ => None,
        }
    }
}

/// One entry of the backend array.
///
/// `address` holds an IPv4 address in its first word, network byte order; `port` is in network byte order, 0 where the
/// backend has none of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Backend {
    pub id: BackendId,
    /// [`Self::ALIVE`] or [`Self::DOWN`]; anything else is no backend.
    pub state: u8,
    /// A [`Forward`].
    pub forward: u8,
    /// `fullnat`: where its source addresses stand in the family's map, and how many there are.
    pub snat_first: u8,
    pub snat_count: u8,
    pub address: [u32; 4],
    pub port: u16,
    pub family: u8,
    pub protocol: u8,
    /// A hash of the service's and the backend's name, by which the next daemon knows it again.
    pub identity: u32,
}

map_type!(Backend, size = 32, align = 4);

impl Backend {
    pub const ALIVE: u8 = 1;
    pub const DOWN: u8 = 2;

    /// Whether `id` still means this entry and flows may use it.
    pub const fn serves(&self, id: BackendId) -> bool {
        self.id.bits() == id.bits() && self.state == Self::ALIVE
    }

    /// The port that a packet to `destination_port` is sent to: the backend's own, or the one that the client chose.
    #[inline(always)]
    pub const fn port_for(&self, destination_port: u16) -> u16 {
        if self.port == 0 {
            destination_port
        } else {
            self.port
        }
    }
}

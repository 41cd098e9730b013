//! Just-enough tracking: which backend a packet of a slot goes to, and how a slot changes.
//!
//! | slot | state | a packet |
//! |---|---|---|
//! | `previous` empty | stable | goes to `current`; no lookup, no insert |
//! | `previous` differs | in transition | opening: to `current`, recorded; else: recorded flow if found, else `previous` while it lives, recorded |
//! | `previous` = `current` | settled | recorded flow if found, else `current` |
//!
//! Where every flow is recorded, a slot only gives the backends a share of the new ones, and says where a stray packet
//! goes. Unrecorded, a flow is one from before that was so: then the table before knows.
//!
//! A table that changes its size starts with `previous` = [`BackendId::FORMER`] in every slot: an old flow's slot of the
//! table before, which is kept for so long, says who its owner was.
//!
//! Extends JET (Mendelson et al., CoNEXT 2021). The model in `tests/slot_model.rs` checks exhaustively that no
//! order of packets and changes moves a live flow.

use crate::{backend::BackendId, map_type};

/// Two backend ids read together in one load.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Slot {
    pub current: BackendId,
    pub previous: BackendId,
}

map_type!(Slot, size = 8, align = 8);

/// The three states of a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlotState {
    Stable,
    Transition,
    Settled,
}

/// Where a packet goes, and whether its flow has to be remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    pub backend: BackendId,
    pub reason: Reason,
    /// Whether the flow must be recorded at `backend` (insert or overwrite).
    pub record: bool,
}

/// Why a packet goes where it goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The slot is stable: the hash alone decides.
    Stable,
    /// A recorded flow.
    Recorded,
    /// No record: the slot's current owner.
    Current,
    /// No record in a moving slot: an old flow, which stays with the previous owner.
    Previous,
    /// No record where every flow has one: it is new, and nobody's yet.
    New,
}

/// What a choice follows from, beside the slot.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Asks {
    /// The packet opens a flow: a TCP SYN without ACK.
    pub opens: bool,
    /// It may open one: every packet of UDP.
    pub may_open: bool,
    /// Every flow of the pool is recorded.
    pub tracks: bool,
}

impl Choice {
    const NEW: Self = Self {
        backend: BackendId::NONE,
        reason: Reason::New,
        record: false,
    };
}

impl Slot {
    /// Nobody owns the slot and nobody did.
    pub const EMPTY: Self = Self::stable(BackendId::NOBODY);

    pub const fn stable(current: BackendId) -> Self {
        Self {
            current,
            previous: BackendId::NONE,
        }
    }

    /// The slot as the one 64-bit word that is stored and loaded.
    pub const fn to_word(self) -> u64 {
        (self.previous.bits() as u64) << 32 | self.current.bits() as u64
    }

    pub const fn from_word(word: u64) -> Self {
        Self {
            current: BackendId::from_bits(word as u32),
            previous: BackendId::from_bits((word >> 32) as u32),
        }
    }

    pub fn state(self) -> SlotState {
        if self.previous.is_none() {
            SlotState::Stable
        } else if self.previous == self.current {
            SlotState::Settled
        } else {
            SlotState::Transition
        }
    }

    /// Who has the flows of this slot that are not recorded.
    #[inline(always)]
    pub const fn unrecorded(self) -> BackendId {
        if self.previous.is_none() {
            self.current
        } else {
            self.previous
        }
    }

    /// Whether flows may be recorded. The others need not be looked up.
    #[inline(always)]
    pub const fn may_have_records(self, asks: Asks) -> bool {
        asks.tracks || !self.previous.is_none()
    }

    /// Chooses the backend of a packet. `found` is what was recorded, where there [may](Self::may_have_records) be something;
    /// `former` looks up the packet's slot in the table before the last resize; `lives` says whether a backend takes packets.
    ///
    /// A stable slot calls none of them, unless every flow is recorded.
    #[inline(always)]
    pub fn choose(
        self,
        asks: Asks,
        found: Option<BackendId>,
        former: impl FnOnce() -> Option<Self>,
        lives: impl Fn(BackendId) -> bool,
    ) -> Choice {
        if !self.may_have_records(asks) {
            return Choice {
                backend: self.current,
                reason: Reason::Stable,
                record: false,
            };
        }
        if let Some(backend) = found
            && lives(backend)
        {
            return Choice {
                backend,
                reason: Reason::Recorded,
                record: false,
            };
        }
        let orphan = found.is_some();
        if asks.tracks && (asks.opens || orphan) {
            return Choice::NEW;
        }
        let has_old_flows = if asks.tracks {
            self.previous == BackendId::FORMER
        } else {
            self.previous != self.current
        };
        if !has_old_flows {
            if asks.tracks && asks.may_open {
                return Choice::NEW;
            }
            return Choice {
                backend: self.current,
                reason: Reason::Current,
                record: orphan && self.current.is_somebody(),
            };
        }
        let current = if asks.tracks {
            Choice::NEW
        } else {
            Choice {
                backend: self.current,
                reason: Reason::Current,
                record: self.current.is_somebody(),
            }
        };
        // An orphan's backend died: it is no old flow of `previous`, it starts again like a new one.
        if asks.opens || orphan {
            return current;
        }
        let previous = if self.previous == BackendId::FORMER {
            former().map_or(BackendId::NOBODY, Self::unrecorded)
        } else {
            self.previous
        };
        if !lives(previous) {
            return current;
        }
        Choice {
            backend: previous,
            reason: Reason::Previous,
            record: true,
        }
    }

    /// The slot after the table gives it to `owner` (which may be [`BackendId::NOBODY`]): the oldest stable
    /// owner that lives stays `previous`, because the flows of all later owners are recorded.
    pub fn advance(self, owner: BackendId, lives: impl Fn(BackendId) -> bool) -> Self {
        let lives = |id| id == BackendId::FORMER || lives(id);
        match self.state() {
            SlotState::Stable if owner == self.current => self,
            SlotState::Stable if !lives(self.current) => Self::stable(owner),
            SlotState::Stable => Self {
                current: owner,
                previous: self.current,
            },
            SlotState::Transition | SlotState::Settled if lives(self.previous) => Self {
                current: owner,
                previous: self.previous,
            },
            // No unrecorded flow is alive; the recorded ones remain exceptions.
            SlotState::Transition | SlotState::Settled => Self {
                current: owner,
                previous: owner,
            },
        }
    }

    /// The same where every flow is recorded: no owner has others, save one of a former table.
    pub fn advance_tracked(self, owner: BackendId) -> Self {
        Self {
            current: owner,
            previous: if self.previous == BackendId::FORMER {
                BackendId::FORMER
            } else {
                BackendId::NONE
            },
        }
    }

    /// A slot of a table that replaces one of another size.
    pub const fn resized(owner: BackendId) -> Self {
        Self {
            current: owner,
            previous: BackendId::FORMER,
        }
    }

    /// Every live old flow has shown itself: what is not recorded belongs to `current`.
    pub fn settle(self) -> Self {
        match self.state() {
            SlotState::Transition => Self {
                current: self.current,
                previous: self.current,
            },
            SlotState::Stable | SlotState::Settled => self,
        }
    }

    /// No recorded flow of a settled slot is left.
    pub fn stabilise(self) -> Self {
        match self.state() {
            SlotState::Settled => Self::stable(self.current),
            SlotState::Stable | SlotState::Transition => self,
        }
    }
}

//! Which slot of a lookup table belongs to which backend.
//!
//! A table is computed from nothing but the seed and the backends' identities and weights. Two nodes with the
//! same configuration hold the same table, whatever happened to each before.

mod maglev;
mod permutation;
mod quota;
mod size;
mod turns;

#[cfg(test)]
mod tests;

use lb_common::backend::BackendId;

pub use self::size::{is_prime, table_size};
use crate::desired::Scheduler;

/// A backend that takes new flows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Candidate<'a> {
    /// What decides where its slots lie; no two candidates share it.
    pub identity: &'a str,
    /// What is written into its slots. Has no influence on which they are.
    pub id: BackendId,
    /// Its share of the slots, in relation to the other weights; 0 gets none.
    pub weight: u16,
    /// How much of the weight counts now, in sixteenths. Slots of others move only as far as shares do.
    pub sixteenths: u16,
}

/// All of a weight, in [`Candidate::sixteenths`].
pub const ALL_OF_IT: u16 = 16;

/// The owners of `size` slots. All are [`BackendId::NOBODY`] where no candidate has a weight.
///
/// `size` is prime: only then does every backend's walk visit every slot.
pub fn build(
    scheduler: Scheduler,
    seed: u64,
    size: u32,
    candidates: &[Candidate<'_>],
) -> Vec<BackendId> {
    debug_assert!(is_prime(size), "a table of {size} slots: not a prime");
    match scheduler {
        Scheduler::RoundRobin => turns::build(size, candidates),
        // Where the slot is drawn, only the shares matter.
        Scheduler::Maglev | Scheduler::SourceHash | Scheduler::Random | Scheduler::LeastConn => {
            maglev::build(seed, size, candidates)
        }
    }
}

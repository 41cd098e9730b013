//! What a backend has to do, and how it answers: counted by the programs for the scheduler and for passive checks.

use crate::{backend::BackendId, map_type};

/// One entry of the load array, at the backend's index; a cache line, which all CPUs share. The counts go up and down by
/// additions that are atomic, and wrap.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Connections that are open: answered, and not ended. The daemon counts them now and then, and sets this right.
    pub open: u64,
    /// SYNs that were answered, for the first time.
    pub accepted: u64,
    /// SYNs that were answered by a RST.
    pub refused: u64,
    /// SYNs that came again because nobody answered.
    pub unanswered: u64,
    /// Whose counts these are. Those of a backend that had the place before are none.
    pub id: BackendId,
    /// Connections that it may have open; 0: any number.
    pub limit: u32,
    /// Its weight for new flows, in sixteenths; 0 takes none.
    pub weight: u32,
    pub padding: u32,
    pub more_padding: [u64; 2],
}

map_type!(Load, size = 64, align = 64);

/// A count that more was taken from than added to, for a moment, is none.
#[inline(always)]
pub const fn count(open: u64) -> u32 {
    if open > u32::MAX as u64 {
        0
    } else {
        open as u32
    }
}

impl Load {
    #[inline(always)]
    pub const fn is_full(open: u32, limit: u32) -> bool {
        limit != 0 && open >= limit
    }

    /// Whether one with `open` connections and `weight` has less to do than another. Of two that are idle neither has: who was
    /// drawn first is drawn by weight.
    #[inline(always)]
    pub const fn is_less(open: u32, weight: u32, other_open: u32, other_weight: u32) -> bool {
        open as u64 * (other_weight as u64) < other_open as u64 * (weight as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_is_less_for_its_weight() {
        for (open, weight, other_open, other_weight, expected) in [
            (0, 16, 1, 16, true),
            (1, 16, 1, 16, false),
            (5, 48, 2, 16, true),
            (9, 48, 2, 16, false),
            (0, 48, 0, 16, false),
            (u32::MAX, 256 * 16, u32::MAX, 1, true),
        ] {
            assert_eq!(
                Load::is_less(open, weight, other_open, other_weight),
                expected,
                "{open}/{weight} against {other_open}/{other_weight}"
            );
        }
    }

    #[test]
    fn a_count_below_none_is_none() {
        assert_eq!(count(0_u64.wrapping_sub(2)), 0);
        assert_eq!(count(7), 7);
    }

    #[test]
    fn no_limit_is_never_reached() {
        assert!(!Load::is_full(u32::MAX, 0));
        assert!(!Load::is_full(9, 10));
        assert!(Load::is_full(10, 10));
    }
}

//! A token bucket: bounded in rate, with some slack for bursts.

use crate::map_type;

/// Tokens at most, which is the longest burst.
pub const BURST: u32 = 256;

/// How much may still be said. One token comes back in every unit of time.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Budget {
    /// Units of 2^20 ns (1.05 ms) since the machine started, when it was last asked.
    seen: u32,
    tokens: u32,
}

map_type!(Budget, size = 8, align = 8);

impl Budget {
    /// Takes a token at `now`, in nanoseconds, if there is one.
    #[inline(always)]
    pub fn take(&mut self, now: u64) -> bool {
        let now = (now >> 20) as u32;
        let earned = now.wrapping_sub(self.seen);
        self.seen = now;
        let tokens = self.tokens.saturating_add(earned);
        self.tokens = if tokens > BURST { BURST } else { tokens };
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: u64 = 1 << 20;

    fn granted(budget: &mut Budget, requests: u32, now: u64) -> u32 {
        (0..requests).filter(|_| budget.take(now)).count() as u32
    }

    #[test]
    fn a_burst_and_then_one_for_each_unit() {
        let mut budget = Budget::default();
        let start = 1_000_000 * UNIT;
        assert_eq!(granted(&mut budget, 1000, start), BURST);
        assert_eq!(granted(&mut budget, 10, start + UNIT - 1), 0);
        assert_eq!(granted(&mut budget, 10, start + UNIT), 1);
        assert_eq!(granted(&mut budget, 10, start + 6 * UNIT), 5);
    }

    #[test]
    fn rest_earns_no_more_than_a_burst() {
        let mut budget = Budget::default();
        for pause in [BURST, BURST + 1, u32::MAX] {
            granted(&mut budget, 2 * BURST, 0);
            assert_eq!(
                granted(&mut budget, 2 * BURST, u64::from(pause) * UNIT),
                BURST,
                "after {pause} units"
            );
            budget = Budget::default();
        }
    }
}

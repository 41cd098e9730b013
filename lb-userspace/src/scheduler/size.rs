//! How many slots a table has.

/// Slots wanted for each backend, the lightest included: with 100, one slot too many or too few is 1 % (the rule of
/// the Maglev paper, section 3.4).
const SLOTS_EACH: u64 = 100;

/// The largest primes below powers of two, and the paper's own size at the end. Few, because a table that
/// changes its size moves nearly every slot.
const SIZES: [u32; 7] = [1021, 2039, 4093, 8191, 16_381, 32_749, 65_537];

/// The smallest of a few primes that has 100 slots for each backend and 100 for the lightest; 65537 where
/// none has. Weights of 0 and sets of 0 backends are served by the smallest table.
pub fn table_size(backends: usize, total_weight: u32, smallest_weight: u16) -> u32 {
    let for_each = SLOTS_EACH.saturating_mul(backends as u64);
    let for_lightest = match smallest_weight {
        0 => 0,
        weight => (SLOTS_EACH * u64::from(total_weight)).div_ceil(u64::from(weight)),
    };
    let wanted = for_each.max(for_lightest);
    let [.., largest] = SIZES;
    SIZES
        .into_iter()
        .find(|&size| u64::from(size) >= wanted)
        .unwrap_or(largest)
}

/// Whether a table may have `size` slots.
pub const fn is_prime(size: u32) -> bool {
    if size < 2 {
        return false;
    }
    let mut divisor = 2;
    while divisor <= size / divisor {
        if size.is_multiple_of(divisor) {
            return false;
        }
        divisor += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_sizes_are_prime() {
        for size in SIZES {
            assert!(is_prime(size), "{size}");
        }
    }

    #[test]
    fn primes_are_told_from_composites() {
        let primes: Vec<u32> = (0..40).filter(|&number| is_prime(number)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]);
        assert!(!is_prime(65_536) && !is_prime(257 * 257));
        assert!(is_prime(u32::MAX - 4) && !is_prime(u32::MAX));
    }

    #[test]
    fn known_sizes() {
        let rows = [
            ((0, 0, 0), 1021),
            ((1, 1, 1), 1021),
            ((4, 7, 1), 1021),
            ((10, 10, 1), 1021),
            ((11, 11, 1), 2039),
            ((10, 20, 1), 2039),
            ((2, 257, 1), 32_749),
            ((2, 512, 256), 1021),
            ((100, 100, 1), 16_381),
            ((655, 655, 1), 65_537),
            ((1000, 1000, 1), 65_537),
            ((usize::MAX, u32::MAX, 1), 65_537),
        ];
        for ((backends, total, smallest), expected) in rows {
            assert_eq!(
                table_size(backends, total, smallest),
                expected,
                "{backends} backends, weights {total} in all, {smallest} the smallest"
            );
        }
    }

    proptest! {
        #[test]
        fn the_lightest_has_100_slots_below_the_cap(
            weights in prop::collection::vec(1_u16..=256, 1..100),
        ) {
            let total: u32 = weights.iter().copied().map(u32::from).sum();
            let smallest = weights.iter().copied().min().unwrap_or(0);
            let size = table_size(weights.len(), total, smallest);
            let slots = u64::from(size) * u64::from(smallest) / u64::from(total);
            prop_assert!(slots >= 100 || size == 65_537);
        }
    }
}

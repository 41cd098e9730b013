//! How many slots each backend gets.

use std::cmp::Reverse;

/// Shares `size` slots out in proportion to `weights`: rounded down, the rest by largest remainder (Hamilton's
/// method), the earlier of equals first. They add up to `size`, or to 0 where all weights are 0.
pub fn quotas(size: u32, weights: &[u32]) -> Vec<u32> {
    let total: u64 = weights.iter().copied().map(u64::from).sum();
    if total == 0 {
        return vec![0; weights.len()];
    }
    let share = |weight: u32| u64::from(size) * u64::from(weight);
    let mut quotas: Vec<u32> = weights
        .iter()
        .map(|&weight| (share(weight) / total) as u32)
        .collect();
    let left = size - quotas.iter().sum::<u32>();

    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|&index| Reverse(share(weights[index]) % total));
    for &index in by_remainder.iter().take(left as usize) {
        quotas[index] += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_shares() {
        let rows: [(u32, &[u32], &[u32]); 7] = [
            (11, &[1, 10], &[1, 10]),
            (7, &[3, 2, 1, 1], &[3, 2, 1, 1]),
            (10, &[1, 1, 1], &[4, 3, 3]),
            // Remainders 1/6, 2/6 and 3/6.
            (7, &[1, 2, 3], &[1, 2, 4]),
            (2, &[1, 1, 1], &[1, 1, 0]),
            (7, &[0, 0], &[0, 0]),
            (7, &[], &[]),
        ];
        for (size, weights, expected) in rows {
            assert_eq!(quotas(size, weights), expected, "{size} over {weights:?}");
        }
    }

    proptest! {
        #[test]
        fn every_quota_is_the_exact_share_rounded_up_or_down(
            size in 1_u32..70_000,
            weights in prop::collection::vec(0_u32..=16 * 256, 1..200),
        ) {
            let total: u64 = weights.iter().copied().map(u64::from).sum();
            prop_assume!(total > 0);
            let quotas = quotas(size, &weights);
            prop_assert_eq!(quotas.iter().sum::<u32>(), size);
            for (&quota, &weight) in quotas.iter().zip(&weights) {
                let exact = u64::from(size) * u64::from(weight);
                let floor = (exact / total) as u32;
                let ceiling = exact.div_ceil(total) as u32;
                prop_assert!(quota == floor || quota == ceiling);
            }
        }
    }
}

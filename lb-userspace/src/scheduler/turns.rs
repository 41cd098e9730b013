//! Slots in the order in which backends take turns: each backend's are as far apart as its weight allows, so that a heavy
//! one does not get a row of flows.
//!
//! Of a backend with `n` of the slots, the turn `k` is due at `(2 k + 1) / 2 n` of the way; slots go to whoever is due first.
//! That is earliest-deadline-first over the times of stride scheduling (Waldspurger and Weihl, 1995).

use lb_common::backend::BackendId;

use super::{Candidate, quota};

/// The owners of `size` slots, [`BackendId::NOBODY`] where no candidate has a weight. Of those that are due at once, the
/// first of the candidates goes first.
pub fn build(size: u32, candidates: &[Candidate<'_>]) -> Vec<BackendId> {
    let shares: Vec<u32> = candidates
        .iter()
        .map(|candidate| u32::from(candidate.weight) * u32::from(candidate.sixteenths))
        .collect();
    let quotas = quota::quotas(size, &shares);
    let mut turns: Vec<(u64, BackendId)> = candidates
        .iter()
        .zip(quotas)
        .flat_map(|(candidate, quota)| {
            let due = move |turn: u32| (u64::from(2 * turn + 1) << 32) / u64::from(2 * quota);
            (0..quota).map(move |turn| (due(turn), candidate.id))
        })
        .collect();
    turns.sort_by_key(|&(due, _)| due);
    if turns.is_empty() {
        return vec![BackendId::NOBODY; size as usize];
    }
    turns.into_iter().map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scheduler::ALL_OF_IT;

    fn order(size: u32, weights: &[u16]) -> String {
        let names: Vec<String> = (0..weights.len())
            .map(|number| number.to_string())
            .collect();
        let candidates: Vec<_> = names
            .iter()
            .zip(weights)
            .zip(1..)
            .map(|((identity, &weight), number)| Candidate {
                identity,
                id: BackendId::new(number, 0),
                weight,
                sixteenths: ALL_OF_IT,
            })
            .collect();
        let owners = build(size, &candidates);
        let letter = |owner: BackendId| char::from(b'`' + owner.index() as u8);
        owners.into_iter().map(letter).collect()
    }

    #[test]
    fn turns_are_taken_by_weight() {
        for (size, weights, expected) in [
            (6, &[1, 1, 1][..], "abcabc"),
            (7, &[3, 2, 1, 1], "abacdba"),
            (7, &[5, 1, 1], "aaabcaa"),
            (5, &[1, 0], "aaaaa"),
            (3, &[0, 0], "```"),
            (3, &[], "```"),
        ] {
            assert_eq!(order(size, weights), expected, "{weights:?}");
        }
    }

    proptest! {
        /// In every stretch of slots each backend has its share, to less than two slots.
        #[test]
        fn every_stretch_is_fair(weights in prop::collection::vec(1_u16..20, 1..12)) {
            let size = 1021;
            let table = order(size, &weights);
            let total: u32 = weights.iter().copied().map(u32::from).sum();
            for (number, &weight) in weights.iter().enumerate() {
                let letter = char::from(b'a' + number as u8);
                let mut owned = 0_u32;
                for (slots, owner) in (1_u32..).zip(table.chars()) {
                    owned += u32::from(owner == letter);
                    let exact = f64::from(slots) * f64::from(weight) / f64::from(total);
                    prop_assert!((f64::from(owned) - exact).abs() < weights.len() as f64, "{letter}: {owned}, {exact}");
                }
            }
        }
    }
}

//! What a table promises, and how few slots a change moves.

use std::collections::BTreeMap;

use lb_common::backend::BackendId;
use proptest::prelude::*;

use super::*;

/// Identity number and weight of each backend.
type Set = BTreeMap<u16, u16>;

fn equal(backends: u16) -> Set {
    (0..backends).map(|number| (number, 1)).collect()
}

fn without(mut set: Set, number: u16) -> Set {
    assert!(set.remove(&number).is_some());
    set
}

fn with(mut set: Set, number: u16, weight: u16) -> Set {
    set.insert(number, weight);
    set
}

fn id(number: u16) -> BackendId {
    BackendId::new(number + 1, 1)
}

fn build_set(seed: u64, size: u32, set: &Set) -> Vec<BackendId> {
    let names: Vec<String> = set
        .keys()
        .map(|number| format!("10.0.{}.{}:8001", number / 256, number % 256))
        .collect();
    let candidates: Vec<Candidate<'_>> = set
        .iter()
        .zip(&names)
        .map(|((&number, &weight), identity)| Candidate {
            identity,
            id: id(number),
            weight,
            sixteenths: ALL_OF_IT,
        })
        .collect();
    build(Scheduler::Maglev, seed, size, &candidates)
}

fn slots_of(table: &[BackendId], number: u16) -> usize {
    table.iter().filter(|&&owner| owner == id(number)).count()
}

fn prime() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![2_u32, 3, 7, 101, 1021, 2039])
}

#[test]
fn nobody_owns_the_slots_of_an_empty_set() {
    for set in [Set::new(), Set::from([(0, 0), (1, 0)])] {
        assert_eq!(build_set(0, 101, &set), vec![BackendId::NOBODY; 101]);
    }
}

#[test]
fn one_backend_owns_all() {
    assert_eq!(build_set(0, 1021, &equal(1)), vec![id(0); 1021]);
}

#[test]
fn a_weight_of_zero_owns_nothing() {
    let table = build_set(0, 1021, &Set::from([(0, 1), (1, 0), (2, 1)]));
    assert_eq!(slots_of(&table, 1), 0);
    assert_eq!(table, build_set(0, 1021, &Set::from([(0, 1), (2, 1)])));
}

#[test]
fn weights_one_to_ten_own_slots_one_to_ten() {
    let table = build_set(0, 65_537, &Set::from([(0, 1), (1, 10)]));
    // 65537 / 11 = 5957.9
    assert_eq!((slots_of(&table, 0), slots_of(&table, 1)), (5958, 59_579));
}

#[test]
fn extreme_sets_are_filled() {
    let heavy: Set = (0..1000).map(|number| (number, 256)).collect();
    let mixed = with(equal(1000), 0, 256);
    // More than a configuration allows.
    let absurd = Set::from([(0, u16::MAX), (1, 1)]);
    for (size, set) in [
        (65_537, &heavy),
        (65_537, &mixed),
        (65_537, &absurd),
        (101, &heavy),
        (2, &mixed),
    ] {
        let table = build_set(0, size, set);
        assert!(table.iter().all(|owner| owner.is_somebody()), "{size}");
    }
}

#[test]
fn seeds_give_different_tables() {
    let set = equal(10);
    let share = changed(&build_set(1, 1021, &set), &build_set(2, 1021, &set));
    // Independent tables agree in one slot of ten.
    assert!((0.85..0.95).contains(&share), "{share}");
}

/// Nodes that run different builds share flows, so a table must not change from one version to the next.
#[test]
fn tables_are_the_same_in_every_version() {
    let table = build_set(42, 101, &Set::from([(0, 3), (1, 2), (2, 1), (3, 1)]));
    let owners: String = table
        .iter()
        .map(|owner| char::from(b'`' + owner.index() as u8))
        .collect();
    assert_eq!(
        owners,
        "bbcabccddaacacbbbdcbaaaaaaaaaaaabaaaaaabbadaacbbcbcabaacabdacdbbbaababbbbcddaabaadcadbbcaaadddbbdcaab"
    );
}

proptest! {
    #[test]
    fn list_order_and_ids_do_not_matter(
        seed: u64,
        size in prime(),
        weights in prop::collection::vec(0_u16..20, 1..40),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let names: Vec<String> = (0..weights.len()).map(|number| format!("api{number}")).collect();
        let candidates: Vec<Candidate<'_>> = names
            .iter()
            .zip(&weights)
            .zip(0..)
            .map(|((identity, &weight), number)| Candidate { identity, id: id(number), weight, sixteenths: ALL_OF_IT })
            .collect();
        let mut other = candidates.clone();
        other.reverse();
        other.rotate_left(shuffled.index(weights.len()));
        let table = build(Scheduler::Maglev, seed, size, &candidates);
        prop_assert_eq!(&table, &build(Scheduler::Maglev, seed, size, &other));

        // Other ids in the same slots.
        for candidate in &mut other {
            candidate.id = BackendId::new(candidate.id.index() as u16, 9);
        }
        let renumbered: Vec<u32> = build(Scheduler::Maglev, seed, size, &other)
            .into_iter()
            .map(BackendId::index)
            .collect();
        let indices: Vec<u32> = table.into_iter().map(BackendId::index).collect();
        prop_assert_eq!(indices, renumbered);
    }

    #[test]
    fn slots_follow_weights_up_to_rounding(
        seed: u64,
        size in prime(),
        weights in prop::collection::vec(0_u16..=256, 1..40),
    ) {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        prop_assume!(total > 0);
        let table = build_set(seed, size, &(0..).zip(weights.iter().copied()).collect());
        for (number, &weight) in (0..).zip(&weights) {
            let exact = u64::from(size) * u64::from(weight);
            let slots = slots_of(&table, number) as u64;
            prop_assert!(slots == exact / total || slots == exact.div_ceil(total));
        }
    }
}

/// Share of the slots whose owner differs.
fn changed(before: &[BackendId], after: &[BackendId]) -> f64 {
    let moved = before.iter().zip(after).filter(|(a, b)| a != b).count();
    moved as f64 / before.len() as f64
}

/// Measures a change under several seeds: prints what moved beside what had to, and returns the largest.
fn largest_change(what: &str, size: u32, before: &Set, after: &Set) -> f64 {
    const SEEDS: u64 = 10;
    let moved: Vec<f64> = (0..SEEDS)
        .map(|seed| {
            changed(
                &build_set(seed, size, before),
                &build_set(seed, size, after),
            )
        })
        .collect();
    let total = |set: &Set| set.values().copied().map(f64::from).sum::<f64>();
    let share = |set: &Set, number| set.get(number).copied().map_or(0.0, f64::from) / total(set);
    let unavoidable: f64 = after
        .keys()
        .map(|number| (share(after, number) - share(before, number)).max(0.0))
        .sum();
    let mean = moved.iter().sum::<f64>() / moved.len() as f64;
    let largest = moved.into_iter().fold(0.0, f64::max);
    println!(
        "{what}, {size} slots: {:.3} % of the slots change owner (at most {:.3} %, {:.3} % unavoidable)",
        mean * 100.0,
        largest * 100.0,
        unavoidable * 100.0,
    );
    largest
}

#[test]
fn one_of_100_leaving_moves_at_most_1_6_percent() {
    let (before, after) = (equal(100), without(equal(100), 37));
    assert!(largest_change("one of 100 leaves", 65_537, &before, &after) <= 0.016);
}

#[test]
fn changes_move_little_more_than_they_must() {
    let rows = [
        ("one joins 100", 65_537, equal(100), equal(101), 0.016),
        (
            "one of 1000 leaves",
            65_537,
            equal(1000),
            without(equal(1000), 370),
            0.006,
        ),
        (
            "one of 20 goes from weight 1 to 2",
            65_537,
            equal(20),
            with(equal(20), 3, 2),
            0.055,
        ),
        (
            "one of 20 goes from weight 1 to 2",
            2039,
            equal(20),
            with(equal(20), 3, 2),
            0.080,
        ),
        (
            "one of 5 leaves",
            1021,
            equal(5),
            without(equal(5), 2),
            0.27,
        ),
        ("one joins 5", 1021, equal(5), equal(6), 0.22),
    ];
    for (what, size, before, after, bound) in rows {
        let largest = largest_change(what, size, &before, &after);
        assert!(largest <= bound, "{what}: {largest}");
    }
}

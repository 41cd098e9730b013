use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use lb_common::{
    backend::BackendId,
    slot::{Slot, SlotState},
};

use crate::dataplane::{Applied, Op, PoolId, Recorded};

/// Since when each slot is in transition.
///
/// ```text
/// stable ──change──► transition ──every old flow had time to show itself──► settled ──no record left──► stable
/// ```
#[derive(Debug, Default)]
pub struct Progress {
    since: BTreeMap<PoolId, BTreeMap<u32, Instant>>,
    is_moving: bool,
}

impl Progress {
    /// Whether a slot is not stable, or a former table not forgotten: then [`Self::steps`] has something to do in time.
    pub const fn is_moving(&self) -> bool {
        self.is_moving
    }

    /// Takes note of slots that came into transition. To be called after every change.
    pub fn observe(&mut self, applied: &Applied, now: Instant) {
        self.is_moving = applied.pools.values().any(|table| {
            let is_stable = |slot: &Slot| slot.state() == SlotState::Stable;
            table.former.is_some() || !table.slots.iter().all(is_stable)
        });
        self.since
            .retain(|pool, _| applied.pools.contains_key(pool));
        for (&pool, table) in &applied.pools {
            let since = self.since.entry(pool).or_default();
            since.retain(|&index, _| {
                table
                    .slots
                    .get(index as usize)
                    .is_some_and(|slot| slot.state() == SlotState::Transition)
            });
            for (index, slot) in (0..).zip(&table.slots) {
                if slot.state() == SlotState::Transition {
                    since.entry(index).or_insert(now);
                }
            }
        }
    }

    /// Moves slots on. `recorded` was read after the slots that are settled became so; `transition` says how long a
    /// pool's old flows have to show themselves.
    pub fn steps(
        &self,
        applied: &Applied,
        recorded: &Recorded,
        now: Instant,
        transition: impl Fn(PoolId) -> Duration,
    ) -> Vec<Op> {
        let mut ops = Vec::new();
        for (&pool, table) in &applied.pools {
            let limit = transition(pool);
            let slots: Vec<(u32, Slot)> = (0..)
                .zip(&table.slots)
                .filter_map(|(index, slot)| {
                    let next = match slot.state() {
                        SlotState::Stable => return None,
                        SlotState::Transition => {
                            let since = *self.since.get(&pool)?.get(&index)?;
                            if now.saturating_duration_since(since) < limit {
                                return None;
                            }
                            // Where every flow is recorded a slot says nothing of any.
                            if table.discipline.tracks {
                                Slot::stable(slot.current)
                            } else {
                                slot.settle()
                            }
                        }
                        SlotState::Settled if table.discipline.tracks => slot.stabilise(),
                        SlotState::Settled if recorded.slots.contains(&(pool, index)) => {
                            return None;
                        }
                        SlotState::Settled => slot.stabilise(),
                    };
                    Some((index, next))
                })
                .collect();
            if !slots.is_empty() {
                ops.push(Op::StepSlots { pool, slots });
            }
            let names_former = table
                .slots
                .iter()
                .any(|slot| slot.previous == BackendId::FORMER);
            if table.former.is_some() && !names_former {
                ops.push(Op::ForgetFormer { pool });
            }
        }
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataplane::Pool;

    const A: BackendId = BackendId::new(1, 0);
    const B: BackendId = BackendId::new(2, 0);
    const LIMIT: Duration = Duration::from_secs(60);

    fn steps(
        progress: &Progress,
        applied: &mut Applied,
        recorded: &Recorded,
        now: Instant,
    ) -> usize {
        let ops = progress.steps(applied, recorded, now, |_| LIMIT);
        for op in &ops {
            applied.note(op);
        }
        ops.len()
    }

    #[test]
    fn a_moved_slot_waits_settles_waits_for_its_records_and_is_stable() {
        let moved = Slot {
            current: B,
            previous: A,
        };
        let pool = Pool {
            slots: vec![Slot::stable(A), moved],
            ..Pool::default()
        };
        let mut applied = Applied::default();
        applied.pools.insert(7, pool);
        let mut progress = Progress::default();
        let start = Instant::now();
        progress.observe(&applied, start);
        let mut recorded = Recorded::default();
        recorded.slots.insert((7, 1));

        assert_eq!(
            steps(&progress, &mut applied, &recorded, start + LIMIT / 2),
            0
        );
        // Another look at it does not restart the clock.
        progress.observe(&applied, start + LIMIT / 2);
        assert_eq!(steps(&progress, &mut applied, &recorded, start + LIMIT), 1);
        assert_eq!(applied.pools[&7].slots[1].state(), SlotState::Settled);
        progress.observe(&applied, start + LIMIT);
        assert_eq!(
            steps(&progress, &mut applied, &recorded, start + LIMIT * 9),
            0
        );
        assert_eq!(
            steps(
                &progress,
                &mut applied,
                &Recorded::default(),
                start + LIMIT * 9
            ),
            1
        );
        assert_eq!(applied.pools[&7].slots, [Slot::stable(A), Slot::stable(B)]);
    }

    #[test]
    fn the_former_table_goes_when_no_slot_names_it() {
        let pool = Pool {
            slots: vec![Slot::resized(A)],
            former: Some(vec![Slot::stable(A), Slot::stable(B)]),
            ..Pool::default()
        };
        let mut applied = Applied::default();
        applied.pools.insert(7, pool);
        let mut progress = Progress::default();
        let start = Instant::now();
        progress.observe(&applied, start);
        let none = Recorded::default();
        assert_eq!(steps(&progress, &mut applied, &none, start + LIMIT), 1);
        assert!(applied.pools[&7].former.is_some());
        assert_eq!(steps(&progress, &mut applied, &none, start + LIMIT), 2);
        assert_eq!(applied.pools[&7].former, None);
        assert_eq!(applied.pools[&7].slots, [Slot::stable(A)]);
    }
}

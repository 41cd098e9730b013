use lb_common::{
    backend::{BackendId, BackendState},
    slot::Slot,
};

use super::{Table, Target};
use crate::dataplane::{Applied, Op, Pool};

/// The operations that lead from `applied` to `target`, in an order in which each is safe under traffic:
///
/// 1. backends that flows will go to;
/// 2. tables, which know already who is dead;
/// 3. backends found dead: no slot leads to them any more but for recorded flows, which choose again;
/// 4. listeners;
/// 5. pools and backends that nothing names any more.
pub fn plan(applied: &Applied, target: &Target) -> Vec<Op> {
    let mut ops = Vec::new();
    put_backends(applied, target, BackendState::Alive, &mut ops);
    write_tables(applied, target, &mut ops);
    put_backends(applied, target, BackendState::Down, &mut ops);
    if applied.listeners != target.listeners {
        ops.push(Op::SetListeners {
            listeners: target.listeners.clone(),
        });
    }
    for &pool in applied.pools.keys() {
        if !target.pools.contains_key(&pool) {
            ops.push(Op::RemovePool { pool });
        }
    }
    for &id in applied.backends.keys() {
        if !target.backends.contains_key(&id) {
            ops.push(Op::RemoveBackend { id });
        }
    }
    ops
}

fn put_backends(applied: &Applied, target: &Target, state: BackendState, ops: &mut Vec<Op>) {
    for (&id, &backend) in &target.backends {
        if backend.state == state && applied.backends.get(&id) != Some(&backend) {
            ops.push(Op::PutBackend { id, backend });
        }
    }
}

fn write_tables(applied: &Applied, target: &Target, ops: &mut Vec<Op>) {
    for (&pool, table) in &target.pools {
        let known = applied.pools.get(&pool);
        let slots = match known {
            Some(known) => successor(known, table, |id| target.lives(id)),
            None => table.owners.iter().copied().map(Slot::stable).collect(),
        };
        let discipline = table.discipline;
        if known.is_none_or(|known| known.slots != slots || known.discipline != discipline) {
            ops.push(Op::WriteTable {
                pool,
                discipline,
                slots,
            });
        }
    }
}

/// The table with new owners, in which old flows still find theirs.
fn successor(known: &Pool, table: &Table, lives: impl Fn(BackendId) -> bool) -> Vec<Slot> {
    let owners = &table.owners;
    if known.agrees(&table.discipline, owners.len()) {
        let advance = |(slot, &owner): (&Slot, &BackendId)| {
            if table.discipline.tracks {
                slot.advance_tracked(owner)
            } else {
                slot.advance(owner, &lives)
            }
        };
        return known.slots.iter().zip(owners).map(advance).collect();
    }
    let has_flows = known.slots.iter().any(|slot| lives(slot.unrecorded()));
    let slot = if has_flows {
        Slot::resized
    } else {
        Slot::stable
    };
    owners.iter().copied().map(slot).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lb_common::service::IndexedBy;

    use super::*;
    use crate::{
        dataplane::{BackendEntry, Dataplane as _, Listener, fake::FakeDataplane},
        desired::Protocol,
    };
    use proptest::prelude::*;

    const A: BackendId = BackendId::new(1, 0);
    const B: BackendId = BackendId::new(2, 0);
    const C: BackendId = BackendId::new(3, 0);

    fn backend(id: BackendId, state: BackendState) -> BackendEntry {
        BackendEntry {
            address: format!("10.0.0.{}:80", id.index()).parse().unwrap(),
            protocol: Protocol::Tcp,
            state,
            forward: crate::desired::Forward::Nat,
            identity: id.index(),
            weight: 16,
            max_conns: 0,
        }
    }

    fn table(by: IndexedBy, owners: &[BackendId]) -> Table {
        Table {
            discipline: by.into(),
            owners: owners.to_vec(),
        }
    }

    fn target(states: &[(BackendId, BackendState)], owners: &[BackendId]) -> Target {
        let listener = Listener {
            address: "192.0.2.1:80".parse().unwrap(),
            protocol: Protocol::Tcp,
        };
        Target {
            backends: states
                .iter()
                .map(|&(id, state)| (id, backend(id, state)))
                .collect(),
            pools: BTreeMap::from([(0, table(IndexedBy::Flow, owners))]),
            listeners: BTreeMap::from([(listener, 0)]),
        }
    }

    fn follow(applied: &Applied, target: &Target) -> Applied {
        let mut applied = applied.clone();
        for op in plan(&applied.clone(), target) {
            applied.note(&op);
        }
        applied
    }

    #[test]
    fn a_new_service_is_stable_from_the_start() {
        let target = target(
            &[(A, BackendState::Alive), (B, BackendState::Alive)],
            &[A, B, A],
        );
        let applied = follow(&Applied::default(), &target);
        let slots = &applied.pools[&0].slots;
        assert_eq!(slots, &[A, B, A].map(Slot::stable));
        assert_eq!(plan(&applied, &target), []);
    }

    #[test]
    fn a_slot_that_moves_remembers_its_owner_while_that_lives() {
        let both = [(A, BackendState::Alive), (B, BackendState::Alive)];
        let before = follow(&Applied::default(), &target(&both, &[A, A]));
        let after = follow(&before, &target(&both, &[A, B]));
        let moved = Slot {
            current: B,
            previous: A,
        };
        assert_eq!(after.pools[&0].slots, [Slot::stable(A), moved]);
    }

    #[test]
    fn a_dead_backend_leaves_the_table_before_it_is_marked() {
        let before = follow(
            &Applied::default(),
            &target(
                &[(A, BackendState::Alive), (B, BackendState::Alive)],
                &[A, B],
            ),
        );
        let target = target(
            &[(A, BackendState::Down), (B, BackendState::Alive)],
            &[B, B],
        );
        let ops = plan(&before, &target);
        assert!(
            matches!(
                &ops[..],
                [
                    Op::WriteTable { slots, .. },
                    Op::PutBackend { id: A, .. }
                ] if *slots == [Slot::stable(B), Slot::stable(B)]
            ),
            "{ops:?}"
        );
    }

    #[test]
    fn a_resized_table_asks_the_former_one() {
        let both = [(A, BackendState::Alive), (B, BackendState::Alive)];
        let before = follow(&Applied::default(), &target(&both, &[A, B]));
        let after = follow(&before, &target(&both, &[A, B, A]));
        assert_eq!(after.pools[&0].slots, [A, B, A].map(Slot::resized));
        assert_eq!(
            after.pools[&0].former.as_deref(),
            Some(&[Slot::stable(A), Slot::stable(B)][..])
        );
        assert!(after.named().contains(&A));
    }

    #[test]
    fn a_table_with_another_index_asks_the_former_one() {
        let both = [(A, BackendState::Alive), (B, BackendState::Alive)];
        let by_flow = target(&both, &[A, B]);
        let before = follow(&Applied::default(), &by_flow);
        let mut by_client = by_flow;
        by_client.pools = BTreeMap::from([(0, table(IndexedBy::Client, &[A, B]))]);
        let after = follow(&before, &by_client);
        assert_eq!(after.pools[&0].discipline.by, IndexedBy::Client);
        assert_eq!(after.pools[&0].slots, [A, B].map(Slot::resized));
        let former = [A, B].map(Slot::stable);
        assert_eq!(after.pools[&0].former.as_deref(), Some(&former[..]));
    }

    fn any_target() -> impl Strategy<Value = Target> {
        let state = prop_oneof![Just(BackendState::Alive), Just(BackendState::Down)];
        let states = prop::collection::vec((prop::sample::select(vec![A, B, C]), state), 0..4);
        let owners =
            prop::collection::vec(prop::sample::select(vec![A, B, C, BackendId::NOBODY]), 1..4);
        let by = prop::sample::select(IndexedBy::ALL.to_vec());
        (states, owners, by).prop_map(|(states, owners, by)| {
            let mut target = target(&states, &owners);
            target.pools.insert(0, table(by, &owners));
            target
        })
    }

    proptest! {
        /// Whatever came before and wherever it was interrupted: the plan leads to the target and ends there.
        #[test]
        fn leads_to_the_target_from_anywhere(targets in prop::collection::vec((any_target(), any::<prop::sample::Index>()), 1..6)) {
            let mut dataplane = FakeDataplane::default();
            for (target, cut) in &targets {
                let ops = plan(&dataplane.applied, target);
                for op in ops.iter().take(cut.index(ops.len() + 1)) {
                    dataplane.apply(op).unwrap();
                }
                for op in plan(&dataplane.applied, target) {
                    dataplane.apply(&op).unwrap();
                }
                prop_assert_eq!(&dataplane.applied.backends, &target.backends);
                prop_assert_eq!(&dataplane.applied.listeners, &target.listeners);
                for (pool, table) in &target.pools {
                    let current: Vec<_> = dataplane.applied.pools[pool].slots.iter().map(|slot| slot.current).collect();
                    prop_assert_eq!(&current, &table.owners);
                    prop_assert_eq!(dataplane.applied.pools[pool].discipline, table.discipline);
                }
                prop_assert_eq!(plan(&dataplane.applied, target), vec![]);
            }
        }
    }
}

use std::{collections::BTreeMap, time::Instant};

use lb_common::backend::BackendId;

use super::service::{Family, ServiceState};
use crate::{
    dataplane::{Pool, PoolId},
    reconcile::Table,
    scheduler,
};

/// Owners of slots, built again only when what they follow from has changed.
#[derive(Debug, Default)]
pub struct Tables {
    built: BTreeMap<PoolId, Built>,
}

#[derive(Debug)]
struct Built {
    size: u32,
    shares: Vec<(String, BackendId, u16, u16)>,
    owners: Vec<BackendId>,
}

impl Tables {
    pub fn table(
        &mut self,
        pool: PoolId,
        service: &ServiceState,
        family: Family,
        seed: u64,
        applied: Option<&Pool>,
        now: Instant,
    ) -> Table {
        // While flows of a former table may still show themselves it stays as it is.
        let resizing = applied.filter(|pool| pool.former.is_some());
        let (size, discipline) = match resizing {
            Some(pool) => (pool.slots.len() as u32, pool.discipline),
            None => (size(service, family), service.settings.discipline()),
        };
        let candidates = service.candidates(family, now);
        let shares: Vec<_> = candidates
            .iter()
            .map(|candidate| {
                (
                    candidate.identity.to_owned(),
                    candidate.id,
                    candidate.weight,
                    candidate.sixteenths,
                )
            })
            .collect();
        if let Some(built) = self.built.get(&pool)
            && built.size == size
            && built.shares == shares
        {
            let owners = built.owners.clone();
            return Table { discipline, owners };
        }
        let owners = scheduler::build(service.settings.scheduler, seed, size, &candidates);
        let built = Built {
            size,
            shares,
            owners: owners.clone(),
        };
        self.built.insert(pool, built);
        Table { discipline, owners }
    }

    pub fn keep_only<T>(&mut self, pools: &BTreeMap<PoolId, T>) {
        self.built.retain(|pool, _| pools.contains_key(pool));
    }
}

/// Slots of the table: what was asked for, or enough for every backend that is configured, healthy or not, so that
/// nodes with the same configuration agree.
fn size(service: &ServiceState, family: Family) -> u32 {
    if let Some(size) = service.settings.table_size {
        return size;
    }
    let weights: Vec<u16> = service
        .serving(family)
        .map(|member| member.settings.weight)
        .filter(|&weight| weight > 0)
        .collect();
    let total = weights.iter().copied().map(u32::from).sum();
    let smallest = weights.iter().copied().min().unwrap_or(1);
    scheduler::table_size(weights.len(), total, smallest)
}

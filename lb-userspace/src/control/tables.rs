use std::{collections::BTreeMap, time::Instant};

use lb_common::backend::BackendId;

use super::service::{Family, ServiceState};
use crate::{
    dataplane::{Pool, PoolId},
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
    pub fn owners(
        &mut self,
        pool: PoolId,
        service: &ServiceState,
        family: Family,
        seed: u64,
        applied: Option<&Pool>,
        now: Instant,
    ) -> Vec<BackendId> {
        let size = size(service, family, applied);
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
            return built.owners.clone();
        }
        let owners = scheduler::build(service.settings.scheduler, seed, size, &candidates);
        let built = Built {
            size,
            shares,
            owners: owners.clone(),
        };
        self.built.insert(pool, built);
        owners
    }

    pub fn keep_only<T>(&mut self, pools: &BTreeMap<PoolId, T>) {
        self.built.retain(|pool, _| pools.contains_key(pool));
    }
}

/// Slots of the table: what was asked for, or enough for every backend that is configured, healthy or not, so that
/// nodes with the same configuration agree. While flows of a former table may still show themselves it stays as it is.
fn size(service: &ServiceState, family: Family, applied: Option<&Pool>) -> u32 {
    if let Some(resizing) = applied.filter(|pool| pool.former.is_some()) {
        return resizing.slots.len() as u32;
    }
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

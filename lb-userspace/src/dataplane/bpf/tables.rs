//! Lookup tables: written beside the old one, switched by one store.

use std::collections::BTreeMap;

use aya::maps::MapData;
use lb_common::{
    backend::BackendId,
    hash::Hashes,
    layout,
    service::{self, Discipline, PoolEntry},
    slot::Slot,
};

use super::{
    mapped::{Mapped, wait_for_programs},
    regions::Regions,
};
use crate::dataplane::{DataplaneError, Pool, PoolId};

#[derive(Debug)]
pub struct Tables {
    pools: Mapped<u64>,
    former: Mapped<u64>,
    affinity: Mapped<u64>,
    slots: Mapped<u64>,
    regions: Regions,
}

impl Tables {
    /// Adopts what the maps hold.
    pub fn new(
        pools: &MapData,
        former: &MapData,
        affinity: &MapData,
        slots: &MapData,
    ) -> std::io::Result<Self> {
        let mut tables = Self {
            pools: Mapped::new(pools)?,
            former: Mapped::new(former)?,
            affinity: Mapped::new(affinity)?,
            slots: Mapped::new(slots)?,
            regions: Regions::new(0),
        };
        tables.regions = Regions::new(tables.slots.entries());
        for (pool, entry) in tables.in_use() {
            tables.regions.adopt(entry.base, entry.size);
            if let Some(former) = tables.former(pool) {
                tables.regions.adopt(former.base, former.size);
            }
        }
        Ok(tables)
    }

    fn in_use(&self) -> Vec<(PoolId, PoolEntry)> {
        (0..service::POOLS)
            .filter_map(|pool| {
                let entry = PoolEntry::from_word(self.pools.read(pool));
                (entry.size != 0).then_some((pool as PoolId, entry))
            })
            .collect()
    }

    fn former(&self, pool: PoolId) -> Option<PoolEntry> {
        let entry = PoolEntry::from_word(self.former.read(pool.into()));
        (entry.size != 0).then_some(entry)
    }

    /// The slot of a flow.
    pub fn slot(&self, pool: PoolId, hashes: Hashes) -> u32 {
        PoolEntry::from_word(self.pools.read(pool.into())).slot(hashes)
    }

    pub fn read(&self) -> BTreeMap<PoolId, Pool> {
        let slots = |entry: PoolEntry| {
            (entry.base..entry.base + entry.size)
                .map(|index| Slot::from_word(self.slots.read(index)))
                .collect()
        };
        self.in_use()
            .into_iter()
            .map(|(pool, entry)| {
                (
                    pool,
                    Pool {
                        discipline: Discipline {
                            by: entry.by,
                            tracks: entry.tracks,
                            affinity: self.affinity.read(pool.into()) as u32,
                        },
                        slots: slots(entry),
                        former: self.former(pool).map(slots),
                    },
                )
            })
            .collect()
    }

    pub fn write(
        &mut self,
        pool: PoolId,
        discipline: &Discipline,
        slots: &[Slot],
    ) -> Result<(), DataplaneError> {
        let size = slots.len() as u32;
        let base = self.take(size)?;
        for (index, slot) in (base..).zip(slots) {
            self.slots.write(index, slot.to_word());
        }
        let old = PoolEntry::from_word(self.pools.read(pool.into()));
        let names_former = slots.iter().any(|slot| slot.previous == BackendId::FORMER);
        let former = Discipline {
            by: old.by,
            tracks: old.tracks,
            affinity: 0,
        };
        let is_other = old.size != size || !former.agrees(discipline);
        let becomes_former = names_former && old.size != 0 && is_other;
        if becomes_former {
            self.forget_former(pool);
            self.former.write(pool.into(), old.to_word());
        }
        let entry = PoolEntry {
            base,
            size,
            by: discipline.by,
            tracks: discipline.tracks,
        };
        self.affinity.write(pool.into(), discipline.affinity.into());
        self.pools.write(pool.into(), entry.to_word());
        if !becomes_former && old.size != 0 {
            self.regions.give_back(old.base);
        }
        Ok(())
    }

    pub fn forget_former(&mut self, pool: PoolId) {
        if let Some(former) = self.former(pool) {
            self.former.write(pool.into(), 0);
            self.regions.give_back(former.base);
        }
    }

    fn take(&mut self, size: u32) -> Result<u32, DataplaneError> {
        if let Some(base) = self.regions.take(size) {
            return Ok(base);
        }
        wait_for_programs();
        self.regions.recycle();
        self.regions.take(size).ok_or(DataplaneError::Full {
            what: "slots of lookup tables",
            capacity: layout::SLOTS_CAPACITY as usize,
        })
    }

    /// Whether flows of any pool need the programs that choose.
    pub fn has_tracking(&self) -> bool {
        self.in_use().iter().any(|(_, entry)| entry.tracks)
    }

    pub fn step(&mut self, pool: PoolId, slots: &[(u32, Slot)]) -> Result<(), DataplaneError> {
        let entry = PoolEntry::from_word(self.pools.read(pool.into()));
        for &(index, slot) in slots {
            if index >= entry.size {
                return Err(DataplaneError::kernel(
                    format!("slot {index} of pool {pool}"),
                    anyhow::anyhow!("the pool has {} slots", entry.size),
                ));
            }
            self.slots.write(entry.base + index, slot.to_word());
        }
        Ok(())
    }

    pub fn remove(&mut self, pool: PoolId) {
        let old = PoolEntry::from_word(self.pools.read(pool.into()));
        self.pools.write(pool.into(), 0);
        self.forget_former(pool);
        if old.size != 0 {
            self.regions.give_back(old.base);
        }
    }
}

//! What backends have to do, as the programs count it, and what the scheduler may give them.

use std::{
    collections::BTreeMap,
    io,
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

use aya::maps::MapData;
use lb_common::{
    backend::BackendId,
    load::{Load, count},
};

use super::mapped::Mapped;

#[derive(Debug)]
pub struct Loads {
    entries: Mapped<Load>,
}

impl Loads {
    pub fn new(entries: &MapData) -> io::Result<Self> {
        Ok(Self {
            entries: Mapped::new(entries)?,
        })
    }

    /// Counts of a backend that had the place before go.
    pub fn put(&mut self, id: BackendId, weight: u32, limit: u32) {
        if self.entries.load(id.index()).id != id {
            let load = Load {
                id,
                weight,
                limit,
                ..Load::default()
            };
            self.entries.store(id.index(), load);
            return;
        }
        for (offset, value) in [
            (offset_of!(Load, weight), weight),
            (offset_of!(Load, limit), limit),
        ] {
            let word = self.entries.word32(id.index(), offset);
            word.store(value, Ordering::Release);
        }
    }

    /// (weight, limit).
    pub fn settings(&self, id: BackendId) -> (u32, u32) {
        let load = self.entries.load(id.index());
        if load.id == id {
            (load.weight, load.limit)
        } else {
            (0, 0)
        }
    }

    pub fn open(&self, ids: impl Iterator<Item = BackendId>) -> BTreeMap<BackendId, u32> {
        ids.map(|id| (id, count(self.word(id).load(Ordering::Acquire))))
            .collect()
    }

    pub fn failures(&self, ids: impl Iterator<Item = BackendId>) -> BTreeMap<BackendId, u64> {
        let failures = |id: BackendId| {
            let load = self.entries.load(id.index());
            load.refused.wrapping_add(load.unanswered)
        };
        ids.map(|id| (id, failures(id))).collect()
    }

    /// Sets the counts right by what a walk has found that began when they were as `before`: where it lies between then and
    /// now nothing is known better.
    pub fn correct(&self, before: &BTreeMap<BackendId, u32>, walked: &BTreeMap<BackendId, u64>) {
        for (&id, &before) in before {
            let word = self.word(id);
            let now = word.load(Ordering::Acquire);
            let walked = walked.get(&id).copied().unwrap_or_default();
            word.fetch_add(correction(before.into(), now, walked), Ordering::AcqRel);
        }
    }

    fn word(&self, id: BackendId) -> &AtomicU64 {
        self.entries.word64(id.index(), offset_of!(Load, open))
    }
}

/// What to add to a count, which wraps.
fn correction(before: u64, now: u64, walked: u64) -> u64 {
    let (before, now, walked) = (before as i64, now as i64, walked as i64);
    let nearest = walked.clamp(before.min(now), before.max(now));
    (walked - nearest) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_set_right_by_as_much_as_is_known() {
        for (before, now, walked, expected) in [
            (10, 10, 10, 0),
            (10, 10, 7, -3),
            (10, 10, 12, 2),
            // Somewhere between the two is as good as the other.
            (10, 20, 15, 0),
            (20, 10, 15, 0),
            (10, 20, 8, -2),
            (10, 20, 23, 3),
            (0, -2, 0, 0),
            (-5, -5, 1, 6),
        ] {
            let (before, now) = (before as u64, now as u64);
            let found = correction(before, now, walked);
            assert_eq!(found as i64, expected, "{before}, {now}, {walked}");
        }
    }
}

//! Walks the translations of `fullnat`: which are in use, and which are over. Both halves of one go together.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use aya::{Pod, maps::Map};
use lb_common::{
    address::{Address, V4, V6},
    backend::BackendId,
    flow::{Seen, Tuple},
    translation::{DAEMON, Life, Limits, Return, Side, Translation},
};

use super::{
    flows::{now, units},
    hash_table::HashTable,
};
use crate::{dataplane::Recorded, desired::Timeouts};

#[derive(Debug)]
pub struct Translations {
    v4: Family<V4>,
    v6: Family<V6>,
    limits: Limits,
}

#[derive(Debug)]
struct Family<A> {
    translations: HashTable<Tuple<A>, Translation<A>>,
    returns: HashTable<Tuple<A>, Return<A>>,
    locks: HashTable<Tuple<A>, u32>,
}

impl Translations {
    /// `v4`, `v6`: forward halves, reverse halves, locks.
    pub fn new(v4: [Map; 3], v6: [Map; 3], timeouts: &Timeouts) -> anyhow::Result<Self> {
        Ok(Self {
            v4: Family::new(v4)?,
            v6: Family::new(v6)?,
            limits: limits(timeouts),
        })
    }

    /// Takes away what is over, and adds what the others name.
    pub fn sweep(&mut self, recorded: &mut Recorded) -> anyhow::Result<()> {
        self.v4.sweep(self.limits, recorded)?;
        self.v6.sweep(self.limits, recorded)
    }

    /// Adds the connections that are open to each backend.
    pub fn count(&self, open: &mut BTreeMap<BackendId, u64>) -> anyhow::Result<()> {
        self.v4.count(self.limits, open)?;
        self.v6.count(self.limits, open)
    }
}

pub fn limits(timeouts: &Timeouts) -> Limits {
    Limits {
        half_open: units(timeouts.half_open),
        tcp: units(timeouts.tcp),
        udp: units(timeouts.udp),
    }
}

impl<A: Address> Family<A>
where
    Tuple<A>: Pod,
    Translation<A>: Pod,
    Return<A>: Pod,
{
    fn new(maps: [Map; 3]) -> anyhow::Result<Self> {
        let [translations, returns, locks] = maps;
        let mut family = Self {
            translations: HashTable::new(translations)?,
            returns: HashTable::new(returns)?,
            locks: HashTable::new(locks)?,
        };
        // A daemon that was killed may have held one.
        for (reply, holder) in family.locks.all().context("reading locks")? {
            if holder == DAEMON {
                family.locks.remove(&reply);
            }
        }
        Ok(family)
    }

    fn sweep(&mut self, limits: Limits, recorded: &mut Recorded) -> anyhow::Result<()> {
        // In this order: a reverse half is there before the other one and after it.
        let forward = self.translations.all().context("reading translations")?;
        let returns = self.returns.all().context("reading translations")?;
        let mut forward: HashMap<Tuple<A>, Translation<A>> = forward.into_iter().collect();
        let now = now();
        for (reply, record) in returns {
            let tuple = record.forward(reply.protocol);
            let other = forward
                .get(&tuple)
                .copied()
                .filter(|other| record.belongs_to(other, &reply));
            if other.is_some() {
                forward.remove(&tuple);
            }
            if is_over(&reply, &record, other.as_ref(), now, limits)
                && self.take_away(&reply, now, limits)
            {
                continue;
            }
            recorded.translations += 1;
            recorded.backends.insert(record.id);
        }
        // Halves without another, which only a program that was stopped halfway leaves.
        for (tuple, other) in forward {
            if Life::of(other.client, Side::default()).is_over(tuple.protocol, now, limits) {
                self.translations.remove(&tuple);
            } else {
                recorded.backends.insert(other.backend);
            }
        }
        Ok(())
    }

    fn count(&self, limits: Limits, open: &mut BTreeMap<BackendId, u64>) -> anyhow::Result<()> {
        let now = now();
        for (reply, record) in self.returns.all().context("reading translations")? {
            let other = self.other_half(&reply, &record);
            let life = life(&record, other.as_ref());
            if !life.is_closed() && !life.is_over(reply.protocol, now, limits) {
                *open.entry(record.id).or_default() += 1;
            }
        }
        Ok(())
    }

    /// The forward half of the reverse half `record`, which is keyed by `reply`.
    fn other_half(&self, reply: &Tuple<A>, record: &Return<A>) -> Option<Translation<A>> {
        let other = self.translations.get(&record.forward(reply.protocol));
        other.filter(|other| record.belongs_to(other, reply))
    }

    /// The way the programs do it: see `lb-ebpf/src/translations.rs`.
    fn take_away(&mut self, reply: &Tuple<A>, now: Seen, limits: Limits) -> bool {
        if !self.locks.insert_new(reply, &DAEMON) {
            return false;
        }
        let is_gone = self.take_away_locked(reply, now, limits).is_some();
        self.locks.remove(reply);
        is_gone
    }

    fn take_away_locked(&mut self, reply: &Tuple<A>, now: Seen, limits: Limits) -> Option<()> {
        let record = self.returns.get(reply)?;
        let other = self.other_half(reply, &record);
        if !is_over(reply, &record, other.as_ref(), now, limits) {
            return None;
        }
        if other.is_some() {
            self.translations.remove(&record.forward(reply.protocol));
        }
        self.returns.remove(reply);
        Some(())
    }
}

fn is_over<A: Address>(
    reply: &Tuple<A>,
    record: &Return<A>,
    other: Option<&Translation<A>>,
    now: Seen,
    limits: Limits,
) -> bool {
    life(record, other).is_over(reply.protocol, now, limits)
}

fn life<A: Address>(record: &Return<A>, other: Option<&Translation<A>>) -> Life {
    let client = other.map_or_else(Side::default, |other| other.client);
    Life::of(client, record.backend)
}

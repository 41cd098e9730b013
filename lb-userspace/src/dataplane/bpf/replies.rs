//! Counts the entries of the reverse table of `nat`: which backends have connections that are open.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aya::{Pod, maps::Map};
use lb_common::{
    address::{Address, V4, V6},
    backend::BackendId,
    flow::{ReverseRecord, Tuple, UDP},
    translation::Limits,
};

use super::{flows::now, hash_table::HashTable, translations::limits};
use crate::desired::Timeouts;

type Records<A> = HashTable<Tuple<A>, ReverseRecord<A>>;

/// The established entries.
#[derive(Debug)]
pub struct Replies {
    v4: Records<V4>,
    v6: Records<V6>,
    limits: Limits,
}

impl Replies {
    pub fn new(v4: Map, v6: Map, timeouts: &Timeouts) -> anyhow::Result<Self> {
        Ok(Self {
            v4: Records::new(v4)?,
            v6: Records::new(v6)?,
            limits: limits(timeouts),
        })
    }

    /// Adds what is open to each backend.
    pub fn count(&self, open: &mut BTreeMap<BackendId, u64>) -> anyhow::Result<()> {
        count(&self.v4, self.limits, open)?;
        count(&self.v6, self.limits, open)
    }
}

fn count<A: Address>(
    records: &Records<A>,
    limits: Limits,
    open: &mut BTreeMap<BackendId, u64>,
) -> anyhow::Result<()>
where
    Tuple<A>: Pod,
    ReverseRecord<A>: Pod,
{
    let now = now();
    for (reply, record) in records.all().context("reading the replies")? {
        let limit = match reply.protocol {
            UDP => limits.udp,
            _ => limits.tcp,
        };
        if !record.is_closed() && !record.seen.is_older(now, limit) {
            *open.entry(record.backend).or_default() += 1;
        }
    }
    Ok(())
}

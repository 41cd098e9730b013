//! Walks the recorded flows: which still matter, and which have been idle for too long.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aya::{Pod, maps::Map};
use lb_common::{
    address::{Address, V4, V6},
    backend::BackendId,
    flow::{FlowRecord, Seen, Tuple, UDP},
    hash::Hashes,
    translation::CLOSED,
};

use super::hash_table::HashTable;
use crate::{
    dataplane::{PoolId, Recorded},
    desired::Timeouts,
};

type Records<A> = HashTable<Tuple<A>, FlowRecord>;

/// A family's recorded flows.
#[derive(Debug)]
struct Family<A> {
    half: Records<A>,
    established: Records<A>,
}

#[derive(Debug)]
pub struct Flows {
    v4: Family<V4>,
    v6: Family<V6>,
    limits: Limits,
}

/// Idle times in the unit of [`Seen`].
#[derive(Clone, Copy, Debug)]
struct Limits {
    half_open: u32,
    tcp: u32,
    udp: u32,
}

impl Flows {
    /// `maps`: half-open and established, IPv4 then IPv6.
    pub fn new(maps: [Map; 4], timeouts: &Timeouts) -> anyhow::Result<Self> {
        let [half_v4, established_v4, half_v6, established_v6] = maps;
        Ok(Self {
            v4: Family {
                half: Records::new(half_v4)?,
                established: Records::new(established_v4)?,
            },
            v6: Family {
                half: Records::new(half_v6)?,
                established: Records::new(established_v6)?,
            },
            limits: Limits {
                // A live flow that only its client speaks in stays half-open; the transition is the time in
                // which every live flow shows itself.
                half_open: units(timeouts.half_open.max(timeouts.transition)),
                tcp: units(timeouts.tcp),
                udp: units(timeouts.udp),
            },
        })
    }

    /// Forgets idle flows and says what the others name.
    ///
    /// `seed` and `slot` (of a flow in a pool) say which slot a flow belongs to.
    pub fn sweep(
        &mut self,
        seed: u32,
        slot: impl Fn(PoolId, Hashes) -> u32,
    ) -> anyhow::Result<Recorded> {
        let mut survey = Survey {
            seed,
            slot: &slot,
            recorded: Recorded::default(),
        };
        self.v4.sweep(self.limits, &mut survey)?;
        self.v6.sweep(self.limits, &mut survey)?;
        Ok(survey.recorded)
    }
}

impl Flows {
    /// Adds what is open, of established flows, to each backend that is `wanted`.
    pub fn count(
        &self,
        open: &mut BTreeMap<BackendId, u64>,
        wanted: impl Fn(BackendId) -> bool,
    ) -> anyhow::Result<()> {
        count(&self.v4.established, self.limits, open, &wanted)?;
        count(&self.v6.established, self.limits, open, &wanted)
    }
}

fn count<A: Address>(
    records: &Records<A>,
    limits: Limits,
    open: &mut BTreeMap<BackendId, u64>,
    wanted: impl Fn(BackendId) -> bool,
) -> anyhow::Result<()>
where
    Tuple<A>: Pod,
{
    let now = now();
    for (tuple, record) in records.all().context("reading the recorded flows")? {
        let limit = limit(&tuple, &record, limits.tcp, limits.udp);
        let is_open = !record.is_closed() && !record.seen.is_older(now, limit);
        if is_open && wanted(record.backend) {
            *open.entry(record.backend).or_default() += 1;
        }
    }
    Ok(())
}

/// What a walk has found so far.
struct Survey<'a> {
    seed: u32,
    slot: &'a dyn Fn(PoolId, Hashes) -> u32,
    recorded: Recorded,
}

impl Survey<'_> {
    fn note<A: Address>(&mut self, tuple: &Tuple<A>, record: &FlowRecord) {
        let pool = record.pool;
        let hashes = Hashes::of(
            self.seed,
            tuple.source,
            tuple.source_port,
            tuple.destination_port,
        );
        self.recorded.flows += 1;
        self.recorded
            .slots
            .insert((pool, (self.slot)(pool, hashes)));
        self.recorded.backends.insert(record.backend);
    }
}

impl<A: Address> Family<A>
where
    Tuple<A>: Pod,
{
    fn sweep(&mut self, limits: Limits, survey: &mut Survey<'_>) -> anyhow::Result<()> {
        // Half-open first: a promotion inserts before it removes, so no flow is missed.
        sweep(&mut self.half, limits.half_open, limits.udp, survey)?;
        sweep(&mut self.established, limits.tcp, limits.udp, survey)
    }
}

fn sweep<A: Address>(
    records: &mut Records<A>,
    tcp: u32,
    udp: u32,
    survey: &mut Survey<'_>,
) -> anyhow::Result<()>
where
    Tuple<A>: Pod,
{
    let now = now();
    let is_idle = |tuple: &Tuple<A>, record: &FlowRecord| {
        record.seen.is_older(now, limit(tuple, record, tcp, udp))
    };
    for (tuple, record) in records.all().context("reading the recorded flows")? {
        // Looked up again before it is forgotten: it may have moved meanwhile.
        if is_idle(&tuple, &record)
            && records
                .get(&tuple)
                .is_some_and(|again| is_idle(&tuple, &again))
        {
            records.remove(&tuple);
            continue;
        }
        survey.note(&tuple, &record);
    }
    Ok(())
}

/// For how long a flow may be idle.
const fn limit<A>(tuple: &Tuple<A>, record: &FlowRecord, tcp: u32, udp: u32) -> u32 {
    if tuple.protocol == UDP {
        udp
    } else if record.is_closed() {
        CLOSED
    } else {
        tcp
    }
}

/// `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` reads it.
pub fn now() -> Seen {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes one timespec; the clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Seen::at(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// A configured time in the unit of [`Seen`].
pub fn units(duration: std::time::Duration) -> u32 {
    Seen::units(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

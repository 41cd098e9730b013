//! Reads the per-CPU counters.

use std::collections::BTreeMap;

use aya::maps::{Map, MapData, PerCpuArray, PerCpuValues};
use lb_common::{
    backend::BackendId,
    layout::TrafficEntry,
    verdict::{Event, Verdict},
};

use crate::dataplane::{Counters, Traffic};

pub struct CounterMaps {
    verdicts: PerCpuArray<MapData, u64>,
    events: PerCpuArray<MapData, u64>,
    traffic: PerCpuArray<MapData, TrafficEntry>,
}

impl CounterMaps {
    pub fn new(verdicts: Map, events: Map, traffic: Map) -> anyhow::Result<Self> {
        Ok(Self {
            verdicts: PerCpuArray::try_from(verdicts)?,
            events: PerCpuArray::try_from(events)?,
            traffic: PerCpuArray::try_from(traffic)?,
        })
    }

    pub fn read(&self, backends: impl Iterator<Item = BackendId>) -> anyhow::Result<Counters> {
        let verdicts = Verdict::ALL
            .iter()
            .map(|verdict| Ok((verdict.name(), total(&self.verdicts, verdict.index())?)))
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let events = Event::ALL
            .iter()
            .map(|event| Ok((event.name(), total(&self.events, event.index())?)))
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let backends = backends
            .map(|id| Ok((id, self.traffic(id)?)))
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        Ok(Counters {
            verdicts,
            events,
            backends,
            open: BTreeMap::new(),
            namespaces: 0,
        })
    }

    pub fn event(&self, event: Event) -> anyhow::Result<u64> {
        total(&self.events, event.index())
    }

    fn traffic(&self, id: BackendId) -> anyhow::Result<Traffic> {
        let mut sum = Traffic::default();
        for entry in self.traffic.get(&id.index(), 0)?.iter() {
            sum.packets += entry.packets;
            sum.bytes += entry.bytes;
        }
        Ok(sum)
    }

    /// A place that another backend counted on starts at zero.
    pub fn reset(&mut self, id: BackendId) -> anyhow::Result<()> {
        let zeros =
            vec![TrafficEntry::default(); aya::util::nr_cpus().map_err(|(_, error)| error)?];
        self.traffic
            .set(id.index(), PerCpuValues::try_from(zeros)?, 0)?;
        Ok(())
    }
}

fn total(map: &PerCpuArray<MapData, u64>, index: u32) -> anyhow::Result<u64> {
    Ok(map.get(&index, 0)?.iter().sum())
}

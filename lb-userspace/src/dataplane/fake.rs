//! A datapath in memory, which can be told to fail.

use std::collections::BTreeMap;

use lb_common::backend::BackendId;

use super::{Applied, Counters, Dataplane, DataplaneError, Op, Recorded, Shortages};

/// Holds what was applied; `recorded`, `shortages`, `open`, `failed` and `failures` are the test's to set.
#[derive(Debug, Default)]
pub struct FakeDataplane {
    pub applied: Applied,
    pub recorded: Recorded,
    pub shortages: Shortages,
    pub open: BTreeMap<BackendId, u64>,
    pub failed: BTreeMap<BackendId, u64>,
    /// Every operation that took effect, in order.
    pub log: Vec<Op>,
    /// How many of the next operations fail.
    pub failures: usize,
}

impl Dataplane for FakeDataplane {
    fn applied(&self) -> Result<Applied, DataplaneError> {
        Ok(self.applied.clone())
    }

    fn apply(&mut self, op: &Op) -> Result<(), DataplaneError> {
        if self.failures > 0 {
            self.failures -= 1;
            return Err(DataplaneError::kernel(
                "applying",
                anyhow::anyhow!("told to fail"),
            ));
        }
        self.applied.note(op);
        self.log.push(op.clone());
        Ok(())
    }

    fn recorded(&mut self) -> Result<Recorded, DataplaneError> {
        Ok(self.recorded.clone())
    }

    fn open_flows(&mut self) -> Result<BTreeMap<BackendId, u64>, DataplaneError> {
        Ok(self.open.clone())
    }

    fn counters(&self) -> Result<Counters, DataplaneError> {
        Ok(Counters::default())
    }

    fn heed_interfaces(&mut self) -> Result<(), DataplaneError> {
        Ok(())
    }

    fn follow_namespaces(&mut self) -> Result<(), DataplaneError> {
        Ok(())
    }

    fn failures(&self) -> Result<BTreeMap<BackendId, u64>, DataplaneError> {
        Ok(self.failed.clone())
    }

    fn shortages(&self) -> Result<Shortages, DataplaneError> {
        Ok(self.shortages)
    }

    fn forget_next_hops(&mut self) -> Result<(), DataplaneError> {
        Ok(())
    }
}

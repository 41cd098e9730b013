use std::time::{Duration, Instant};

use crate::{
    dataplane::{Applied, Dataplane, DataplaneError, Op, PoolId, Recorded},
    reconcile::{Progress, Target, plan},
};

/// The only one who writes to the datapath, and who knows what it holds.
#[derive(Debug)]
pub struct Writer<D> {
    dataplane: D,
    applied: Applied,
    progress: Progress,
}

impl<D: Dataplane> Writer<D> {
    pub fn new(dataplane: D, now: Instant) -> Result<Self, DataplaneError> {
        let applied = dataplane.applied()?;
        let mut progress = Progress::default();
        progress.observe(&applied, now);
        Ok(Self {
            dataplane,
            applied,
            progress,
        })
    }

    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    pub fn dataplane(&mut self) -> &mut D {
        &mut self.dataplane
    }

    pub const fn is_moving(&self) -> bool {
        self.progress.is_moving()
    }

    pub fn into_dataplane(self) -> D {
        self.dataplane
    }

    /// Applies the difference. After an error what was applied stands, and the next call goes on from there.
    pub fn reconcile(&mut self, target: &Target, now: Instant) -> Result<(), DataplaneError> {
        self.apply(&plan(&self.applied, target), now)
    }

    /// Moves slots on that have waited long enough.
    pub fn step(
        &mut self,
        recorded: &Recorded,
        now: Instant,
        transition: impl Fn(PoolId) -> Duration,
    ) -> Result<(), DataplaneError> {
        let ops = self
            .progress
            .steps(&self.applied, recorded, now, transition);
        self.apply(&ops, now)
    }

    fn apply(&mut self, ops: &[Op], now: Instant) -> Result<(), DataplaneError> {
        if ops.is_empty() {
            return Ok(());
        }
        let mut result = Ok(());
        for op in ops {
            result = self.dataplane.apply(op);
            if result.is_err() {
                break;
            }
            self.applied.note(op);
        }
        self.progress.observe(&self.applied, now);
        result
    }
}

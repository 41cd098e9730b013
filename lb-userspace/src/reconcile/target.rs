use std::collections::BTreeMap;

use lb_common::{
    backend::{BackendId, BackendState},
    service::Discipline,
};

use crate::dataplane::{BackendEntry, Listener, PoolId};

/// What the datapath should hold. How its slots get there, and what they remember of their former owners, is
/// [`plan`](super::plan)'s business.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Target {
    /// Those that take new flows, and those that still have old ones.
    pub backends: BTreeMap<BackendId, BackendEntry>,
    pub pools: BTreeMap<PoolId, Table>,
    pub listeners: BTreeMap<Listener, PoolId>,
}

/// A lookup table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    pub discipline: Discipline,
    /// The owner of each slot; [`BackendId::NOBODY`] where no backend takes new flows.
    pub owners: Vec<BackendId>,
}

impl Target {
    pub fn lives(&self, id: BackendId) -> bool {
        self.backends
            .get(&id)
            .is_some_and(|backend| backend.state == BackendState::Alive)
    }
}

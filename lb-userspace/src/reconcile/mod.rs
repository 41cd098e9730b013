//! What has to change in the datapath. Pure: `plan(&applied, &target) -> Vec<Op>`.
//!
//! | module | question it answers |
//! |---|---|
//! | [`target`] | what should the datapath hold? |
//! | [`plan`] | which operations, in which order, lead there? |
//! | [`progress`] | which slots have waited long enough to move on? |

mod plan;
mod progress;
mod target;

pub use self::{
    plan::plan,
    progress::Progress,
    target::{Table, Target},
};

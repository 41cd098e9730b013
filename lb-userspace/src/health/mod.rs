//! Whether a backend is healthy, and when to ask. No I/O and no clock: whoever owns a machine tells it what
//! happened and when.

mod machine;
pub mod passive;
pub mod schedule;

pub use self::machine::{Event, Health, Machine, Transition};

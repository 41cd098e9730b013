//! The inside of a test VM: what its init does, and how it talks to the host.
//!
//! | module | question it answers |
//! |---|---|
//! | [`protocol`] | what do host and guest say to each other? |
//! | [`boot`] | what is mounted and started before the first test? |
//! | [`runner`] | how is one test run, limited and cleaned up after? |

pub mod boot;
pub mod protocol;
pub mod runner;

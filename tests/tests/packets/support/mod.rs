//! What rows are made of and run on.
//!
//! | module | question it answers |
//! |---|---|
//! | [`plan`] | who has which address, and behind which interface? |
//! | [`packet`], [`icmp`], [`extension`] | what are a packet's bytes? |
//! | [`flow`] | what does the datapath derive from a flow? |
//! | [`row`] | what is sent, and what has to become of it? |
//! | [`listeners`] | who listens at the VIP? |
//! | [`world`], [`namespace`] | where do the programs run, and what do their maps hold? |
//! | [`outcome`] | what does a verdict mean for a packet? |
//! | [`pinned`] | what do the programs count and remember? |
//! | [`report`], [`oracle`] | how do two frames differ, and may they? |

pub mod extension;
pub mod flow;
pub mod icmp;
pub mod listeners;
pub mod namespace;
pub mod oracle;
pub mod outcome;
pub mod packet;
pub mod pinned;
pub mod plan;
pub mod report;
pub mod row;
pub mod world;

//! What rows are made of and run on.
//!
//! | module | question it answers |
//! |---|---|
//! | [`plan`] | who has which address, and behind which interface? |
//! | [`packet`], [`extension`] | what are a packet's bytes? |
//! | [`row`] | what is sent, and what has to become of it? |
//! | [`world`], [`namespace`] | where do the programs run, and what do their maps hold? |
//! | [`pinned`] | what do the programs count and remember? |
//! | [`report`], [`oracle`] | how do two frames differ, and may they? |

pub mod extension;
pub mod namespace;
pub mod oracle;
pub mod packet;
pub mod pinned;
pub mod plan;
pub mod report;
pub mod row;
pub mod world;

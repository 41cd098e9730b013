//! What the load balancer says itself, for a VIP: replies to pings, and errors that only it can know of.
//!
//! | module | question it answers |
//! |---|---|
//! | [`echo`] | how does a request become its reply? |
//! | [`error`] | what tells a client that its packet could not go on? |
//! | [`budget`] | how often may it speak? |

pub mod budget;
pub mod echo;
pub mod error;

/// Hops that an answer may take.
const TTL: u8 = 64;

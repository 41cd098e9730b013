//! Clients on the load balancer's own host: no packet of theirs comes in by an interface.
//!
//! | module | what it asks |
//! |---|---|
//! | [`host`] | which backend does a process on the host get? |
//! | [`sockets`] | what does a socket see of it? |
//! | [`hairpin`] | and a container behind a bridge of the host? |
//! | [`lifetime`] | when are they balanced, and when not? |
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod hairpin;
mod host;
mod lifetime;
mod sockets;
mod support;

//! The shunt daemon.
//!
//! ```text
//!  TOML ─► config ─► desired ─┐
//!  probe ─► health ───────────┼─► target ─► plan ─► ops ─► dataplane ─► BPF maps
//!  operator, over the socket ─┘                                  └► fake, in tests
//! ```
//!
//! | module | question it answers |
//! |---|---|
//! | [`config`] | what was written, is it right, and what does it mean? |
//! | [`import`] | what would a configuration of nginx or HAProxy be here? |
//! | [`desired`] | what a configuration means |
//! | [`address`] | which address, and which of its ports? |
//! | [`statuses`] | which HTTP statuses are good ones? |
//! | [`trust`] | whose certificates are believed? |
//! | [`health`] | is a backend healthy? (a state machine without I/O) |
//! | [`probe`] | did this one check pass? |
//! | [`operator`] | what was ordered of single backends, beside what the file says? |
//! | [`membership`] | which backends take new flows? |
//! | [`scheduler`] | which slot belongs to whom? |
//! | [`reconcile`] | what has to change in the datapath? |
//! | [`dataplane`] | where changes take effect |
//! | [`fragments`] | what becomes of fragments that came before their first one? |
//! | [`hooks`] | who is told of changes? |
//! | [`control`] | who owns the state and in what order do things happen? |
//! | [`api`] | what do others see of it, over the socket? |
//! | [`cli`] | what does a person type and read? |

pub mod address;
pub mod api;
mod bytes;
pub mod cli;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod desired;
pub mod fragments;
pub mod health;
pub mod hooks;
pub mod import;
pub mod membership;
pub mod operator;
pub mod probe;
pub mod reconcile;
pub mod scheduler;
pub mod statuses;
pub mod trust;

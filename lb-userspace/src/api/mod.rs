//! What others see of the daemon: HTTP over a Unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`], as JSON |
//!
//! `curl --unix-socket /run/shunt/shunt.sock http://shunt/v1/status` works as well as `shunt status --json`.

mod client;
mod server;
mod status;

pub use self::{
    client::{ClientError, status},
    server::{Server, ServerError},
    status::{
        BackendStatus, FlowStatus, InterfaceStatus, LocalClientsStatus, PoolStatus, ServiceStatus,
        Status,
    },
};

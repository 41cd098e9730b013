//! What others see of the daemon: HTTP over a Unix socket.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`], as JSON |
//! | `GET /v1/flows` | an [`OpenFlows`] for each backend, as JSON |
//! | `POST /v1/order` with an [`Ordered`], as JSON | nothing; 404: no such backend |
//!
//! `curl --unix-socket /run/shunt/shunt.sock http://shunt/v1/status` works as well as `shunt status --json`.

mod client;
mod order;
mod server;
mod status;

pub use self::{
    client::{ClientError, open_flows, order, status},
    order::{OpenFlows, Ordered},
    server::{Server, ServerError},
    status::{
        BackendStatus, FlowStatus, InterfaceStatus, LocalClientsStatus, PoolStatus, ServiceStatus,
        Status,
    },
};

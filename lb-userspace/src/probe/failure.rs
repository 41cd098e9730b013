//! Why a check failed, in words for whoever runs the backend.

use std::{io, time::Duration};

use crate::statuses::Statuses;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("connection refused")]
    Refused,
    #[error("no connection within {0:?}")]
    NoConnection(Duration),
    #[error("cannot connect: {0}")]
    Unreachable(io::Error),
    #[error("connected, but no answer within {0:?}")]
    NoAnswer(Duration),
    #[error("no reply within {0:?}")]
    NoReply(Duration),
    #[error("connection closed before an answer")]
    Closed,
    #[error("the answer is not {expected}: {reason}")]
    NotSpoken {
        expected: &'static str,
        reason: String,
    },
    #[error("TLS: {0}")]
    Tls(String),
    #[error("HTTP {found}, expected {expected}")]
    Status { found: u16, expected: Statuses },
    #[error("the answer does not contain {0:?}")]
    Body(String),
    #[error("gRPC: {0}")]
    Grpc(String),
    #[error("DNS {found}, expected {expected}")]
    Dns {
        found: String,
        expected: &'static str,
    },
    #[error("cannot ask for `{path}`: {reason}; expected a path such as `/health`")]
    Request { path: String, reason: String },
}

//! One check of one backend: did it pass, and if not, why?
//!
//! [`check`] is cancel-safe: dropped at any point it closes its connection and leaves nothing behind.

mod http;
pub mod task;
mod tcp;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::timeout as bound;

use crate::{desired::Check, statuses::Statuses};

/// A check that passed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Passed {
    /// From the first packet to the answer, connect included.
    pub latency: Duration,
    /// What was seen, in a few words: `connected`, `HTTP 200`.
    pub summary: String,
}

/// Why a check failed, in words for whoever runs the backend.
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
    #[error("connection closed before an answer")]
    Closed,
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
    #[error("HTTP {found}, expected {expected}")]
    Status { found: u16, expected: Statuses },
    #[error("the answer does not contain {0:?}")]
    Body(String),
    #[error("cannot ask for `{path}`: {reason}; expected a path such as `/health`")]
    Request { path: String, reason: String },
}

/// Checks the backend at `address`. All of it, connect included, takes at most `timeout`.
pub async fn check(
    check: &Check,
    address: SocketAddr,
    timeout: Duration,
) -> Result<Passed, Failure> {
    let start = Instant::now();
    let summary = match check {
        Check::None => "not checked".to_owned(),
        Check::Tcp => {
            let stream = connect(address, timeout).await?;
            tcp::close(stream).await;
            "connected".to_owned()
        }
        Check::Http(how) => {
            let request = http::request(how, address)?;
            let stream = connect(address, timeout).await?;
            let left = timeout.saturating_sub(start.elapsed());
            bound(left, http::ask(stream, request, how))
                .await
                .map_err(|_| Failure::NoAnswer(timeout))??
        }
    };
    Ok(Passed {
        latency: start.elapsed(),
        summary,
    })
}

async fn connect(address: SocketAddr, timeout: Duration) -> Result<tokio::net::TcpStream, Failure> {
    bound(timeout, tcp::connect(address))
        .await
        .map_err(|_| Failure::NoConnection(timeout))?
}

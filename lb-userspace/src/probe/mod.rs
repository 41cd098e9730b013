//! One check of one backend: did it pass, and if not, why?
//!
//! [`check`] is cancel-safe: dropped at any point it closes its connection and leaves nothing behind.

mod datagram;
mod dns;
mod failure;
mod grpc;
mod http;
pub mod task;
mod tcp;
mod tls;
mod udp;

#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{net::TcpStream, time::timeout as bound};

pub use self::failure::Failure;
use crate::desired::{Check, Protocol};

/// A check that passed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Passed {
    /// From the first packet to the answer, connect included.
    pub latency: Duration,
    /// What was seen, in a few words: `connected`, `HTTP 200`.
    pub summary: String,
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
            let ask = async |stream| {
                let stream = tls::secure(stream, how.tls.as_ref(), address, http::ALPN).await?;
                http::ask(stream, request, how).await
            };
            connected(address, timeout, ask).await?
        }
        Check::Grpc(how) => {
            let ask = async |stream| {
                let stream = tls::secure(stream, how.tls.as_ref(), address, grpc::ALPN).await?;
                grpc::ask(stream, how, address).await
            };
            connected(address, timeout, ask).await?
        }
        Check::Dns(how) if how.protocol == Protocol::Tcp => {
            connected(address, timeout, async |stream| {
                dns::ask_stream(stream, how).await
            })
            .await?
        }
        Check::Dns(how) => bound(timeout, dns::ask(how, address))
            .await
            .map_err(|_| Failure::NoReply(timeout))??,
        Check::Udp(how) => udp::ask(how, address, timeout).await?,
    };
    Ok(Passed {
        latency: start.elapsed(),
        summary,
    })
}

/// Asks over a connection, in what is then left of the time.
async fn connected(
    address: SocketAddr,
    timeout: Duration,
    ask: impl AsyncFnOnce(TcpStream) -> Result<String, Failure>,
) -> Result<String, Failure> {
    let start = Instant::now();
    let stream = connect(address, timeout).await?;
    let left = timeout.saturating_sub(start.elapsed());
    bound(left, ask(stream))
        .await
        .map_err(|_| Failure::NoAnswer(timeout))?
}

async fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream, Failure> {
    bound(timeout, tcp::connect(address))
        .await
        .map_err(|_| Failure::NoConnection(timeout))?
}

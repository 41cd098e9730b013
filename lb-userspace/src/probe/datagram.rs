//! The socket of a check over UDP.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::UdpSocket;

use super::Failure;

/// As large as any is.
const LARGEST: usize = 65_535;

/// Sends one and gives back what `judge` makes of the first reply that it wants. Only the peer's replies are seen, and that nobody
/// listens there. Waits for ever.
pub async fn ask<T>(
    address: SocketAddr,
    question: &[u8],
    mut judge: impl FnMut(&[u8]) -> Option<T>,
) -> Result<T, Failure> {
    let any = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await.map_err(failure)?;
    socket.connect(address).await.map_err(failure)?;
    socket.send(question).await.map_err(failure)?;
    let mut reply = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut reply).await.map_err(failure)?;
        if let Some(judged) = judge(&reply[..length]) {
            return Ok(judged);
        }
    }
}

fn failure(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        _ => Failure::Unreachable(error),
    }
}

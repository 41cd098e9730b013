//! Connections of checks.

use std::{io, net::SocketAddr};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::Failure;

pub async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => Failure::Refused,
            _ => Failure::Unreachable(error),
        })?;
    if is_connected_to_itself(&stream) {
        return Err(Failure::Refused);
    }
    Ok(stream)
}

/// Says goodbye with a FIN, so that a backend sees an ordinary client that had nothing to ask.
pub async fn close(mut stream: TcpStream) {
    // A backend that is quicker to close has answered the question all the same.
    let _ = stream.shutdown().await;
}

/// Whether the kernel picked, as source, the very port of this host that nobody listens on: TCP then connects to
/// itself (RFC 9293, simultaneous open).
fn is_connected_to_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn a_connection_to_itself_is_recognised() -> io::Result<()> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let own = socket.local_addr()?;
        assert!(is_connected_to_itself(&socket.connect(own).await?));

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        assert!(!is_connected_to_itself(&stream));
        Ok(())
    }
}

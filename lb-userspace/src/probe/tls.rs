//! The connection of a check, encrypted where that is wanted.

use std::{error::Error as _, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{self, pki_types::ServerName},
};

use super::Failure;
use crate::desired::Tls;

/// What is asked over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// `alpn`: the protocol that will be spoken inside.
pub async fn secure(
    stream: TcpStream,
    tls: Option<&Tls>,
    address: SocketAddr,
    alpn: &str,
) -> Result<Box<dyn Stream>, Failure> {
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let name = match &tls.name {
        Some(name) => ServerName::try_from(name.clone())
            .map_err(|error| Failure::Tls(format!("`{name}` is no server's name: {error}")))?,
        None => ServerName::from(address.ip()),
    };
    let connector = TlsConnector::from(tls.trust.client().clone());
    let connector = connector.with_alpn(vec![alpn.into()]);
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| failure(&error))?;
    Ok(Box::new(stream))
}

fn failure(error: &io::Error) -> Failure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => Failure::NotSpoken {
            expected: "TLS",
            reason: error.to_string(),
        },
        Some(inner) => Failure::Tls(inner.to_string()),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Closed,
        None => match error.source() {
            Some(source) => Failure::Tls(source.to_string()),
            None => Failure::Tls(error.to_string()),
        },
    }
}

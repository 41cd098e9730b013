//! `GET` and its status: HTTP/1.1, one request on a connection.

use std::{error::Error, io, net::SocketAddr, pin::pin};

use http_body_util::Empty;
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Failure;

const AGENT: &str = concat!("shunt/", env!("CARGO_PKG_VERSION"));
/// Bytes that a status and its headers may take.
const LARGEST_HEAD: usize = 64 * 1024;

/// The request of a check. `host` is the address where none is given.
pub fn request(
    path: &str,
    host: Option<&str>,
    address: SocketAddr,
) -> Result<Request<Empty<Bytes>>, Failure> {
    let failure = |reason: String| Failure::Request {
        path: path.to_owned(),
        reason,
    };
    if !path.starts_with('/') {
        return Err(failure("it does not begin with `/`".to_owned()));
    }
    Request::get(path)
        .header(
            HOST,
            host.map_or_else(|| address.to_string(), str::to_owned),
        )
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| failure(error.to_string()))
}

/// Asks, and reads the head of the answer. The body is left unread.
pub async fn status(
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
) -> Result<StatusCode, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LARGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let mut answer = pin!(sender.send_request(request));
    // The connection makes progress only while it is polled. When it ends first, the answer is there already.
    let response = tokio::select! {
        biased;
        response = &mut answer => response,
        _ = connection => answer.await,
    };
    response
        .map(|response| response.status())
        .map_err(|error| failure(&error))
}

/// What a status says about health.
pub fn judge(status: StatusCode) -> Result<String, Failure> {
    if status.is_success() || status.is_redirection() {
        return Ok(format!("HTTP {}", status.as_u16()));
    }
    Err(Failure::Status(status.as_u16()))
}

fn failure(error: &hyper::Error) -> Failure {
    // What ends the connection ends the request: that alone would say no more than "cancelled".
    let cause = error
        .source()
        .and_then(|source| source.downcast_ref::<hyper::Error>())
        .unwrap_or(error);
    let lost = cause.is_incomplete_message()
        || cause.is_canceled()
        || cause.is_closed()
        || cause.source().is_some_and(<dyn Error>::is::<io::Error>);
    if lost {
        Failure::Closed
    } else {
        Failure::NotHttp(cause.to_string())
    }
}

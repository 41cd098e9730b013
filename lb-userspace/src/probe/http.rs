//! `GET` and its answer: HTTP/1.1, one request on a connection.

use std::{error::Error, io, net::SocketAddr, pin::pin};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;

use super::{Failure, tls::Stream};
use crate::{bytes, desired::HttpCheck};

pub const ALPN: &str = "http/1.1";
const AGENT: &str = concat!("shunt/", env!("CARGO_PKG_VERSION"));
/// Bytes that a status and its headers may take.
const LARGEST_HEAD: usize = 64 * 1024;
/// Bytes of a body that are looked at.
const LARGEST_BODY: usize = 64 * 1024;

/// The request of a check.
pub fn request(how: &HttpCheck, address: SocketAddr) -> Result<Request<Empty<Bytes>>, Failure> {
    let path = &how.path;
    let failure = |reason: String| Failure::Request {
        path: path.clone(),
        reason,
    };
    if !path.starts_with('/') {
        return Err(failure("it does not begin with `/`".to_owned()));
    }
    let host = how.host.clone().unwrap_or_else(|| address.to_string());
    let mut request = Request::get(path).header(HOST, host);
    let names = how.headers.iter().map(|(name, _)| name);
    if !names
        .into_iter()
        .any(|name| name.eq_ignore_ascii_case(USER_AGENT.as_str()))
    {
        request = request.header(USER_AGENT, AGENT);
    }
    for (name, value) in &how.headers {
        request = request.header(name, value);
    }
    request
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| failure(error.to_string()))
}

/// Asks, and says what was answered. No more of the body is read than is needed to judge it.
pub async fn ask(
    stream: Box<dyn Stream>,
    request: Request<Empty<Bytes>>,
    how: &HttpCheck,
) -> Result<String, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LARGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let mut judged = pin!(async {
        let answer = sender.send_request(request).await;
        judge(answer.map_err(|error| failure(&error))?, how).await
    });
    // The connection makes progress only while it is polled. When it ends first, all that will come is there already.
    tokio::select! {
        biased;
        judged = &mut judged => judged,
        _ = connection => judged.await,
    }
}

/// What an answer says about health.
async fn judge(answer: Response<Incoming>, how: &HttpCheck) -> Result<String, Failure> {
    let status = answer.status().as_u16();
    if !how.statuses.contains(status) {
        return Err(Failure::Status {
            found: status,
            expected: how.statuses.clone(),
        });
    }
    if let Some(wanted) = &how.body
        && !contains(answer.into_body(), wanted.as_bytes()).await?
    {
        return Err(Failure::Body(wanted.clone()));
    }
    Ok(format!("HTTP {status}"))
}

/// Whether the first [`LARGEST_BODY`] bytes contain these.
async fn contains(mut body: Incoming, wanted: &[u8]) -> Result<bool, Failure> {
    let mut read = Vec::new();
    while read.len() < LARGEST_BODY {
        let Some(frame) = body.frame().await else {
            break;
        };
        let Ok(data) = frame.map_err(|error| failure(&error))?.into_data() else {
            continue;
        };
        let left = LARGEST_BODY - read.len();
        read.extend_from_slice(&data[..data.len().min(left)]);
        if bytes::contain(&read, wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn failure(error: &hyper::Error) -> Failure {
    if is_lost(error) {
        return Failure::Closed;
    }
    Failure::NotSpoken {
        expected: "HTTP",
        reason: cause(error).to_string(),
    }
}

/// Whether the connection has ended, rather than the protocol been broken.
pub fn is_lost(error: &hyper::Error) -> bool {
    let cause = cause(error);
    cause.is_incomplete_message()
        || cause.is_canceled()
        || cause.is_closed()
        || cause.source().is_some_and(<dyn Error>::is::<io::Error>)
}

/// What ends the connection ends the request: that alone would say no more than "cancelled".
pub fn cause(error: &hyper::Error) -> &hyper::Error {
    error
        .source()
        .and_then(|source| source.downcast_ref())
        .unwrap_or(error)
}

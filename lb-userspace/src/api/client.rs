use std::{
    io,
    path::{Path, PathBuf},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, StatusCode, Uri,
    body::Bytes,
    client::conn::http1,
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

use super::{OpenFlows, Ordered, Status};

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no shunt answers at {} (is it running, and is this its socket?)", .path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("the daemon did not answer as expected: {0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Told(String),
    #[error("the daemon answered {status}: {body}")]
    Refused { status: StatusCode, body: String },
    #[error("the daemon's answer is not of this version's form: {0}")]
    Form(#[from] serde_json::Error),
}

/// Asks the daemon at `socket` for its status.
pub async fn status(socket: &Path) -> Result<Status, ClientError> {
    let body = ask(socket, Method::GET, "/v1/status", Bytes::new()).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// How many connections are open to each backend.
pub async fn open_flows(socket: &Path) -> Result<Vec<OpenFlows>, ClientError> {
    let body = ask(socket, Method::GET, "/v1/flows", Bytes::new()).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Orders something of a backend.
pub async fn order(socket: &Path, ordered: &Ordered) -> Result<(), ClientError> {
    let body = serde_json::to_vec(ordered)?;
    ask(socket, Method::POST, "/v1/order", body.into()).await?;
    Ok(())
}

async fn ask(
    socket: &Path,
    method: Method,
    path: &'static str,
    body: Bytes,
) -> Result<Bytes, ClientError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| ClientError::Connect {
            path: socket.to_path_buf(),
            source,
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection.
    tokio::spawn(connection);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_static(path);
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("shunt"));
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    Err(match serde_json::from_slice(&body) {
        Ok(Failure { error }) => ClientError::Told(error),
        Err(_) => ClientError::Refused {
            status,
            body: String::from_utf8_lossy(&body).trim().to_owned(),
        },
    })
}

/// How the daemon says why not.
#[derive(Deserialize)]
struct Failure {
    error: String,
}

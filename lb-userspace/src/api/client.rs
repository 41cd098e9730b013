use std::{
    io,
    path::{Path, PathBuf},
};

use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::Status;

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no shunt answers at {} (is it running, and is this its socket?)", .path.display())]
    Connect { path: PathBuf, source: io::Error },
    #[error("the daemon did not answer as expected: {0}")]
    Http(#[from] hyper::Error),
    #[error("the daemon answered {status}: {body}")]
    Refused { status: StatusCode, body: String },
    #[error("the daemon's answer is not of this version's form: {0}")]
    Form(#[from] serde_json::Error),
}

/// Asks the daemon at `socket` for its status.
pub async fn status(socket: &Path) -> Result<Status, ClientError> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| ClientError::Connect {
            path: socket.to_path_buf(),
            source,
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection.
    tokio::spawn(connection);
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/v1/status");
    request
        .headers_mut()
        .insert(HOST, hyper::header::HeaderValue::from_static("shunt"));
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        return Err(ClientError::Refused {
            status,
            body: String::from_utf8_lossy(&body).trim().to_owned(),
        });
    }
    Ok(serde_json::from_slice(&body)?)
}

//! A notice in a `POST`: HTTP/1.1, one request on a connection.

use http_body_util::Full;
use hyper::{
    Request, Uri,
    body::Bytes,
    client::conn::http1,
    header::{CONNECTION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::HookError;

/// `url`: of the scheme http, with a host.
pub async fn post(url: &Uri, json: &str) -> Result<(), HookError> {
    let authority = url.authority().map(ToString::to_string).unwrap_or_default();
    let host = url.host().unwrap_or_default();
    // Brackets belong to the URL, not to an IPv6 address.
    let host = host.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, url.port_u16().unwrap_or(80))).await;
    let stream = stream.map_err(|source| HookError::Connect {
        authority: authority.clone(),
        source,
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Full::new(Bytes::from(json.to_owned())));
    *request.method_mut() = hyper::Method::POST;
    let path = url.path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    let headers = request.headers_mut();
    if let Ok(authority) = authority.parse() {
        headers.insert(HOST, authority);
    }
    headers.insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    headers.insert(CONNECTION, hyper::header::HeaderValue::from_static("close"));
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    };
    let status = answer?.status();
    if status.is_success() {
        return Ok(());
    }
    Err(HookError::Status(status.as_u16()))
}

use std::{
    convert::Infallible,
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixStream as BlockingStream},
    path::{Path, PathBuf},
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{net::UnixListener, task::JoinHandle};

use super::Ordered;
use crate::{
    control::{ControlError, Handle},
    desired::HEAVIEST,
    operator::Change,
};

/// Owner and group may talk to the daemon.
const MODE: u32 = 0o660;
/// Bytes of an order.
const LARGEST: usize = 4096;

/// Answers requests until it is dropped, which removes the socket.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    task: JoinHandle<()>,
}

/// Why the socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("another shunt answers at {}; stop it first, or give this one a socket and a pin_dir of its own", .path.display())]
    InUse { path: PathBuf },
    #[error("the control socket {}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Server {
    /// Starts to answer at `path`. A socket that nobody serves any more is replaced.
    pub fn start(path: &Path, control: Handle) -> Result<Self, ServerError> {
        if BlockingStream::connect(path).is_ok() {
            return Err(ServerError::InUse {
                path: path.to_path_buf(),
            });
        }
        let listener = bind(path).map_err(|source| ServerError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            task: tokio::spawn(serve(listener, control)),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Gone already is just as well.
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}

async fn serve(listener: UnixListener, control: Handle) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the control socket does not accept");
                // Out of file descriptors, most likely: some will come free.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let control = control.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &control));
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
            {
                tracing::debug!(%error, "a control connection broke");
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    control: &Handle,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/v1/status") => match control.status().await {
            Ok(status) => json_response(StatusCode::OK, &json!(status)),
            Err(error) => failure(&error),
        },
        (&Method::GET, "/v1/flows") => match control.open_flows().await {
            Ok(flows) => json_response(StatusCode::OK, &json!(flows)),
            Err(error) => failure(&error),
        },
        (&Method::POST, "/v1/order") => match read(request).await {
            Ok(Ordered { target, change }) => match control.order(target, change).await {
                Ok(()) => json_response(StatusCode::OK, &json!({})),
                Err(error) => failure(&error),
            },
            Err(error) => json_response(StatusCode::BAD_REQUEST, &json!({"error": error})),
        },
        (method, path) => json_response(
            StatusCode::NOT_FOUND,
            &json!({"error": format!("found {method} {path}, expected GET /v1/status, GET /v1/flows or POST /v1/order")}),
        ),
    })
}

/// An order, or what is wrong with it.
async fn read(request: Request<Incoming>) -> Result<Ordered, String> {
    let body = Limited::new(request.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| format!("reading the order: {error}"))?;
    let ordered: Ordered = serde_json::from_slice(&body.to_bytes())
        .map_err(|error| format!("the order is not understood: {error}"))?;
    match ordered.change {
        Change::Weight(Some(weight)) if weight > HEAVIEST => Err(format!(
            "found weight {weight}, expected a whole number from 0 to {HEAVIEST}"
        )),
        _ => Ok(ordered),
    }
}

fn failure(error: &ControlError) -> Response<Full<Bytes>> {
    let status = match error {
        ControlError::Unknown(_) => StatusCode::NOT_FOUND,
        ControlError::Stopping | ControlError::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    json_response(status, &json!({"error": error.to_string()}))
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{body}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("application/json"),
    );
    response
}

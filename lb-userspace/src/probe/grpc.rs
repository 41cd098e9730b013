//! `grpc.health.v1.Health/Check`: is a server, or one of its services, serving?

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use hyper::{Request, Response, Uri, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::{Code, Status, body::Body, codegen::Service};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    Failure,
    http::{cause, is_lost},
    tls::Stream,
};
use crate::desired::GrpcCheck;

pub const ALPN: &str = "h2";
/// An answer has two bytes, and maybe fields to come.
const LARGEST_ANSWER: usize = 4096;

pub async fn ask(
    stream: Box<dyn Stream>,
    how: &GrpcCheck,
    address: SocketAddr,
) -> Result<String, Failure> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| not_grpc(&error))?;
    let origin = origin(how, address)?;
    let mut client = HealthClient::with_origin(Connection(sender), origin)
        .max_decoding_message_size(LARGEST_ANSWER);
    let request = HealthCheckRequest {
        service: how.service.clone(),
    };
    let mut asked = pin!(client.check(request));
    // The connection makes progress only while it is polled. When it ends first, all that will come is there already.
    let answer = tokio::select! {
        biased;
        answer = &mut asked => answer,
        _ = connection => asked.await,
    };
    match answer
        .map_err(|status| failure(&status, how))?
        .get_ref()
        .status()
    {
        ServingStatus::Serving => Ok("gRPC SERVING".to_owned()),
        other => Err(Failure::Grpc(format!(
            "{}, expected SERVING",
            other.as_str_name()
        ))),
    }
}

fn origin(how: &GrpcCheck, address: SocketAddr) -> Result<Uri, Failure> {
    let (scheme, name) = match &how.tls {
        None => ("http", None),
        Some(tls) => ("https", tls.name.as_deref()),
    };
    let authority = match name {
        Some(name) => format!("{name}:{}", address.port()),
        None => address.to_string(),
    };
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query("/")
        .build()
        .map_err(|error| Failure::Grpc(error.to_string()))
}

fn failure(status: &Status, how: &GrpcCheck) -> Failure {
    let cause = std::error::Error::source(status).and_then(|source| source.downcast_ref());
    if let Some(error) = cause {
        return not_grpc(error);
    }
    match status.code() {
        Code::NotFound => Failure::Grpc(format!("the server knows no service {:?}", how.service)),
        Code::Unimplemented => Failure::Grpc("the server has no grpc.health.v1.Health".to_owned()),
        code => Failure::Grpc(format!("{code:?}: {}", status.message())),
    }
}

fn not_grpc(error: &hyper::Error) -> Failure {
    if is_lost(error) {
        return Failure::Closed;
    }
    Failure::NotSpoken {
        expected: "gRPC",
        reason: cause(error).to_string(),
    }
}

/// A connection as tonic wants to have it.
struct Connection(http2::SendRequest<Body>);

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

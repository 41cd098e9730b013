//! What a gRPC server says of its health.

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::desired::GrpcCheck;

/// Checks a server that answers with this message and `grpc-status`. Gives back what it was asked, too: the path and
/// the message.
async fn ask(
    service: &str,
    message: &'static [u8],
    status: &'static str,
) -> (String, (String, Vec<u8>)) {
    let (listener, address) = listen(LOCALHOST).await;
    let (heard, mut hear) = tokio::sync::mpsc::unbounded_channel();
    let serve = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = service_fn(move |request: Request<Incoming>| {
            let heard = heard.clone();
            async move {
                let path = request.uri().path().to_owned();
                let asked = request.into_body().collect().await.unwrap().to_bytes();
                heard.send((path, asked.to_vec())).unwrap();
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", status.parse().unwrap());
                let body = Full::new(Bytes::from_static(message));
                let body = body.with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
                let response = Response::builder().header("content-type", "application/grpc");
                response.body(body)
            }
        });
        let _ = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), answer)
            .await;
    });
    let how = Check::Grpc(GrpcCheck {
        service: service.to_owned(),
        tls: None,
    });
    let outcome = match check(&how, address, PATIENT).await {
        Ok(passed) => format!("passed: {}", passed.summary),
        Err(failure) => format!("failed: {failure}"),
    };
    serve.await.unwrap();
    (outcome, hear.try_recv().unwrap())
}

/// A message, uncompressed, with `status` in field 1 (grpc.health.v1.HealthCheckResponse).
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 2];

#[tokio::test]
async fn only_serving_passes() {
    let rows: [(&[u8], &str, &str); 6] = [
        (SERVING, "0", "passed: gRPC SERVING"),
        (
            NOT_SERVING,
            "0",
            "failed: gRPC: NOT_SERVING, expected SERVING",
        ),
        (
            &[0, 0, 0, 0, 0],
            "0",
            "failed: gRPC: UNKNOWN, expected SERVING",
        ),
        (
            b"",
            "5",
            "failed: gRPC: the server knows no service \"app.Orders\"",
        ),
        (
            b"",
            "12",
            "failed: gRPC: the server has no grpc.health.v1.Health",
        ),
        (b"", "14", "failed: gRPC: Unavailable: "),
    ];
    for (message, status, expected) in rows {
        let (outcome, (path, asked)) = ask("app.Orders", message, status).await;
        assert_eq!(outcome, expected);
        assert_eq!(path, "/grpc.health.v1.Health/Check");
        assert_eq!(asked, b"\0\0\0\0\x0c\x0a\x0aapp.Orders");
    }
}

#[tokio::test]
async fn the_whole_server_has_no_name() {
    let (outcome, (_, asked)) = ask("", SERVING, "0").await;
    assert_eq!(outcome, "passed: gRPC SERVING");
    assert_eq!(asked, b"\0\0\0\0\0");
}

#[tokio::test]
async fn a_server_of_another_protocol_fails() {
    for (answer, stays, failure) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            true,
            "the answer is not gRPC: ",
        ),
        ("", false, "connection closed before an answer"),
    ] {
        let (listener, address) = listen(LOCALHOST).await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut preface = [0; 4096];
            let _ = stream.read(&mut preface).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            stays.then_some(stream)
        };
        let how = Check::Grpc(GrpcCheck::default());
        let (_stream, result) = tokio::join!(serve, check(&how, address, PATIENT));
        let found = result.expect_err("a failure").to_string();
        assert!(found.starts_with(failure), "{found}");
    }
}

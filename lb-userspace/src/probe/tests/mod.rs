//! Checks of real listeners.

mod answers;
mod connections;
mod datagrams;
mod grpc;
mod tasks;
mod tls;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::check;
use crate::desired::{Check, HttpCheck};

const LOCALHOST: &str = "127.0.0.1:0";
/// Long enough for anything that answers.
const PATIENT: Duration = Duration::from_secs(10);
/// For what never answers.
const SHORT: Duration = Duration::from_millis(200);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(2);

async fn listen(on: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(on).await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    (listener, address)
}

/// Reads a request up to its empty line.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.expect("a whole request"));
    }
    String::from_utf8(request).expect("a request in ASCII")
}

fn http(path: &str) -> Check {
    Check::Http(HttpCheck {
        path: path.to_owned(),
        ..HttpCheck::default()
    })
}

async fn failure_within(how: Check, address: SocketAddr, bound: Duration) -> String {
    let start = Instant::now();
    let failure = check(&how, address, bound).await.expect_err("a failure");
    assert!(
        start.elapsed() < bound + SLACK,
        "took {:?}",
        start.elapsed()
    );
    failure.to_string()
}

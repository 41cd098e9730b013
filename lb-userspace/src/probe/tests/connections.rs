//! What a connection goes through.

use std::{future::pending, io};

use tokio::{
    io::AsyncWriteExt as _,
    net::TcpSocket,
    time::{sleep, timeout},
};

use super::*;

#[tokio::test]
async fn a_tcp_check_connects_and_closes_in_order() {
    let (listener, address) = listen(LOCALHOST).await;
    let passed = check(&Check::Tcp, address, PATIENT).await;
    let passed = passed.expect("a pass");
    assert_eq!(passed.summary, "connected");
    assert!(passed.latency > Duration::ZERO && passed.latency < PATIENT);

    let (mut stream, _) = listener.accept().await.expect("a connection");
    // The end of the stream, not a reset.
    let read = timeout(PATIENT, stream.read(&mut [0; 16])).await;
    assert_eq!(read.expect("an end").expect("no reset"), 0);
}

#[tokio::test]
async fn no_check_passes_without_a_connection() {
    let (listener, address) = listen(LOCALHOST).await;
    let passed = check(&Check::None, address, PATIENT).await;
    assert_eq!(passed.expect("a pass").summary, "not checked");
    assert!(timeout(SHORT, listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_closed_port_refuses() {
    let (listener, address) = listen(LOCALHOST).await;
    drop(listener);
    for check in [Check::Tcp, http("/")] {
        let failure = failure_within(check, address, PATIENT).await;
        assert_eq!(failure, "connection refused");
    }
}

#[tokio::test]
async fn an_address_without_a_route_is_named_unreachable() {
    // The kernel refuses to connect to a broadcast address.
    let address = ([255, 255, 255, 255], 80).into();
    let failure = failure_within(Check::Tcp, address, PATIENT).await;
    assert!(failure.starts_with("cannot connect: "), "{failure}");
}

/// A listener whose queue is full drops SYNs, as a host does that is gone.
#[tokio::test]
async fn a_host_that_does_not_answer_a_syn_runs_into_the_timeout() -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect(address)).await {
        queued.push(stream?);
        assert!(queued.len() < 100, "the queue does not fill up");
    }
    for check in [Check::Tcp, http("/")] {
        let failure = failure_within(check, address, SHORT).await;
        assert_eq!(failure, "no connection within 200ms");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent_runs_into_the_timeout() {
    let (_listener, address) = listen(LOCALHOST).await;
    let failure = failure_within(http("/"), address, SHORT).await;
    assert_eq!(failure, "connected, but no answer within 200ms");
}

/// Each byte comes soon enough, all of them do not.
#[tokio::test]
async fn slow_headers_run_into_the_timeout() {
    let (listener, address) = listen(LOCALHOST).await;
    let drip = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        for byte in "HTTP/1.1 200 OK\r\nX: "
            .bytes()
            .chain(std::iter::repeat(b'x'))
        {
            sleep(SHORT / 10).await;
            if stream.write_u8(byte).await.is_err() {
                break;
            }
        }
        pending::<()>().await;
    };
    let failure = tokio::select! {
        () = drip => unreachable!("it drips for ever"),
        failure = failure_within(http("/"), address, SHORT) => failure,
    };
    assert_eq!(failure, "connected, but no answer within 200ms");
}

#[tokio::test]
async fn a_connection_closed_early_is_named() {
    for (answer, reset) in [("", false), ("", true), ("HTTP/1.1 200 OK\r\nX: ", false)] {
        let (listener, address) = listen(LOCALHOST).await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            read_request(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.expect("a reader");
            if reset {
                stream.set_zero_linger().expect("a socket");
            }
        };
        let ((), failure) = tokio::join!(serve, failure_within(http("/"), address, PATIENT));
        assert_eq!(
            failure, "connection closed before an answer",
            "{answer:?}, {reset}"
        );
    }
}

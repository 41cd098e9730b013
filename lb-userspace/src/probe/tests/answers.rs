//! What an HTTP server says.

use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::probe::{Failure, Passed, http as protocol};

/// Checks a server that answers with `answer` and keeps the connection open: passes only if nothing more is waited for.
/// Gives back the request as well.
async fn ask(on: &str, how: Check, answer: &str) -> (String, Result<Passed, Failure>) {
    let (listener, address) = listen(on).await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let request = read_request(&mut stream).await;
        // A check that has seen enough does not wait for the rest.
        let _ = stream.write_all(answer.as_bytes()).await;
        (request, stream)
    };
    let ((request, _open), result) = tokio::join!(serve, check(&how, address, PATIENT));
    (request, result)
}

async fn answer_of(answer: &str) -> String {
    match ask(LOCALHOST, http("/health"), answer).await.1 {
        Ok(passed) => format!("passed: {}", passed.summary),
        Err(failure) => format!("failed: {failure}"),
    }
}

#[tokio::test]
async fn the_status_decides() {
    let rows = [
        ("200 OK", "passed: HTTP 200"),
        ("204 No Content", "passed: HTTP 204"),
        ("301 Moved Permanently", "passed: HTTP 301"),
        ("304 Not Modified", "passed: HTTP 304"),
        ("404 Not Found", "failed: HTTP 404, expected 2xx or 3xx"),
        (
            "503 Service Unavailable",
            "failed: HTTP 503, expected 2xx or 3xx",
        ),
        ("999 What", "failed: HTTP 999, expected 2xx or 3xx"),
    ];
    for (status, expected) in rows {
        // A body is announced and never comes.
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 1000000\r\n\r\n");
        assert_eq!(answer_of(&answer).await, expected);
    }
}

#[tokio::test]
async fn answers_of_old_and_terse_servers_pass() {
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        assert_eq!(answer_of(answer).await, "passed: HTTP 200", "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_fails() {
    let huge = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for answer in [
        "garbage\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "\0\u{1}\u{2}",
        &huge,
    ] {
        let found = answer_of(answer).await;
        assert!(
            found.starts_with("failed: the answer is not HTTP: "),
            "{:?}: {found}",
            answer.get(..20).unwrap_or(answer),
        );
    }
}

#[tokio::test]
async fn the_request_is_complete_and_names_us() {
    const OK: &str = "HTTP/1.1 200 OK\r\n\r\n";
    let named = Check::Http(HttpCheck {
        path: "/health?deep=1".to_owned(),
        host: Some("www.example.org".to_owned()),
        ..HttpCheck::default()
    });
    let (request, _) = ask(LOCALHOST, named, OK).await;
    let expected = format!(
        "GET /health?deep=1 HTTP/1.1\r\nhost: www.example.org\r\nuser-agent: shunt/{}\r\nconnection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!(request, expected);

    let (request, _) = ask(LOCALHOST, http("/"), OK).await;
    assert!(request.contains("\r\nhost: 127.0.0.1:"), "{request}");
}

#[tokio::test]
async fn headers_are_sent() {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let how = Check::Http(HttpCheck {
        path: "/".to_owned(),
        headers: vec![header("X-Check", "yes"), header("User-Agent", "probe")],
        ..HttpCheck::default()
    });
    let (request, _) = ask(LOCALHOST, how, "HTTP/1.1 200 OK\r\n\r\n").await;
    assert!(request.contains("\r\nx-check: yes\r\n"), "{request}");
    assert!(request.contains("\r\nuser-agent: probe\r\n"), "{request}");
    assert!(!request.contains("shunt"), "{request}");
}

#[tokio::test]
async fn other_statuses_can_be_good_ones() {
    let how = Check::Http(HttpCheck {
        path: "/".to_owned(),
        statuses: "401,500-599".parse().expect("statuses"),
        ..HttpCheck::default()
    });
    for (status, expected) in [
        (401, None),
        (503, None),
        (200, Some("HTTP 200, expected 401,500-599")),
    ] {
        let answer = format!("HTTP/1.1 {status} X\r\n\r\n");
        let (_, result) = ask(LOCALHOST, how.clone(), &answer).await;
        let failure = result.err().map(|failure| failure.to_string());
        assert_eq!(failure.as_deref(), expected);
    }
}

#[tokio::test]
async fn a_body_has_to_contain_what_is_asked_for() {
    let how = Check::Http(HttpCheck {
        path: "/".to_owned(),
        body: Some("ready: yes".to_owned()),
        ..HttpCheck::default()
    });
    let filled = |bytes: usize, end: &str| format!("{}{end}", "x".repeat(bytes));
    let missing = Some("the answer does not contain \"ready: yes\"");
    for (body, announced, expected) in [
        ("ready: yes".to_owned(), 0, None),
        // Found before the end, which never comes.
        ("well, ready: yes, and".to_owned(), 1000, None),
        (filled(60_000, "ready: yes"), 0, None),
        ("ready: no".to_owned(), 0, missing),
        (String::new(), 0, missing),
        (filled(70_000, "ready: yes"), 0, missing),
    ] {
        let length = body.len() + announced;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        let (_, result) = ask(LOCALHOST, how.clone(), &answer).await;
        let failure = result.err().map(|failure| failure.to_string());
        assert_eq!(failure.as_deref(), expected, "{length} bytes");
    }
    // In pieces, one of which ends in what is looked for.
    let pieces = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nready:\r\n4\r\n yes\r\n0\r\n\r\n";
    let (_, result) = ask(LOCALHOST, how, pieces).await;
    assert!(result.is_ok(), "{result:?}");
}

#[tokio::test]
async fn requests_that_cannot_be_made_say_why() {
    let (_listener, address) = listen(LOCALHOST).await;
    for path in ["", "health", "/a b", "/\n"] {
        let failure = failure_within(http(path), address, PATIENT).await;
        assert!(
            failure.starts_with(&format!("cannot ask for `{path}`: ")),
            "{failure}"
        );
    }
    let host = Check::Http(HttpCheck {
        path: "/".to_owned(),
        host: Some("a\r\nb".to_owned()),
        ..HttpCheck::default()
    });
    let failure = failure_within(host, address, PATIENT).await;
    assert!(failure.starts_with("cannot ask for `/`: "), "{failure}");
}

/// Asks over a connection on which `server` has acted already.
async fn ask_after(server: impl AsyncFnOnce(TcpStream) -> Option<TcpStream>) -> Failure {
    let (listener, address) = listen(LOCALHOST).await;
    let client = TcpStream::connect(address).await.expect("a connection");
    let (accepted, _) = listener.accept().await.expect("a connection");
    let _open = server(accepted).await;
    client.readable().await.expect("something to read");

    let how = HttpCheck {
        path: "/".to_owned(),
        ..HttpCheck::default()
    };
    let request = protocol::request(&how, address).expect("a request");
    protocol::ask(Box::new(client), request, &how)
        .await
        .expect_err("a failure")
}

#[tokio::test]
async fn a_server_that_speaks_first_is_not_http() {
    let greeting = async |mut stream: TcpStream| {
        let written = stream.write_all(b"220 mail ESMTP\r\n").await;
        written.expect("a reader");
        Some(stream)
    };
    let failure = ask_after(greeting).await;
    assert_eq!(
        failure.to_string(),
        "the answer is not HTTP: received unexpected message from connection"
    );
}

#[tokio::test]
async fn a_server_that_closes_first_has_closed() {
    let close = async |stream: TcpStream| {
        drop(stream);
        None
    };
    let reset = async |stream: TcpStream| {
        stream.set_zero_linger().expect("a socket");
        None
    };
    let expected = "connection closed before an answer";
    assert_eq!(ask_after(close).await.to_string(), expected);
    assert_eq!(ask_after(reset).await.to_string(), expected);
}

#[tokio::test]
async fn ipv6_backends_are_checked_alike() {
    let (request, result) = ask("[::1]:0", http("/"), "HTTP/1.1 200 OK\r\n\r\n").await;
    assert!(request.contains("\r\nhost: [::1]:"), "{request}");
    assert_eq!(result.expect("a pass").summary, "HTTP 200");

    let (_listener, address) = listen("[::1]:0").await;
    let passed = check(&Check::Tcp, address, PATIENT).await;
    assert_eq!(passed.expect("a pass").summary, "connected");
}

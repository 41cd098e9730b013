//! Servers of UDP, and of DNS over either.

use domain::base::{Message, MessageBuilder, Name, Rtype, iana::Rcode};
use tokio::{io::AsyncWriteExt as _, net::UdpSocket};

use super::*;
use crate::desired::{DnsCheck, Protocol, UdpCheck};

async fn outcome(how: &Check, address: SocketAddr, timeout: Duration) -> String {
    match check(how, address, timeout).await {
        Ok(passed) => format!("passed: {}", passed.summary),
        Err(failure) => format!("failed: {failure}"),
    }
}

/// Checks a server that answers each datagram with what these make of it, one after the other.
async fn ask(on: &str, how: Check, timeout: Duration, replies: &[Reply<'_>]) -> String {
    let socket = UdpSocket::bind(on).await.unwrap();
    let address = socket.local_addr().unwrap();
    let serve = async {
        let mut question = [0; 2048];
        let (length, from) = socket.recv_from(&mut question).await.unwrap();
        for reply in replies {
            let reply = reply(&question[..length]);
            socket.send_to(&reply, from).await.unwrap();
        }
    };
    let ((), outcome) = tokio::join!(serve, outcome(&how, address, timeout));
    outcome
}

type Reply<'a> = &'a (dyn Fn(&[u8]) -> Vec<u8> + Sync);

fn udp(send: &str, expect: Option<&str>) -> Check {
    Check::Udp(UdpCheck {
        send: send.into(),
        expect: expect.map(Into::into),
    })
}

#[tokio::test]
async fn a_reply_has_to_contain_what_is_expected() {
    for on in [LOCALHOST, "[::1]:0"] {
        let echo: Reply = &|question| [b"you said ", question].concat();
        let reply = ask(on, udp("ping", Some("said ping")), PATIENT, &[echo]).await;
        assert_eq!(reply, "passed: replied");
        let reply = ask(on, udp("ping", Some("pong")), PATIENT, &[echo]).await;
        assert_eq!(reply, "failed: the answer does not contain \"pong\"");
        let reply = ask(on, udp("ping", Some("")), PATIENT, &[echo]).await;
        assert_eq!(reply, "passed: replied");
        // Not waited for any longer than it takes.
        let reply = ask(on, udp("", None), PATIENT, &[&|_| Vec::new()]).await;
        assert_eq!(reply, "passed: replied");
    }
}

#[tokio::test]
async fn silence_passes_where_nothing_is_expected() {
    let silent = ask(LOCALHOST, udp("x", None), SHORT, &[]).await;
    assert_eq!(silent, "passed: not refused");
    let silent = ask(LOCALHOST, udp("x", Some("")), SHORT, &[]).await;
    assert_eq!(silent, "failed: no reply within 200ms");
}

#[tokio::test]
async fn a_port_where_nobody_listens_fails_at_once() {
    for on in [LOCALHOST, "[::1]:0"] {
        let socket = UdpSocket::bind(on).await.unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        for how in [udp("x", None), dns(Protocol::Udp, false)] {
            let failure = failure_within(how, address, PATIENT).await;
            assert_eq!(failure, "connection refused");
        }
    }
}

fn dns(protocol: Protocol, must_resolve: bool) -> Check {
    Check::Dns(DnsCheck {
        protocol,
        name: Name::vec_from_str("app.example").unwrap(),
        record: Rtype::A,
        must_resolve,
    })
}

/// An answer of so many records.
fn answer(question: &[u8], rcode: Rcode, records: u8) -> Vec<u8> {
    let question = Message::from_octets(question).unwrap();
    let mut answer = MessageBuilder::new_vec()
        .start_answer(&question, rcode)
        .unwrap();
    let name = Name::vec_from_str("app.example").unwrap();
    for last in 0..records {
        let address = domain::rdata::A::from_octets(192, 0, 2, last);
        answer.push((&name, 60, address)).unwrap();
    }
    answer.finish()
}

#[tokio::test]
async fn the_code_of_an_answer_decides() {
    let rows = [
        (
            Rcode::NOERROR,
            1,
            "passed: DNS NOERROR",
            "passed: DNS NOERROR",
        ),
        (
            Rcode::NOERROR,
            0,
            "passed: DNS NOERROR",
            "failed: DNS NOERROR without a record, expected a record",
        ),
        (
            Rcode::NXDOMAIN,
            0,
            "passed: DNS NXDOMAIN",
            "failed: DNS NXDOMAIN, expected NOERROR",
        ),
        (
            Rcode::REFUSED,
            0,
            "passed: DNS REFUSED",
            "failed: DNS REFUSED, expected NOERROR",
        ),
        (
            Rcode::SERVFAIL,
            0,
            "failed: DNS SERVFAIL, expected another code",
            "failed: DNS SERVFAIL, expected NOERROR",
        ),
    ];
    for (rcode, records, lenient, strict) in rows {
        for (must_resolve, expected) in [(false, lenient), (true, strict)] {
            let say: Reply = &|question| answer(question, rcode, records);
            let how = dns(Protocol::Udp, must_resolve);
            let by_udp = ask(LOCALHOST, how, PATIENT, &[say]).await;
            assert_eq!(by_udp, expected);
            let how = dns(Protocol::Tcp, must_resolve);
            assert_eq!(by_tcp(how, say).await, expected);
        }
    }
}

/// Checks a server that answers over TCP with what `reply` makes of the query.
async fn by_tcp(how: Check, reply: Reply<'_>) -> String {
    let (listener, address) = listen(LOCALHOST).await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut question = vec![0; length.into()];
        stream.read_exact(&mut question).await.unwrap();
        let answer = reply(&question);
        stream.write_u16(answer.len() as u16).await.unwrap();
        stream.write_all(&answer).await.unwrap();
        stream
    };
    let (_open, outcome) = tokio::join!(serve, outcome(&how, address, PATIENT));
    outcome
}

#[tokio::test]
async fn answers_to_other_questions_are_none() {
    let good: Reply = &|question| answer(question, Rcode::NOERROR, 1);
    let garbage: Reply = &|_| b"garbage".to_vec();
    let other: Reply = &|question| {
        let mut other = answer(question, Rcode::SERVFAIL, 0);
        other[0] ^= 1;
        other
    };
    let echo: Reply = &<[u8]>::to_vec;
    let replies = [garbage, other, echo, good];
    let how = dns(Protocol::Udp, false);
    let found = ask(LOCALHOST, how.clone(), PATIENT, &replies).await;
    assert_eq!(found, "passed: DNS NOERROR");
    let found = ask(LOCALHOST, how, SHORT, &replies[..3]).await;
    assert_eq!(found, "failed: no reply within 200ms");
    for wrong in &replies[..3] {
        let found = by_tcp(dns(Protocol::Tcp, false), *wrong).await;
        assert!(
            found.starts_with("failed: the answer is not DNS: "),
            "{found}"
        );
    }
}

#[tokio::test]
async fn a_refusal_may_leave_the_question_out() {
    let bare: Reply = &|question| {
        let mut answer = answer(question, Rcode::REFUSED, 0);
        answer.truncate(12);
        answer[4..6].fill(0);
        answer
    };
    let found = ask(LOCALHOST, dns(Protocol::Udp, false), PATIENT, &[bare]).await;
    assert_eq!(found, "passed: DNS REFUSED");
}

//! A query and its answer, over UDP or TCP.

use std::{io, net::SocketAddr};

use domain::base::{Message, MessageBuilder, StreamTarget, iana::Rcode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Failure, datagram};
use crate::desired::DnsCheck;

/// Asks over UDP. Waits for ever.
pub async fn ask(how: &DnsCheck, address: SocketAddr) -> Result<String, Failure> {
    let query = query(how)?;
    let query = Message::from_octets(query.as_dgram_slice()).map_err(|error| unsaid(&error))?;
    let judged = |reply: &[u8]| {
        let answer = Message::from_octets(reply).ok()?;
        is_answer(&answer, &query).then(|| judge(&answer, how))
    };
    datagram::ask(address, query.as_slice(), judged).await?
}

/// Asks over a TCP connection. Waits for ever.
pub async fn ask_stream(mut stream: TcpStream, how: &DnsCheck) -> Result<String, Failure> {
    let query = query(how)?;
    let lost = |_: io::Error| Failure::Closed;
    stream
        .write_all(query.as_stream_slice())
        .await
        .map_err(lost)?;
    let query = Message::from_octets(query.as_dgram_slice()).map_err(|error| unsaid(&error))?;
    let length = stream.read_u16().await.map_err(lost)?;
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.map_err(lost)?;
    match Message::from_octets(&answer[..]) {
        Ok(answer) if is_answer(&answer, &query) => judge(&answer, how),
        _ => Err(Failure::NotSpoken {
            expected: "DNS",
            reason: format!("{length} bytes that answer another question, or none"),
        }),
    }
}

fn query(how: &DnsCheck) -> Result<StreamTarget<Vec<u8>>, Failure> {
    let mut message = MessageBuilder::new_stream_vec();
    message.header_mut().set_id(fastrand::u16(..));
    message.header_mut().set_rd(true);
    let mut question = message.question();
    question
        .push((&how.name, how.record))
        .map_err(|error| unsaid(&error))?;
    Ok(question.finish())
}

/// Who refuses or does not understand may leave the question out.
fn is_answer(answer: &Message<&[u8]>, query: &Message<&[u8]>) -> bool {
    let is_bare = answer.header_counts().qdcount() == 0;
    let is_ours = answer.header().qr() && answer.header().id() == query.header().id();
    answer.is_answer(query) || (is_bare && is_ours)
}

fn judge(answer: &Message<&[u8]>, how: &DnsCheck) -> Result<String, Failure> {
    let (header, records) = (answer.header(), answer.header_counts().ancount());
    let rcode = header.rcode();
    // What does not fit into a datagram is there all the same.
    let has_record = records > 0 || header.tc();
    let passes = if how.must_resolve {
        rcode == Rcode::NOERROR && has_record
    } else {
        rcode != Rcode::SERVFAIL
    };
    if passes {
        return Ok(format!("DNS {rcode}"));
    }
    Err(if rcode == Rcode::NOERROR {
        Failure::Dns {
            found: "NOERROR without a record".to_owned(),
            expected: "a record",
        }
    } else {
        Failure::Dns {
            found: rcode.to_string(),
            expected: if how.must_resolve {
                "NOERROR"
            } else {
                "another code"
            },
        }
    })
}

/// A query that cannot be put into bytes.
fn unsaid(error: &dyn std::error::Error) -> Failure {
    Failure::NotSpoken {
        expected: "DNS",
        reason: format!("the query: {error}"),
    }
}

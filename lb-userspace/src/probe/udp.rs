//! A datagram, and a reply or at least no refusal.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout as bound;

use super::{Failure, datagram};
use crate::{bytes, desired::UdpCheck};

pub async fn ask(
    how: &UdpCheck,
    address: SocketAddr,
    timeout: Duration,
) -> Result<String, Failure> {
    let judge = |reply: &[u8]| {
        Some(match &how.expect {
            Some(wanted) if !bytes::contain(reply, wanted) => {
                Err(Failure::Body(String::from_utf8_lossy(wanted).into_owned()))
            }
            _ => Ok("replied".to_owned()),
        })
    };
    match bound(timeout, datagram::ask(address, &how.send, judge)).await {
        Ok(judged) => judged?,
        Err(_) if how.expect.is_none() => Ok("not refused".to_owned()),
        Err(_) => Err(Failure::NoReply(timeout)),
    }
}

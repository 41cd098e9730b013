//! Asking the kernel over netlink, and the words it refuses with.

use std::{fmt::Debug, io};

use netlink_packet_core::{
    ErrorMessage, NLM_F_ACK, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, NetlinkSerializable, NlasIterator,
};
use netlink_sys::{Socket, SocketAddr};

/// Bytes of the request's header, which an error repeats.
const HEADER: usize = 16;
/// `NLMSGERR_ATTR_MSG` of linux/netlink.h.
const WORDS: u16 = 1;

/// Sends one request and returns every answer to it. What cannot be read among them is left out.
///
/// # Errors
/// The kernel refuses, in its own words where it has some.
pub fn ask<T>(protocol: isize, request: T, flags: u16) -> io::Result<Vec<T>>
where
    T: Debug + NetlinkDeserializable + NetlinkSerializable,
{
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);

    let socket = Socket::new(protocol)?;
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&bytes, 0)?;
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        if take(&datagram, &mut answers)? {
            return Ok(answers);
        }
    }
}

/// Whether one of the messages in a datagram is the last one.
fn take<T: NetlinkDeserializable>(mut datagram: &[u8], answers: &mut Vec<T>) -> io::Result<bool> {
    while let Some(&[a, b, c, d]) = datagram.first_chunk() {
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        match NetlinkMessage::deserialize(datagram).map(|message| message.payload) {
            Ok(NetlinkPayload::InnerMessage(answer)) => answers.push(answer),
            Ok(NetlinkPayload::Done(_)) => return Ok(true),
            Ok(NetlinkPayload::Error(error)) if error.code.is_some() => {
                return Err(refusal(&error));
            }
            Ok(NetlinkPayload::Error(_)) => return Ok(true),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a netlink message was not understood"),
        }
        let next = length.next_multiple_of(4);
        if next < HEADER {
            break;
        }
        datagram = datagram.get(next..).unwrap_or_default();
    }
    Ok(false)
}

fn refusal(error: &ErrorMessage) -> io::Error {
    let cause = error.to_io();
    let attributes = error.header.get(HEADER..).unwrap_or_default();
    let words = NlasIterator::new(attributes)
        .flatten()
        .find(|attribute| attribute.kind() == WORDS)
        .map(|attribute| {
            let text = String::from_utf8_lossy(attribute.value()).into_owned();
            text.trim_end_matches('\0').to_owned()
        });
    match words {
        Some(words) => io::Error::new(cause.kind(), words),
        None => cause,
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::{RouteNetlinkMessage, link::LinkMessage};
    use netlink_sys::protocols::NETLINK_ROUTE;

    use super::*;

    #[test]
    fn an_answer_or_a_refusal() {
        let mut loopback = LinkMessage::default();
        loopback.header.index = 1;
        let answers = ask(NETLINK_ROUTE, RouteNetlinkMessage::GetLink(loopback), 0).unwrap();
        assert_eq!(answers.len(), 1);
        let mut nobody = LinkMessage::default();
        nobody.header.index = u32::MAX >> 1;
        let error = ask(NETLINK_ROUTE, RouteNetlinkMessage::GetLink(nobody), 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV), "{error}");
    }
}

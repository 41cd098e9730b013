//! Datagrams cut by the test itself, to be sent in any order.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
};

use anyhow::Context as _;
use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header, UdpHeader};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};

/// The fragments of a datagram, from the IP header on.
pub fn pieces(from: SocketAddr, to: SocketAddr, id: u32, payload: &[u8]) -> Vec<Vec<u8>> {
    let length = (UdpHeader::LEN + payload.len()) as u16;
    let mut udp = UdpHeader {
        source_port: from.port(),
        destination_port: to.port(),
        length,
        checksum: 0,
    };
    let (from, to) = (from.ip(), to.ip());
    udp.checksum = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            udp.calc_checksum_ipv4_raw(from.octets(), to.octets(), payload)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            udp.calc_checksum_ipv6_raw(from.octets(), to.octets(), payload)
        }
        _ => panic!("{from} and {to} are of two families"),
    }
    .unwrap();
    let whole = [udp.to_bytes().as_slice(), payload].concat();
    // A multiple of 8 that fits with either header.
    let chunks: Vec<&[u8]> = whole.chunks(1440).collect();
    chunks
        .iter()
        .enumerate()
        .map(|(n, chunk)| {
            let offset = IpFragOffset::try_new((n * 1440 / 8) as u16).unwrap();
            let header = header(from, to, id, offset, n + 1 < chunks.len(), chunk.len());
            [header.as_slice(), chunk].concat()
        })
        .collect()
}

fn header(
    from: IpAddr,
    to: IpAddr,
    id: u32,
    offset: IpFragOffset,
    more: bool,
    length: usize,
) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip =
                Ipv4Header::new(length as u16, 64, IpNumber::UDP, from.octets(), to.octets())
                    .unwrap();
            ip.identification = id as u16;
            ip.dont_fragment = false;
            ip.more_fragments = more;
            ip.fragment_offset = offset;
            ip.header_checksum = ip.calc_header_checksum();
            ip.to_bytes().to_vec()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let fragment = Ipv6FragmentHeader::new(IpNumber::UDP, offset, more, id).to_bytes();
            let ip = Ipv6Header {
                payload_length: (fragment.len() + length) as u16,
                next_header: IpNumber::IPV6_FRAGMENTATION_HEADER,
                hop_limit: 64,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            [ip.to_bytes().as_slice(), &fragment].concat()
        }
        _ => panic!("{from} and {to} are of two families"),
    }
}

/// Sends packets as they are.
pub fn send(to: SocketAddr, packets: &[Vec<u8>]) -> anyhow::Result<()> {
    let family = match to {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let raw = socket(
        family,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Raw,
    )?;
    for packet in packets {
        sendto(
            raw.as_raw_fd(),
            packet,
            &SockaddrStorage::from(to),
            MsgFlags::empty(),
        )
        .context("sending a fragment")?;
    }
    Ok(())
}

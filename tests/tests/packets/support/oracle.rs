//! A second opinion on a packet that was rewritten: was it whole, and did nothing change but what had to?

use anyhow::{Context as _, ensure};
use etherparse::{
    IpNumber, Ipv4HeaderSlice, Ipv6ExtensionSlice, Ipv6HeaderSlice, NetSlice, SlicedPacket,
    TransportSlice,
};

use super::{
    packet::{ETHERNET, FRAGMENT, VLAN},
    report,
};
use crate::headers::{AUTHENTICATION, DESTINATION_OPTIONS, HOP_BY_HOP, NO_NEXT_HEADER, ROUTING};

/// Offsets of what is rewritten and of what checksums cover.
struct Parts {
    network: usize,
    transport: usize,
    /// The end of the IP packet.
    end: usize,
    is_v4: bool,
    carries: Carries,
    /// Whether the transport layer's header is in another fragment.
    is_later: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Carries {
    Tcp,
    Udp,
    /// An ICMP error, and where the packet that it quotes has its headers.
    Quote {
        network: usize,
        transport: usize,
        is_tcp: bool,
    },
}

/// Checks that `output` is a rewritten `input`: `input` is whole, nothing but an end's address and port, TTL, MACs, one VLAN
/// tag and checksums differs, and every checksum is as right or wrong as before.
pub fn check(input: &[u8], output: &[u8]) -> anyhow::Result<()> {
    let input = &retagged(input, output)?;
    if output.len() > input.len() {
        return unwrap(input, output)
            .and_then(|unwrapped| compare(input, &unwrapped))
            .with_context(|| report::difference(input, output));
    }
    compare(input, output).with_context(|| report::difference(input, output))
}

/// `input` with the tags of `output`.
fn retagged(input: &[u8], output: &[u8]) -> anyhow::Result<Vec<u8>> {
    let [from, to] = [input, output].map(|frame| {
        let tags = frame[12..].chunks_exact(4).take(2);
        12 + 4 * tags
            .take_while(|tag| matches!(tag[..2], [0x81, 0x00] | [0x88, 0xa8]))
            .count()
    });
    ensure!(from.abs_diff(to) <= 4, "more than one tag came or went");
    Ok([&input[..12], &output[12..to], &input[from..]].concat())
}

/// What is inside of a tunnel's packet, behind the link header of the input.
fn unwrap(input: &[u8], output: &[u8]) -> anyhow::Result<Vec<u8>> {
    let overhead = output.len() - input.len();
    ensure!(
        [20, 28, 40, 48].contains(&overhead),
        "{overhead} bytes are no outer header"
    );
    let parts = parse(input).context("etherparse would not have it")?;
    let link = parts.network;
    let outer = SlicedPacket::from_ethernet(output)?;
    let length = match outer.net.context("no outer IP header")? {
        NetSlice::Ipv4(ip) => ip.payload().payload.len() + 20,
        NetSlice::Ipv6(ip) => ip.payload().payload.len() + 40,
        NetSlice::Arp(_) => anyhow::bail!("ARP"),
    };
    ensure!(
        length == overhead + parts.end - link,
        "the outer header says {length} bytes"
    );
    Ok([
        &output[..link - 2],
        &input[link - 2..link],
        &output[link + overhead..],
    ]
    .concat())
}

fn compare(input: &[u8], output: &[u8]) -> anyhow::Result<()> {
    ensure!(input.len() == output.len(), "the length changed");
    let parts = parse(input).context("etherparse would not have it")?;
    for (offset, (before, after)) in input.iter().zip(output).enumerate() {
        ensure!(
            before == after || parts.may_change(offset),
            "byte {offset} changed"
        );
    }
    if parts.is_v4 {
        let header = parts.network..parts.transport;
        ensure!(
            sum(&input[header.clone()]) == sum(&output[header]),
            "the IP header's checksum does not follow"
        );
    }
    if parts.is_later {
        return Ok(());
    }
    let checksum = parts.checksum();
    let has_checksum = parts.carries != Carries::Udp || input[checksum.clone()] != [0, 0];
    if !has_checksum {
        ensure!(output[checksum] == [0, 0], "a checksum out of nothing");
        return Ok(());
    }
    ensure!(
        parts.covered(input) == parts.covered(output),
        "the transport layer's checksum does not follow"
    );
    if let Carries::Quote {
        network, transport, ..
    } = parts.carries
        && parts.is_v4
    {
        let header = network..transport;
        ensure!(
            sum(&input[header.clone()]) == sum(&output[header]),
            "the quoted IP header's checksum does not follow"
        );
    }
    Ok(())
}

/// Checks that `output` is an ICMP message whose checksums are right.
pub fn check_answer(output: &[u8]) -> anyhow::Result<()> {
    let sliced = SlicedPacket::from_ethernet(output)?;
    let (pseudo, payload) = match sliced.net.context("no IP header")? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            ensure!(
                header.header_checksum == header.calc_header_checksum(),
                "the IP header's checksum is wrong"
            );
            (0, ip.payload().payload)
        }
        NetSlice::Ipv6(ip) => {
            let (header, payload) = (ip.header().slice(), ip.payload().payload);
            (sum(&header[8..40]) + payload.len() as u32 + 58, payload)
        }
        NetSlice::Arp(_) => anyhow::bail!("ARP"),
    };
    ensure!(
        (pseudo + sum(payload)).is_multiple_of(0xffff),
        "the message's checksum is wrong"
    );
    Ok(())
}

impl Parts {
    fn addresses(&self) -> std::ops::Range<usize> {
        addresses(self.is_v4, self.network)
    }

    fn may_change(&self, offset: usize) -> bool {
        let hops = self.network + if self.is_v4 { 8 } else { 7 };
        let header_checksum = self.network + 10..self.network + 12;
        offset < 12
            || offset == hops
            || self.is_v4 && header_checksum.contains(&offset)
            || self.addresses().contains(&offset)
            || !self.is_later
                && (self.checksum().contains(&offset) || self.may_change_behind(offset))
    }

    /// Where the transport layer's checksum is.
    fn checksum(&self) -> std::ops::Range<usize> {
        let start = self.transport
            + match self.carries {
                Carries::Tcp => 16,
                Carries::Udp => 6,
                Carries::Quote { .. } => 2,
            };
        start..start + 2
    }

    /// Ports, or those and more of a quoted packet.
    fn may_change_behind(&self, offset: usize) -> bool {
        let Carries::Quote {
            network,
            transport,
            is_tcp,
        } = self.carries
        else {
            return (self.transport..self.transport + 4).contains(&offset);
        };
        let checksum = transport + if is_tcp { 16 } else { 6 };
        addresses(self.is_v4, network).contains(&offset)
            || self.is_v4 && (network + 10..network + 12).contains(&offset)
            || (transport..transport + 4).contains(&offset)
            || (checksum..checksum + 2).contains(&offset)
    }

    /// The sum over what the transport layer's checksum covers and a rewrite may change, as far as it is in here.
    fn covered(&self, packet: &[u8]) -> u32 {
        let has_pseudo_header = !(self.is_v4 && matches!(self.carries, Carries::Quote { .. }));
        let pseudo = if has_pseudo_header {
            sum(&packet[self.addresses()])
        } else {
            0
        };
        (pseudo + sum(&packet[self.transport..self.end])) % 0xffff
    }
}

fn addresses(is_v4: bool, network: usize) -> std::ops::Range<usize> {
    if is_v4 {
        network + 12..network + 20
    } else {
        network + 8..network + 40
    }
}

/// The one's complement sum of 16-bit words, as a residue.
fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum::<u32>()
        % 0xffff
}

fn parse(packet: &[u8]) -> anyhow::Result<Parts> {
    let packet = &without_false_header(packet);
    let offset = |slice: &[u8]| slice.as_ptr() as usize - packet.as_ptr() as usize;
    let sliced = SlicedPacket::from_ethernet(packet)?;
    let net = sliced.net.context("no IP header")?;
    let (header, payload) = match &net {
        NetSlice::Ipv4(ip) => (ip.header().slice(), ip.payload()),
        NetSlice::Ipv6(ip) => (ip.header().slice(), ip.payload()),
        NetSlice::Arp(_) => anyhow::bail!("ARP"),
    };
    let start = offset(payload.payload);
    let quote = |icmp: &[u8], quoted: &[u8], header: usize, number| {
        let network = offset(quoted);
        let carries = Carries::Quote {
            network,
            transport: network + header,
            is_tcp: number == IpNumber::TCP,
        };
        (offset(icmp), carries, false)
    };
    let (transport, carries, is_later) = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => (offset(tcp.slice()), Carries::Tcp, false),
        Some(TransportSlice::Udp(udp)) => (offset(udp.slice()), Carries::Udp, false),
        Some(TransportSlice::Icmpv4(icmp)) => {
            let quoted = Ipv4HeaderSlice::from_slice(icmp.payload())?;
            let header = quoted.slice().len();
            quote(icmp.slice(), icmp.payload(), header, quoted.protocol())
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            let quoted = Ipv6HeaderSlice::from_slice(icmp.payload())?;
            let header = quoted.slice().len();
            quote(icmp.slice(), icmp.payload(), header, quoted.next_header())
        }
        _ if payload.fragmented => fragment(&net, start)?,
        _ => anyhow::bail!("neither TCP nor UDP nor ICMP"),
    };
    Ok(Parts {
        network: offset(header),
        transport,
        end: start + payload.payload.len(),
        is_v4: matches!(net, NetSlice::Ipv4(_)),
        carries,
        is_later,
    })
}

/// A later fragment names a header that only the first one has; etherparse would read its bytes as one.
fn without_false_header(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let mut walk = || {
        let mut network = ETHERNET;
        while packet.get(network - 2..network)? == VLAN.to_be_bytes() {
            network += 4;
        }
        if packet.get(network - 2..network)? != [0x86, 0xdd] {
            return None;
        }
        let (mut number, mut offset) = (*packet.get(network + 6)?, network + 40);
        loop {
            let header = packet.get_mut(offset..offset + 4)?;
            let (next, length) = (header[0], usize::from(header[1]));
            offset += match number {
                HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => (length + 1) * 8,
                AUTHENTICATION => (length + 2) * 4,
                FRAGMENT if [header[2], header[3] & 0xf8] == [0, 0] => 8,
                FRAGMENT => {
                    header[0] = NO_NEXT_HEADER;
                    return Some(());
                }
                _ => return None,
            };
            number = next;
        }
    };
    walk();
    packet
}

/// Offset of the transport layer, whether it is TCP, and whether its header is missing: etherparse leaves that open.
fn fragment(net: &NetSlice<'_>, start: usize) -> anyhow::Result<(usize, Carries, bool)> {
    let (number, is_later) = match net {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            (header.protocol(), header.fragments_offset().value() != 0)
        }
        NetSlice::Ipv6(ip) => {
            let mut later = None;
            for extension in ip.extensions().clone() {
                if let Ipv6ExtensionSlice::Fragment(fragment) = extension {
                    later = Some(fragment.fragment_offset().value() != 0);
                }
            }
            (ip.payload().ip_number, later.context("no fragment")?)
        }
        NetSlice::Arp(_) => anyhow::bail!("ARP"),
    };
    ensure!(
        is_later || matches!(number, IpNumber::TCP | IpNumber::UDP),
        "neither TCP nor UDP"
    );
    let carries = if number == IpNumber::TCP {
        Carries::Tcp
    } else {
        Carries::Udp
    };
    Ok((start, carries, is_later))
}

//! A second opinion on a packet that was rewritten: was it whole, and did nothing change but what had to?

use anyhow::{Context as _, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::report;

/// Offsets of what is rewritten and of what checksums cover.
struct Parts {
    network: usize,
    transport: usize,
    /// The end of the IP packet.
    end: usize,
    is_v4: bool,
    /// Offset of the transport layer's checksum.
    checksum: usize,
    is_tcp: bool,
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
    let checksum = parts.checksum..parts.checksum + 2;
    let has_checksum = parts.is_tcp || input[checksum.clone()] != [0, 0];
    if !has_checksum {
        ensure!(output[checksum] == [0, 0], "a checksum out of nothing");
        return Ok(());
    }
    ensure!(
        parts.covered(input) == parts.covered(output),
        "the transport layer's checksum does not follow"
    );
    Ok(())
}

impl Parts {
    fn addresses(&self) -> std::ops::Range<usize> {
        if self.is_v4 {
            self.network + 12..self.network + 20
        } else {
            self.network + 8..self.network + 40
        }
    }

    fn may_change(&self, offset: usize) -> bool {
        let hops = self.network + if self.is_v4 { 8 } else { 7 };
        let header_checksum = self.network + 10..self.network + 12;
        offset < 12
            || offset == hops
            || self.is_v4 && header_checksum.contains(&offset)
            || self.addresses().contains(&offset)
            || (self.transport..self.transport + 4).contains(&offset)
            || (self.checksum..self.checksum + 2).contains(&offset)
    }

    /// The sum over what the transport layer's checksum covers and a rewrite may change.
    fn covered(&self, packet: &[u8]) -> u32 {
        let sums = sum(&packet[self.addresses()]) + sum(&packet[self.transport..self.end]);
        sums % 0xffff
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
    let offset = |slice: &[u8]| slice.as_ptr() as usize - packet.as_ptr() as usize;
    let sliced = SlicedPacket::from_ethernet(packet)?;
    let net = sliced.net.context("no IP header")?;
    let (header, payload) = match &net {
        NetSlice::Ipv4(ip) => (ip.header().slice(), ip.payload()),
        NetSlice::Ipv6(ip) => (ip.header().slice(), ip.payload()),
        NetSlice::Arp(_) => anyhow::bail!("ARP"),
    };
    ensure!(!payload.fragmented, "a fragment");
    let (transport, checksum, is_tcp) = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => (offset(tcp.slice()), 16, true),
        Some(TransportSlice::Udp(udp)) => (offset(udp.slice()), 6, false),
        _ => anyhow::bail!("neither TCP nor UDP"),
    };
    Ok(Parts {
        network: offset(header),
        transport,
        end: offset(payload.payload) + payload.payload.len(),
        is_v4: matches!(net, NetSlice::Ipv4(_)),
        checksum: transport + checksum,
        is_tcp,
    })
}

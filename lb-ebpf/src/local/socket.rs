//! A socket at the moment it names its peer: the one place that touches the context of the programs for sockets.

use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_sock_addr,
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    programs::SockAddrContext,
};
use lb_common::{
    address::{V4, V6},
    flow::{TCP, UDP},
    local::Endpoint,
};

use super::maps::Local;

pub struct Socket {
    ctx: SockAddrContext,
}

impl Socket {
    #[inline(always)]
    pub const fn new(ctx: SockAddrContext) -> Self {
        Self { ctx }
    }

    /// A number that no other socket has.
    #[inline(always)]
    pub fn cookie(&self) -> u64 {
        // SAFETY: the program's own context.
        unsafe { bpf_get_socket_cookie(self.ctx.as_ptr()) }
    }

    /// The same of its network namespace, never 0.
    #[inline(always)]
    pub fn netns(&self) -> u64 {
        // SAFETY: as above.
        unsafe { bpf_get_netns_cookie(self.ctx.as_ptr()) }
    }

    /// `None` for one that no service has. The field is wider than in a packet: MPTCP, 262, is not TCP.
    #[inline(always)]
    pub fn protocol(&self) -> Option<u8> {
        // SAFETY: a field of the program's own context, as in all of the below.
        let protocol = unsafe { (&raw const (*self.raw()).protocol).read_volatile() };
        [TCP, UDP]
            .into_iter()
            .find(|&known| u32::from(known) == protocol)
    }

    /// Whether an IPv6 socket names an IPv4 peer, as `::ffff:192.0.2.1` (RFC 4291, 2.5.5.2).
    #[inline(always)]
    pub fn is_mapped(&self) -> bool {
        let [a, b, c, _] = self.ip6();
        a == 0 && b == 0 && c == MAPPED
    }

    /// The peer that it names.
    #[inline(always)]
    pub fn peer<N: Notation>(&self) -> Endpoint<N::Address> {
        // SAFETY: as above. The port stands in the lower half, in network byte order.
        let port = unsafe { (&raw const (*self.raw()).user_port).read_volatile() };
        Endpoint::new(N::read(self), port as u16)
    }

    /// Makes it name another one.
    #[inline(always)]
    pub fn set_peer<N: Notation>(&self, peer: Endpoint<N::Address>) {
        N::write(self, peer.address);
        // SAFETY: as above.
        unsafe { (&raw mut (*self.raw()).user_port).write_volatile(peer.port.into()) };
    }

    // The fields are accessed each by itself, at its own offset from the context: the verifier allows nothing else.
    #[inline(always)]
    const fn raw(&self) -> *mut bpf_sock_addr {
        self.ctx.sock_addr
    }

    #[inline(always)]
    fn ip6(&self) -> [u32; 4] {
        // SAFETY: as above.
        unsafe {
            [
                (&raw const (*self.raw()).user_ip6[0]).read_volatile(),
                (&raw const (*self.raw()).user_ip6[1]).read_volatile(),
                (&raw const (*self.raw()).user_ip6[2]).read_volatile(),
                (&raw const (*self.raw()).user_ip6[3]).read_volatile(),
            ]
        }
    }
}

/// The third word of a mapped address.
const MAPPED: u32 = 0xffff_u32.to_be();

/// How a socket writes its peer's address.
pub trait Notation {
    type Address: Local;

    fn read(socket: &Socket) -> Self::Address;
    fn write(socket: &Socket, address: Self::Address);
}

/// IPv4, in an IPv4 socket.
pub struct Ipv4;
/// IPv6.
pub struct Ipv6;
/// IPv4, in an IPv6 socket.
pub struct Mapped;

impl Notation for Ipv4 {
    type Address = V4;

    #[inline(always)]
    fn read(socket: &Socket) -> V4 {
        // SAFETY: a field of the program's own context.
        unsafe { (&raw const (*socket.raw()).user_ip4).read_volatile() }
    }

    #[inline(always)]
    fn write(socket: &Socket, address: V4) {
        // SAFETY: as above.
        unsafe { (&raw mut (*socket.raw()).user_ip4).write_volatile(address) };
    }
}

impl Notation for Ipv6 {
    type Address = V6;

    #[inline(always)]
    fn read(socket: &Socket) -> V6 {
        socket.ip6()
    }

    #[inline(always)]
    fn write(socket: &Socket, [a, b, c, d]: V6) {
        // SAFETY: as above.
        unsafe {
            (&raw mut (*socket.raw()).user_ip6[0]).write_volatile(a);
            (&raw mut (*socket.raw()).user_ip6[1]).write_volatile(b);
            (&raw mut (*socket.raw()).user_ip6[2]).write_volatile(c);
            (&raw mut (*socket.raw()).user_ip6[3]).write_volatile(d);
        }
    }
}

impl Notation for Mapped {
    type Address = V4;

    #[inline(always)]
    fn read(socket: &Socket) -> V4 {
        let [.., address] = socket.ip6();
        address
    }

    #[inline(always)]
    fn write(socket: &Socket, address: V4) {
        // SAFETY: as above. The prefix stands there already.
        unsafe { (&raw mut (*socket.raw()).user_ip6[3]).write_volatile(address) };
    }
}

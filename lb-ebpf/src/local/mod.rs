//! Clients on this host. No packet of theirs comes in by an interface, so their sockets are balanced instead, at the
//! moment they name their peer; packets then go to the backend like any other, and are not looked at.
//!
//! | call | what becomes of the peer |
//! |---|---|
//! | connect | the VIP becomes the backend that the table says, for as long as the connection lasts |
//! | sendmsg, of a UDP socket that is not connected | the same, for as long as the backend lives |
//! | recvmsg of UDP, getpeername | the backend becomes the VIP |
//!
//! A cgroup's programs see the sockets of every network namespace: only those that the daemon names are balanced. A backend
//! is reached by its own address whatever `forward` says, as its checks reach it.

mod maps;
mod socket;

use aya_ebpf::{Global, helpers::bpf_set_retval};
use lb_common::{
    backend::{Backend, BackendId},
    flow::Tuple,
    hash::{self, Hashes},
    local::{Endpoint, SocketPeer},
    service::Control,
    verdict::Event,
};

pub use self::socket::Socket;
use self::{
    maps::Local,
    socket::{Ipv4, Ipv6, Mapped, Notation},
};
use crate::{maps::control, stats, steer};

/// Whether the kernel has `bpf_set_retval` (5.18). Without it a refused call fails with EPERM.
#[unsafe(no_mangle)]
static CAN_SET_ERRNO: Global<u8> = Global::new(0);
const ECONNREFUSED: i32 = 111;

const DENY: i32 = 0;
const ALLOW: i32 = 1;

#[inline(always)]
pub fn connect4(socket: &Socket) -> i32 {
    testify(socket);
    connect::<Ipv4>(socket)
}

#[inline(always)]
pub fn connect6(socket: &Socket) -> i32 {
    if socket.is_mapped() {
        connect::<Mapped>(socket)
    } else {
        connect::<Ipv6>(socket)
    }
}

#[inline(always)]
pub fn sendmsg4(socket: &Socket) -> i32 {
    send::<Ipv4>(socket)
}

/// To an IPv4 peer, an IPv6 socket sends as an IPv4 one does.
#[inline(always)]
pub fn sendmsg6(socket: &Socket) -> i32 {
    send::<Ipv6>(socket)
}

#[inline(always)]
pub fn name4(socket: &Socket) -> i32 {
    name::<Ipv4>(socket)
}

#[inline(always)]
pub fn name6(socket: &Socket) -> i32 {
    if socket.is_mapped() {
        name::<Mapped>(socket)
    } else {
        name::<Ipv6>(socket)
    }
}

/// Tells the daemon which namespace its witness is in.
#[inline(always)]
fn testify(socket: &Socket) {
    let Some(local) = maps::control() else {
        return;
    };
    // SAFETY: a live element. The daemon, which reads it, waits in connect(2) meanwhile.
    unsafe {
        let witness = (&raw const (*local).witness).read_volatile();
        if witness != 0 && witness == socket.cookie() {
            (&raw mut (*local).netns).write_volatile(socket.netns());
            (&raw mut (*local).witness).write_volatile(0);
        }
    }
}

#[inline(always)]
fn is_balanced(socket: &Socket) -> bool {
    maps::has_namespace(socket.netns())
}

/// A socket that asks for a service.
struct Call<A> {
    cookie: u64,
    namespace: u64,
    vip: Endpoint<A>,
    pool: u32,
    control: &'static Control,
}

impl<A: Local> Call<A> {
    /// `None`: nothing to do with us.
    #[inline(always)]
    fn of<N: Notation<Address = A>>(socket: &Socket) -> Option<Self> {
        let namespace = socket.netns();
        if !maps::has_namespace(namespace) {
            return None;
        }
        let vip = socket.peer::<N>();
        let tuple = Tuple {
            destination: vip.address,
            destination_port: vip.port,
            protocol: socket.protocol()?,
            ..Tuple::default()
        };
        let control = control()?;
        let pool = steer::service(&tuple, control)?;
        Some(Self {
            cookie: socket.cookie(),
            namespace,
            vip,
            pool,
            control,
        })
    }

    /// Who takes what begins with this call. A socket's cookie stands for the address and port it does not have yet, its
    /// network namespace for the client.
    #[inline(always)]
    fn choose(&self) -> Option<(BackendId, &'static Backend)> {
        let (low, high) = (self.cookie as u32, (self.cookie >> 32) as u16);
        let hashes = Hashes {
            client: hash::mix(self.namespace as u32 ^ self.control.seed),
            ..Hashes::of(self.control.seed, low, high, self.vip.port)
        };
        steer::beginner(self.pool, hashes)
    }

    /// Makes the socket name `backend`, and remembers that it asked for the VIP.
    #[inline(always)]
    fn divert<N: Notation<Address = A>>(
        &self,
        socket: &Socket,
        backend: &Backend,
        event: Event,
    ) -> i32 {
        if backend.family != A::FAMILY {
            return refuse();
        }
        let peer = Endpoint::new(
            A::from_words(&backend.address),
            backend.port_for(self.vip.port),
        );
        let key = SocketPeer::new(self.cookie, peer);
        if A::vips().get_ptr(key).is_none() {
            // A full map forgets the socket that was used least; it would be told its backend's name.
            let _ = A::vips().insert(key, self.vip, 0);
        }
        socket.set_peer::<N>(peer);
        stats::shared_event(event);
        ALLOW
    }
}

#[inline(always)]
fn connect<N: Notation>(socket: &Socket) -> i32 {
    let Some(call) = Call::of::<N>(socket) else {
        forget::<N>(socket);
        return ALLOW;
    };
    match call.choose() {
        Some((_, backend)) => call.divert::<N>(socket, backend, Event::LocalConnected),
        None => refuse(),
    }
}

/// A backend that is asked by its own name keeps it, though the socket may have asked for the VIP before.
#[inline(always)]
fn forget<N: Notation>(socket: &Socket) {
    if is_balanced(socket) {
        let _ = N::Address::vips().remove(SocketPeer::new(socket.cookie(), socket.peer::<N>()));
    }
}

#[inline(always)]
fn send<N: Notation>(socket: &Socket) -> i32 {
    let Some(call) = Call::of::<N>(socket) else {
        return ALLOW;
    };
    let key = SocketPeer::new(call.cookie, call.vip);
    let flows = N::Address::flows();
    // SAFETY: a live element of a preallocated map, copied at once.
    let known = flows.get_ptr(key).map(|id| unsafe { *id });
    let backend = match known.and_then(steer::living) {
        Some(backend) => backend,
        None => {
            let Some((id, backend)) = call.choose() else {
                return refuse();
            };
            // Where it fails, the table says the same until it changes.
            let _ = flows.insert(key, id, 0);
            backend
        }
    };
    call.divert::<N>(socket, backend, Event::LocalSent)
}

#[inline(always)]
fn name<N: Notation>(socket: &Socket) -> i32 {
    if is_balanced(socket) {
        let key = SocketPeer::new(socket.cookie(), socket.peer::<N>());
        if let Some(vip) = N::Address::vips().get_ptr(key) {
            // SAFETY: a live element of a preallocated map, copied at once.
            socket.set_peer::<N>(unsafe { *vip });
        }
    }
    ALLOW
}

#[inline(always)]
fn refuse() -> i32 {
    stats::shared_event(Event::LocalRefused);
    if CAN_SET_ERRNO.load() != 0 {
        // SAFETY: a helper without preconditions, where the kernel has it.
        unsafe { bpf_set_retval(-ECONNREFUSED) };
    }
    DENY
}

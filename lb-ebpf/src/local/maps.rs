//! What is remembered of sockets, for each family.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use lb_common::{
    address::{V4, V6},
    backend::BackendId,
    layout::{LOCAL_CAPACITY, LOCAL_NAMESPACES_CAPACITY},
    local::{Endpoint, LocalControl, SocketPeer},
};

use crate::family::Family;

#[map]
static LOCAL: Array<LocalControl> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// By cookie; the values mean nothing.
#[map]
static LOCAL_NAMESPACES: HashMap<u64, u32> =
    HashMap::with_max_entries(LOCAL_NAMESPACES_CAPACITY, 0);

/// The daemon's question, and the place of the answer.
#[inline(always)]
pub fn control() -> Option<*mut LocalControl> {
    LOCAL.get_ptr_mut(0)
}

/// Whether the sockets of a network namespace are balanced.
#[inline(always)]
pub fn has_namespace(cookie: u64) -> bool {
    LOCAL_NAMESPACES.get_ptr(cookie).is_some()
}

/// By a socket and its backend's endpoint, the VIP's.
pub type Vips<A> = LruHashMap<SocketPeer<A>, Endpoint<A>>;
/// By a socket that is not connected and a VIP's endpoint, who serves it.
pub type Flows<A> = LruHashMap<SocketPeer<A>, BackendId>;

/// A family with the maps of its sockets.
pub trait Local: Family {
    fn vips() -> &'static Vips<Self>;
    fn flows() -> &'static Flows<Self>;
}

macro_rules! local {
    ($address:ty, $vips:ident, $flows:ident) => {
        #[map]
        static $vips: Vips<$address> = LruHashMap::with_max_entries(LOCAL_CAPACITY, 0);
        #[map]
        static $flows: Flows<$address> = LruHashMap::with_max_entries(LOCAL_CAPACITY, 0);

        impl Local for $address {
            #[inline(always)]
            fn vips() -> &'static Vips<Self> {
                &$vips
            }

            #[inline(always)]
            fn flows() -> &'static Flows<Self> {
                &$flows
            }
        }
    };
}

local!(V4, LOCAL_VIPS_V4, LOCAL_FLOWS_V4);
local!(V6, LOCAL_VIPS_V6, LOCAL_FLOWS_V6);

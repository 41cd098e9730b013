//! The maps of each family. Only here and in [`local::maps`](crate::local) are the two written side by side.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap},
};
use lb_common::{
    address::{Address, V4, V6},
    flow::{Client, ClientRecord, FlowRecord, ReverseRecord, Tuple},
    half_open::{BUCKETS, HalfOpen, Heads},
    layout::{
        CLIENTS_CAPACITY, FLOWS_CAPACITY, RETURN_LOCKS_CAPACITY, REVERSE_CAPACITY,
        REVERSE_HALF_CAPACITY, SNAT_CAPACITY, TRANSLATIONS_CAPACITY,
    },
    packet::Icmp,
    service::{ListenerEntry, PLACES},
    snat::SnatAddress,
    translation::{Return, Translation},
};

pub type Flows<A> = LruHashMap<Tuple<A>, FlowRecord>;
pub type Clients<A> = LruHashMap<Client<A>, ClientRecord>;
pub type Reverse<A> = LruHashMap<Tuple<A>, ReverseRecord<A>>;

/// An address family with its maps.
pub trait Family: Address + Icmp {
    /// Its place in [`Control::listeners`](lb_common::service::Control).
    const INDEX: usize;

    fn listeners() -> &'static Array<ListenerEntry<Self>>;
    fn flows_half() -> &'static Flows<Self>;
    fn flows() -> &'static Flows<Self>;
    fn clients() -> &'static Clients<Self>;
    fn reverse_half_heads() -> &'static Array<Heads>;
    fn reverse_half() -> &'static Array<HalfOpen<Self>>;
    fn reverse() -> &'static Reverse<Self>;
    fn snat() -> &'static Array<SnatAddress<Self>>;
    fn translations() -> &'static HashMap<Tuple<Self>, Translation<Self>>;
    fn returns() -> &'static HashMap<Tuple<Self>, Return<Self>>;
    fn return_locks() -> &'static HashMap<Tuple<Self>, u32>;
}

macro_rules! family {
    (
        $address:ty,
        $index:literal,
        $listeners:ident,
        $flows_half:ident,
        $flows:ident,
        $clients:ident,
        $reverse_half_heads:ident,
        $reverse_half:ident,
        $reverse:ident,
        $snat:ident,
        $translations:ident,
        $returns:ident,
        $return_locks:ident
    ) => {
        #[map]
        static $listeners: Array<ListenerEntry<$address>> =
            Array::with_max_entries(2 * PLACES, BPF_F_MMAPABLE);
        #[map]
        static $flows_half: Flows<$address> = LruHashMap::with_max_entries(FLOWS_CAPACITY, 0);
        #[map]
        static $flows: Flows<$address> = LruHashMap::with_max_entries(FLOWS_CAPACITY, 0);
        #[map]
        static $clients: Clients<$address> = LruHashMap::with_max_entries(CLIENTS_CAPACITY, 0);
        // Mapped, each begins with a page, and so with a cache line.
        #[map]
        static $reverse_half_heads: Array<Heads> = Array::with_max_entries(BUCKETS, BPF_F_MMAPABLE);
        #[map]
        static $reverse_half: Array<HalfOpen<$address>> =
            Array::with_max_entries(REVERSE_HALF_CAPACITY, BPF_F_MMAPABLE);
        #[map]
        static $reverse: Reverse<$address> = LruHashMap::with_max_entries(REVERSE_CAPACITY, 0);
        #[map]
        static $snat: Array<SnatAddress<$address>> =
            Array::with_max_entries(SNAT_CAPACITY, BPF_F_MMAPABLE);
        #[map]
        static $translations: HashMap<Tuple<$address>, Translation<$address>> =
            HashMap::with_max_entries(TRANSLATIONS_CAPACITY, 0);
        #[map]
        static $returns: HashMap<Tuple<$address>, Return<$address>> =
            HashMap::with_max_entries(TRANSLATIONS_CAPACITY, 0);
        #[map]
        static $return_locks: HashMap<Tuple<$address>, u32> =
            HashMap::with_max_entries(RETURN_LOCKS_CAPACITY, 0);

        impl Family for $address {
            const INDEX: usize = $index;

            #[inline(always)]
            fn listeners() -> &'static Array<ListenerEntry<Self>> {
                &$listeners
            }

            #[inline(always)]
            fn flows_half() -> &'static Flows<Self> {
                &$flows_half
            }

            #[inline(always)]
            fn flows() -> &'static Flows<Self> {
                &$flows
            }

            #[inline(always)]
            fn clients() -> &'static Clients<Self> {
                &$clients
            }

            #[inline(always)]
            fn reverse_half_heads() -> &'static Array<Heads> {
                &$reverse_half_heads
            }

            #[inline(always)]
            fn reverse_half() -> &'static Array<HalfOpen<Self>> {
                &$reverse_half
            }

            #[inline(always)]
            fn reverse() -> &'static Reverse<Self> {
                &$reverse
            }

            #[inline(always)]
            fn snat() -> &'static Array<SnatAddress<Self>> {
                &$snat
            }

            #[inline(always)]
            fn translations() -> &'static HashMap<Tuple<Self>, Translation<Self>> {
                &$translations
            }

            #[inline(always)]
            fn returns() -> &'static HashMap<Tuple<Self>, Return<Self>> {
                &$returns
            }

            #[inline(always)]
            fn return_locks() -> &'static HashMap<Tuple<Self>, u32> {
                &$return_locks
            }
        }
    };
}

family!(
    V4,
    0,
    LISTENERS_V4,
    FLOWS_HALF_V4,
    FLOWS_V4,
    CLIENTS_V4,
    REVERSE_HALF_HEADS_V4,
    REVERSE_HALF_V4,
    REVERSE_V4,
    SNAT_V4,
    TRANSLATIONS_V4,
    RETURNS_V4,
    RETURN_LOCKS_V4
);
family!(
    V6,
    1,
    LISTENERS_V6,
    FLOWS_HALF_V6,
    FLOWS_V6,
    CLIENTS_V6,
    REVERSE_HALF_HEADS_V6,
    REVERSE_HALF_V6,
    REVERSE_V6,
    SNAT_V6,
    TRANSLATIONS_V6,
    RETURNS_V6,
    RETURN_LOCKS_V6
);

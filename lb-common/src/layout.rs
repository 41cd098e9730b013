//! Names and sizes of the maps, the same for the object file, the pins and the daemon.

/// Raised with every change to a map's meaning: a daemon adopts only pins of its own version.
pub const VERSION: u32 = 5;

pub const CONTROL: &str = "CONTROL";
pub const LISTENERS_V4: &str = "LISTENERS_V4";
pub const LISTENERS_V6: &str = "LISTENERS_V6";
pub const POOLS: &str = "POOLS";
/// For each pool, the table before the one in [`POOLS`], while slots still ask for it.
pub const FORMER_POOLS: &str = "FORMER_POOLS";
pub const SLOTS: &str = "SLOTS";
pub const BACKENDS: &str = "BACKENDS";
/// What backends have to do, by the same index: [`crate::load`].
pub const LOADS: &str = "LOADS";
/// By pool, whose turn it is.
pub const TURNS: &str = "TURNS";
/// By pool, for how long a client keeps its backend; and which backend each has.
pub const AFFINITY: &str = "AFFINITY";
pub const CLIENTS_V4: &str = "CLIENTS_V4";
pub const CLIENTS_V6: &str = "CLIENTS_V6";
/// Which destinations may be a VIP, and which sources may be a backend; of those of `fullnat` the addresses alone.
/// Bitmaps of [`crate::filter`].
pub const VIP_FILTER: &str = "VIP_FILTER";
pub const BACKEND_FILTER: &str = "BACKEND_FILTER";
/// How frames leave by an interface.
pub const PORTS: &str = "PORTS";
/// Which interface a frame counts as having come in by, where that is not the one its bits came in by.
pub const DEVICES: &str = "DEVICES";
/// Recorded flows and the reverse table, each half-open and established; the half-open part of the latter is
/// [`crate::half_open`].
pub const FLOWS_HALF_V4: &str = "FLOWS_HALF_V4";
pub const FLOWS_HALF_V6: &str = "FLOWS_HALF_V6";
pub const FLOWS_V4: &str = "FLOWS_V4";
pub const FLOWS_V6: &str = "FLOWS_V6";
pub const REVERSE_HALF_V4: &str = "REVERSE_HALF_V4";
pub const REVERSE_HALF_V6: &str = "REVERSE_HALF_V6";
pub const REVERSE_HALF_HEADS_V4: &str = "REVERSE_HALF_HEADS_V4";
pub const REVERSE_HALF_HEADS_V6: &str = "REVERSE_HALF_HEADS_V6";
pub const REVERSE_V4: &str = "REVERSE_V4";
pub const REVERSE_V6: &str = "REVERSE_V6";
/// UDP flows that were noted within this second: [`crate::fresh`].
pub const FRESH: &str = "FRESH";
/// The ports of fragmented packets: [`crate::fragment`].
pub const FRAGMENTS: &str = "FRAGMENTS";
/// By CPU: where fragments that came before their first are handed to the daemon.
pub const HELD_FRAGMENTS: &str = "HELD_FRAGMENTS";
/// Clients on this host: what daemon and programs say to each other, in which network namespaces, which VIP a socket's backend stands for, and which
/// backend a socket without a peer sends to.
pub const LOCAL: &str = "LOCAL";
pub const LOCAL_NAMESPACES: &str = "LOCAL_NAMESPACES";
pub const LOCAL_VIPS_V4: &str = "LOCAL_VIPS_V4";
pub const LOCAL_VIPS_V6: &str = "LOCAL_VIPS_V6";
pub const LOCAL_FLOWS_V4: &str = "LOCAL_FLOWS_V4";
pub const LOCAL_FLOWS_V6: &str = "LOCAL_FLOWS_V6";
/// Which sources may be a `fullnat` backend.
pub const FULLNAT_FILTER: &str = "FULLNAT_FILTER";
/// The source addresses of `fullnat`, and both halves of its translations.
pub const SNAT_V4: &str = "SNAT_V4";
pub const SNAT_V6: &str = "SNAT_V6";
pub const TRANSLATIONS_V4: &str = "TRANSLATIONS_V4";
pub const TRANSLATIONS_V6: &str = "TRANSLATIONS_V6";
pub const RETURNS_V4: &str = "RETURNS_V4";
pub const RETURNS_V6: &str = "RETURNS_V6";
/// Reverse halves that somebody is about to take away.
pub const RETURN_LOCKS_V4: &str = "RETURN_LOCKS_V4";
pub const RETURN_LOCKS_V6: &str = "RETURN_LOCKS_V6";
/// Programs that are called by others, by index.
pub const PROGRAMS: &str = "PROGRAMS";
pub const BACKEND_HOPS: &str = "BACKEND_HOPS";
pub const CLIENT_HOPS: &str = "CLIENT_HOPS";
pub const VERDICTS: &str = "VERDICTS";
pub const EVENTS: &str = "EVENTS";
pub const BACKEND_TRAFFIC: &str = "BACKEND_TRAFFIC";

/// Entries of [`SLOTS`], 32 MiB: 512 tables of 4093 slots or 31 of 65537, each with room for its successor.
pub const SLOTS_CAPACITY: u32 = 1 << 22;
/// Entries of [`BACKENDS`]; index 0 names nobody.
pub const BACKENDS_CAPACITY: u32 = 1 << 16;
/// Entries of [`PORTS`]: interface indices we can transmit on.
pub const PORTS_CAPACITY: u32 = 1 << 16;
/// Entries of [`DEVICES`]: VLAN devices, and members of bonds.
pub const DEVICES_CAPACITY: u32 = 1 << 14;
/// Recorded flows: one table for half-open, one for established, per family.
pub const FLOWS_CAPACITY: u32 = 1 << 16;
/// Clients that keep their backends.
pub const CLIENTS_CAPACITY: u32 = 1 << 16;
/// Reverse entries: established, and half-open.
pub const REVERSE_CAPACITY: u32 = 1 << 18;
pub const REVERSE_HALF_CAPACITY: u32 = 1 << 16;
/// Entries of [`PROGRAMS`]: what chooses a backend for a new flow; what records it, or draws a port for one of `fullnat`;
/// what opens that then; and the program that all packets come to.
pub const PROGRAMS_CAPACITY: u32 = 4;
pub const CHOOSE: u32 = 0;
pub const ENTER: u32 = 1;
pub const OPEN: u32 = 2;
pub const ALL: u32 = 3;
/// Source addresses of one family.
pub const SNAT_CAPACITY: u32 = 256;
/// Translations of one family, each with two halves. The kernel takes the memory for all of them when the maps are made:
/// 26 MiB for IPv4, 36 MiB for IPv6.
pub const TRANSLATIONS_CAPACITY: u32 = 1 << 17;
/// Locks of one family: one for each CPU, and the daemon's.
pub const RETURN_LOCKS_CAPACITY: u32 = 1 << 12;

/// Network namespaces whose sockets are balanced.
pub const LOCAL_NAMESPACES_CAPACITY: u32 = 4096;
/// Sockets of this host that are remembered, in each map of them.
pub const LOCAL_CAPACITY: u32 = 1 << 15;

/// Packets and bytes of one backend on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TrafficEntry {
    pub packets: u64,
    pub bytes: u64,
}

crate::map_type!(TrafficEntry, size = 16, align = 8);

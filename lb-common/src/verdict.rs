//! Under which name a packet is counted. Every packet is counted exactly once, so the XDP verdicts add up to
//! the packets received, those that the daemon puts back among them, and the egress verdicts to the packets sent.

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            pub const COUNT: u32 = Self::ALL.len() as u32;

            /// The name in metrics and in `shunt status`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            pub const fn index(self) -> u32 {
                self as u32
            }
        }
    };
}

named! {
    /// What became of a packet.
    Verdict {
        /// Not IP, or IP that is neither for a service nor a reply: to the kernel, unchanged.
        NotOurs = "pass_not_ours",
        /// A fragment whose first one was not seen: to the kernel, unchanged.
        Fragment = "pass_fragment",
        /// A fragment for a VIP that came before its first one: to the daemon, which puts it back, to be counted again.
        HeldFragment = "held_fragment",
        /// Headers that lie, end too early or lie beyond the first buffer of a large frame: to the kernel, unchanged.
        Malformed = "pass_malformed",
        /// TTL or hop limit used up: to the kernel, unchanged, which answers it.
        TtlExceeded = "pass_ttl_exceeded",
        /// To a backend, out of the interface it came in by.
        ForwardSame = "forward_tx",
        /// To a backend, out of another interface.
        ForwardOther = "forward_redirect",
        /// To a backend, through the kernel: a local process, a bridge, or a neighbour not resolved yet.
        ForwardStack = "forward_stack",
        /// A reply, out of the interface it came in by.
        ReplySame = "reply_tx",
        /// A reply, out of another interface.
        ReplyOther = "reply_redirect",
        /// A reply, through the kernel.
        ReplyStack = "reply_stack",
        /// A ping of a VIP, answered.
        EchoReply = "answer_echo",
        /// A ping of a VIP that cannot be answered directly: to the kernel, unchanged.
        EchoStack = "pass_echo",
        /// Larger than its way takes, or would be in a tunnel: its sender is told so.
        TooBig = "answer_too_big",
        /// TTL or hop limit used up: its sender is told so.
        TimeExceeded = "answer_time_exceeded",
        /// More pings or errors than are answered.
        IcmpLimited = "drop_icmp_limit",
        /// A reply of `fullnat`, rewritten, through the kernel's forwarding.
        ReplyStackTranslated = "reply_stack_translated",
        /// For a service that has no backend to take it.
        NoBackend = "drop_no_backend",
        /// A new flow, while every backend that it may go to has as many as it may have.
        BackendsFull = "drop_backends_full",
        /// For a `dsr` backend whose MAC is not known, or whose interface is not transmitted on.
        NoNextHop = "drop_no_next_hop",
        /// Too large for a tunnel, and no way to tell its sender.
        NoRoom = "drop_too_big",
        /// A new flow of `fullnat` that found no free port, or no room for its translation.
        NoSnatPort = "drop_no_snat_port",
        /// The frame could not be changed; never seen.
        RewriteFailed = "drop_rewrite_failed",
        /// Leaving: nothing to do with us.
        EgressNotOurs = "egress_not_ours",
        /// Leaving: a reply, rewritten.
        EgressReply = "egress_reply",
        /// Leaving: a reply that could not be rewritten; never seen.
        EgressFailed = "egress_drop_rewrite_failed",
    }
}

impl Verdict {
    /// Whether it counts a packet that leaves, not one received.
    pub const fn is_egress(self) -> bool {
        matches!(
            self,
            Self::EgressNotOurs | Self::EgressReply | Self::EgressFailed
        )
    }
}

named! {
    /// What else happened on the way; any number for a packet.
    Event {
        /// A packet's slot was stable: the hash alone decided.
        SelectStable = "select_stable",
        /// A recorded flow was found.
        SelectRecorded = "select_recorded",
        /// A slot's current owner took a packet that was not recorded.
        SelectCurrent = "select_current",
        /// A slot's previous owner kept an old flow.
        SelectPrevious = "select_previous",
        /// The scheduler chose a backend for a new flow.
        SelectNew = "select_new",
        /// A flow was recorded.
        FlowRecorded = "flow_recorded",
        /// A recorded flow was promoted to established.
        FlowPromoted = "flow_promoted",
        /// A table had no room for a flow.
        FlowLost = "flow_lost",
        /// A reverse entry was written.
        ReverseWritten = "reverse_written",
        /// A reverse entry was promoted to established.
        ReversePromoted = "reverse_promoted",
        /// An ICMP error was handed to the side of a flow that it is about.
        ErrorForwarded = "icmp_error_forwarded",
        /// The ports of a fragmented packet were recorded.
        FragmentRecorded = "fragment_recorded",
        /// They took the place of others that fragments may still come for.
        FragmentTableFull = "fragment_table_full",
        /// A translation was written.
        TranslationWritten = "translation_written",
        /// It took the port of one that was over.
        TranslationReclaimed = "translation_reclaimed",
        /// Another CPU wrote to the same translation in the same instant. Its own is used, or the packet lost.
        TranslationRaced = "translation_raced",
        /// A new flow found every port it tried taken.
        SnatPortsTaken = "snat_ports_taken",
        /// A new flow found a port, but no room for its translation.
        TranslationsFull = "translations_full",
        /// The kernel was asked for a next hop.
        HopAsked = "next_hop_asked",
        /// A socket of this host was connected to a backend; no packet was seen.
        LocalConnected = "local_connected",
        /// A datagram of a socket of this host that is not connected went to a backend; no packet was seen.
        LocalSent = "local_sent",
        /// A socket of this host asked for a service that has no backend for it, and was refused.
        LocalRefused = "local_refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_indices_dense() {
        let mut names: Vec<_> = Verdict::ALL
            .iter()
            .map(|v| v.name())
            .chain(Event::ALL.iter().map(|e| e.name()))
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for (i, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(verdict.index(), i as u32);
        }
    }
}

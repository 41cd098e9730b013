//! What a verdict means for a packet: what the program returns, and whether the packet changes.

use lb_common::verdict::Verdict;

/// What a program returns with a verdict: `XDP_DROP` 1, `XDP_PASS` 2, `XDP_TX` 3, `XDP_REDIRECT` 4;
/// `TC_ACT_UNSPEC` -1, `TC_ACT_SHOT` 2.
pub fn returned(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::NoBackend
        | Verdict::NoNextHop
        | Verdict::NoSnatPort
        | Verdict::BackendsFull
        | Verdict::RewriteFailed
        | Verdict::NoRoom
        | Verdict::HeldFragment
        | Verdict::IcmpLimited => 1,
        Verdict::NotOurs
        | Verdict::Fragment
        | Verdict::Malformed
        | Verdict::TtlExceeded
        | Verdict::EchoStack
        | Verdict::ForwardStack
        | Verdict::ReplyStack
        | Verdict::ReplyStackTranslated => 2,
        Verdict::ForwardSame | Verdict::ReplySame => 3,
        Verdict::ForwardOther
        | Verdict::ReplyOther
        | Verdict::EchoReply
        | Verdict::TooBig
        | Verdict::TimeExceeded => 4,
        Verdict::EgressNotOurs | Verdict::EgressReply => u32::MAX,
        Verdict::EgressFailed => 2,
    }
}

/// Whether the packet changes. A reply of `nat` through the kernel is rewritten when it leaves.
pub fn rewrites(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::ForwardSame
            | Verdict::ForwardOther
            | Verdict::ForwardStack
            | Verdict::ReplySame
            | Verdict::ReplyOther
            | Verdict::ReplyStackTranslated
            | Verdict::EgressReply
    )
}

/// Whether what leaves is the load balancer's own word about the packet.
pub fn answers(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::EchoReply | Verdict::TooBig | Verdict::TimeExceeded
    )
}

/// Whether the packet is transmitted.
pub fn leaves(verdict: Verdict) -> bool {
    matches!(returned(verdict), 3 | 4)
}

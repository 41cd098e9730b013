//! What becomes of a packet that leaves: replies of backends on this host, or behind a bridge on it, get the
//! source that their client talks to.

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC};
use lb_common::{
    address::{Address, V4, V6},
    packet::{Headers, network_layer, parse_on},
    verdict::Verdict,
};

use crate::{concern::Concern, family::Family, fragments, maps, reverse, skb::Skb};

#[inline(always)]
pub fn handle(skb: &mut Skb) -> Verdict {
    match network_layer(skb) {
        Ok((V4::ETHERTYPE, network)) => packet::<V4>(skb, network),
        Ok((V6::ETHERTYPE, network)) => packet::<V6>(skb, network),
        _ => Verdict::EgressNotOurs,
    }
}

#[inline(always)]
fn packet<A: Family>(skb: &mut Skb, network: usize) -> Verdict {
    let Some(start) = A::start(skb, network) else {
        return Verdict::EgressNotOurs;
    };
    let Some(concern) = Concern::of(skb, &A::ends(start)) else {
        return Verdict::EgressNotOurs;
    };
    let Ok(mut headers): Result<Headers<A>, _> = parse_on(skb, network, start) else {
        return Verdict::EgressNotOurs;
    };
    let Some(control) = maps::control() else {
        return Verdict::EgressNotOurs;
    };
    if fragments::follow(skb, &mut headers, concern, control).is_err() {
        return Verdict::EgressNotOurs;
    }
    let Some(record) = reverse::find(&headers, control) else {
        return Verdict::EgressNotOurs;
    };
    match skb.rewrite_source(&headers, record.vip, record.vip_port) {
        Some(()) => Verdict::EgressReply,
        None => Verdict::EgressFailed,
    }
}

/// Never final for a packet that goes on: other programs and filters have their say.
#[inline(always)]
pub fn action(verdict: Verdict) -> i32 {
    if verdict == Verdict::EgressFailed {
        return TC_ACT_SHOT;
    }
    TC_ACT_UNSPEC
}

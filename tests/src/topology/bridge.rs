//! Backends in containers behind a bridge on the load balancer, as docker makes them.

use super::{BackendHost, plugged_host};
use crate::netns::Netns;

const BRIDGE: &str = "br0";

pub(super) fn lay(lb: &Netns) -> anyhow::Result<()> {
    lb.ip(&format!(
        "link add {BRIDGE} type bridge mcast_snooping 0\nlink set {BRIDGE} up"
    ))?;
    lb.address(BRIDGE, &["10.2.0.1/24", "fd00:2::1/64"])?;
    lb.enable_forwarding()
}

/// Its checksums are left to offload, as a container's are: only tc egress sees its replies, which copes.
pub(super) fn backend(lb: &Netns, n: usize) -> anyhow::Result<BackendHost> {
    plugged_host(lb, BRIDGE, n)
}

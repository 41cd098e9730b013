//! Backends on hosts of their own, whose default gateway the load balancer is.

use super::{BackendHost, plugged_host};
use crate::netns::Netns;

const BRIDGE: &str = "br0";

/// The second network of the load balancer; returns the switch in it.
pub(super) fn lay(lb: &Netns) -> anyhow::Result<Netns> {
    let switch = Netns::new("switch")?;
    switch.ip(&format!(
        "link add {BRIDGE} type bridge mcast_snooping 0\nlink set {BRIDGE} up"
    ))?;
    lb.wire("eth1", &switch, "port0")?;
    switch.ip(&format!("link set port0 master {BRIDGE}"))?;
    lb.address("eth1", &["10.2.0.1/24", "fd00:2::1/64"])?;
    lb.enable_forwarding()?;
    Ok(switch)
}

pub(super) fn backend(switch: &Netns, n: usize) -> anyhow::Result<BackendHost> {
    let host = plugged_host(switch, BRIDGE, n)?;
    host.netns.finish_checksums("eth0")?;
    Ok(host)
}

//! What a backend has that gets packets to the VIP itself: by its MAC, or out of tunnels.

use crate::{Family, needs, netns::Netns, topology::vip};

/// Modules of the kernel that take packets out of tunnels.
pub const MODULES: [&str; 4] = ["ipip", "ip6_tunnel", "fou", "fou6"];

/// Gives a host the VIPs.
pub fn take_vips(netns: &Netns) -> anyhow::Result<()> {
    let addresses = Family::BOTH.map(|family| match family {
        Family::V4 => format!("{}/32", vip(family, 0).ip()),
        Family::V6 => format!("{}/128", vip(family, 0).ip()),
    });
    netns.address("lo", &addresses.each_ref().map(String::as_str))
}

/// Gives a host the VIPs and the kernel's own ends of tunnels: 4in4, 6in6, 4in6 at its address `v6`, and GUE.
///
/// # Errors
/// A module that is missing.
pub fn take_from_tunnels(netns: &Netns, v6: &str) -> anyhow::Result<()> {
    for module in MODULES {
        needs::module(module).map_err(anyhow::Error::msg)?;
    }
    take_vips(netns)?;
    netns.ip(&format!(
        "link set tunl0 up\nlink set ip6tnl0 up\n\
         link add t46 type ip6tnl mode ipip6 local {v6} remote ::\nlink set t46 up\n\
         fou add port 6080 gue\nfou add port 6080 gue -6"
    ))?;
    for name in ["all", "default", "tunl0", "ip6tnl0", "t46", "eth0"] {
        // What comes out of a tunnel came in by another interface than answers leave by.
        netns.sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0")?;
    }
    Ok(())
}

//! Backends that are processes on the load balancer, at the addresses of its NIC.

use super::{BackendHost, LB_V4, LB_V6, LOCAL_PORTS};
use crate::netns::Netns;

pub(super) fn backend(lb: &Netns, n: usize) -> anyhow::Result<BackendHost> {
    Ok(BackendHost {
        name: format!("b{n}"),
        netns: lb.clone(),
        v4: LB_V4,
        v6: LB_V6,
        port: LOCAL_PORTS + u16::try_from(n)?,
    })
}

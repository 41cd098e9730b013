use std::{io, time::Duration};

use netlink_sys::{
    AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE,
};
use tokio::sync::mpsc;

/// Changes within this time are reported as one.
const QUIET: Duration = Duration::from_millis(100);

/// `RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE` of linux/rtnetlink.h.
const GROUPS: u32 = 0x1 | 0x4 | 0x40 | 0x400;

/// Sends a word whenever routes, neighbours or links of the host may have changed, until the receiver goes.
///
/// # Errors
/// The kernel does not let this process listen.
pub fn watch() -> io::Result<mpsc::Receiver<()>> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
    let (changed, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            // What exactly changed does not matter, nor do messages lost when the buffer is full: something changed.
            if let Err(error) = socket.recv_from_full().await
                && error.raw_os_error() != Some(libc::ENOBUFS)
            {
                tracing::warn!(%error, "routes and neighbours are not watched any more");
                return;
            }
            tokio::time::sleep(QUIET).await;
            if let Err(mpsc::error::TrySendError::Closed(())) = changed.try_send(()) {
                return;
            }
        }
    });
    Ok(receiver)
}

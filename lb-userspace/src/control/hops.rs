use std::{io, time::Duration};

use netlink_sys::{
    AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE,
};
use tokio::sync::mpsc;

/// Changes within this time are reported as one.
const QUIET: Duration = Duration::from_millis(100);

/// Bits of `RTMGRP_…` of linux/rtnetlink.h.
#[derive(Clone, Copy, Debug)]
pub struct Groups(u32);

/// Neighbours, and routes of both families.
pub const ROUTES: Groups = Groups(0x4 | 0x40 | 0x400);
/// Interfaces.
pub const LINKS: Groups = Groups(0x1);

/// Sends a word whenever what `groups` are about may have changed, until the receiver goes.
///
/// # Errors
/// The kernel does not let this process listen.
pub fn watch(groups: Groups) -> io::Result<mpsc::Receiver<()>> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, groups.0))?;
    let (changed, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            // What exactly changed does not matter, nor do messages lost when the buffer is full: something changed.
            if let Err(error) = socket.recv_from_full().await
                && error.raw_os_error() != Some(libc::ENOBUFS)
            {
                tracing::warn!(%error, ?groups, "changes of the host's network are not watched any more");
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

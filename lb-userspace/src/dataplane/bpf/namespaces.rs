//! Whose sockets are balanced: the network namespace of the daemon, and those behind bridges that the configuration names.
//!
//! The programs know a namespace by its cookie, which kernels before 5.14 do not tell a process: a socket that the daemon
//! connects in a namespace makes the programs tell it.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    mem::offset_of,
    net::UdpSocket,
    os::fd::AsRawFd as _,
    sync::atomic::Ordering,
    thread,
};

use anyhow::{Context as _, bail};
use aya::maps::{HashMap, Map, MapData};
use lb_common::local::LocalControl;

use super::{
    bridges::{self, Ports},
    mapped::Mapped,
};

#[derive(Debug)]
pub struct Namespaces {
    control: Mapped<LocalControl>,
    /// Cookies; the values mean nothing.
    set: HashMap<MapData, u64, u32>,
    own: u64,
    bridges: Vec<String>,
    /// As they were when all the namespaces behind them were found.
    ports: Ports,
}

impl Namespaces {
    /// # Errors
    /// The programs do not see this process.
    pub fn new(control: &MapData, set: Map, bridges: &[String]) -> anyhow::Result<Self> {
        let control = Mapped::new(control)?;
        let own = namespace(&witness()?, &control)?;
        let mut namespaces = Self {
            control,
            set: HashMap::try_from(set)?,
            own,
            bridges: bridges.to_vec(),
            ports: Ports::default(),
        };
        namespaces.adjust(&[own].into())?;
        namespaces.follow()?;
        Ok(namespaces)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.set.keys().flatten().count()
    }

    /// Takes in those that came, and lets go of those that went.
    pub fn follow(&mut self) -> anyhow::Result<()> {
        if self.bridges.is_empty() {
            return Ok(());
        }
        let ports = bridges::ports(&self.bridges).context("listing links")?;
        if ports == self.ports {
            return Ok(());
        }
        for bridge in ports.missing.difference(&self.ports.missing) {
            tracing::warn!(
                bridge,
                "no bridge is called so; clients behind it are balanced when it is there"
            );
        }
        let numbers: BTreeSet<i32> = ports.ports.iter().map(|port| port.namespace).collect();
        let found = bridges::namespaces(&numbers);
        let is_complete = found.len() == numbers.len();
        let mut wanted: BTreeSet<u64> = [self.own].into();
        for file in found.values() {
            wanted.insert(namespace(&witness_in(file)?, &self.control)?);
        }
        self.adjust(&wanted)?;
        // A namespace that nobody is in yet is looked for again.
        self.ports = Ports {
            ports: if is_complete {
                ports.ports
            } else {
                BTreeSet::new()
            },
            missing: ports.missing,
        };
        Ok(())
    }

    fn adjust(&mut self, wanted: &BTreeSet<u64>) -> anyhow::Result<()> {
        let known: BTreeSet<u64> = self.set.keys().collect::<Result<_, _>>()?;
        for cookie in wanted.difference(&known) {
            self.set
                .insert(cookie, 0, 0)
                .context("adding a network namespace")?;
        }
        for cookie in known.difference(wanted) {
            self.set.remove(cookie)?;
        }
        Ok(())
    }
}

/// A socket in another network namespace, where it stays.
fn witness_in(namespace: &File) -> anyhow::Result<UdpSocket> {
    let inside = || {
        // SAFETY: moves the calling thread alone, which ends with this closure.
        if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
            return Err(io::Error::last_os_error()).context("entering a network namespace");
        }
        witness()
    };
    // It does nothing that panics.
    thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|_| bail!("looking into a network namespace panicked"))
}

fn witness() -> anyhow::Result<UdpSocket> {
    UdpSocket::bind("0.0.0.0:0").context("opening a socket")
}

/// The cookie of a socket's network namespace, as the programs see it.
fn namespace(witness: &UdpSocket, control: &Mapped<LocalControl>) -> anyhow::Result<u64> {
    let waits = control.word64(0, offset_of!(LocalControl, witness));
    waits.store(cookie(witness)?, Ordering::Release);
    // Sends nothing, and the programs run before it can fail.
    let _ = witness.connect("127.0.0.1:9");
    if waits.swap(0, Ordering::AcqRel) != 0 {
        bail!("the programs do not see this process, whose cgroup is not below theirs");
    }
    Ok(control
        .word64(0, offset_of!(LocalControl, netns))
        .load(Ordering::Acquire))
}

fn cookie(socket: &UdpSocket) -> io::Result<u64> {
    let mut cookie: u64 = 0;
    let mut length = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: a socket, and a word of the size given.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(cookie)
}

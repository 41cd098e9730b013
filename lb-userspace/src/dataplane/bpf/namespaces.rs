//! Whose sockets are balanced: the network namespace of the daemon, and those behind bridges that the configuration names.
//!
//! The programs know a namespace by its cookie, which kernels before 5.14 do not tell a process: a socket that the daemon
//! connects in a namespace makes the programs tell it.

use std::{
    collections::BTreeSet, fs::File, io, mem::offset_of, net::UdpSocket, os::fd::AsRawFd as _,
    sync::atomic::Ordering, thread,
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
    /// As they were when every namespace behind them was found.
    known: Option<Ports>,
    /// Bridges that were said not to be there.
    missing: BTreeSet<String>,
}

impl Namespaces {
    /// Those that a daemon before this one named stay until [`Self::follow`] looks at them.
    ///
    /// # Errors
    /// The programs do not see this process.
    pub fn new(control: &MapData, set: Map, bridges: &[String]) -> anyhow::Result<Self> {
        let control = Mapped::new(control)?;
        let own = namespace(&witness()?, &control)?;
        let mut set = HashMap::try_from(set)?;
        set.insert(own, 0, 0)
            .context("adding a network namespace")?;
        Ok(Self {
            control,
            set,
            own,
            bridges: bridges.to_vec(),
            known: None,
            missing: BTreeSet::new(),
        })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.set.keys().flatten().count()
    }

    /// Takes in those that came, and lets go of those that went.
    pub fn follow(&mut self) -> anyhow::Result<()> {
        let ports = if self.bridges.is_empty() {
            Ports::default()
        } else {
            bridges::ports(&self.bridges).context("listing links")?
        };
        if self.known.as_ref() == Some(&ports) {
            return Ok(());
        }
        for bridge in ports.missing.difference(&self.missing) {
            tracing::warn!(
                bridge,
                "no bridge is called so; clients behind it are balanced when it is there"
            );
        }
        self.missing.clone_from(&ports.missing);
        let numbers = ports.ports.iter().map(|port| port.namespace).collect();
        let cookies = self.cookies(&numbers);
        // A namespace that nobody is in yet is looked for again.
        let is_complete = cookies.len() == numbers.len();
        self.adjust(&cookies.into_iter().chain([self.own]).collect())?;
        self.known = is_complete.then_some(ports);
        Ok(())
    }

    /// The cookies of the namespaces with these numbers, as far as they can be entered.
    fn cookies(&self, numbers: &BTreeSet<i32>) -> Vec<u64> {
        if numbers.is_empty() {
            return Vec::new();
        }
        let cookie = |file: &File| namespace(&witness_in(file)?, &self.control);
        let found = bridges::namespaces(numbers);
        let cookies = found.iter().filter_map(|(number, file)| {
            cookie(file)
                .inspect_err(|error| {
                    let error = format!("{error:#}");
                    tracing::debug!(number, error, "not looked into");
                })
                .ok()
        });
        cookies.collect()
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

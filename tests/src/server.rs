//! Light servers that say their name: a thread each rather than a process.
//!
//! Over TCP, each line is answered by `NAME LINE`, each datagram over UDP by `NAME DATAGRAM`.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd as _, RawFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context as _;
use nix::sys::socket;

use crate::{Protocol, netns::Netns};

/// How often a UDP server looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// Ends, with all its connections, when its value goes.
#[derive(Debug)]
pub struct Server {
    name: String,
    shared: Arc<Shared>,
    listeners: Vec<TcpListener>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    ends: AtomicBool,
    /// Connections accepted, or datagrams received.
    taken: AtomicU64,
    /// By the descriptor that keeps them here.
    connections: Mutex<BTreeMap<RawFd, TcpStream>>,
}

impl Server {
    /// Serves at `addresses` of `netns`.
    ///
    /// # Errors
    /// An address that is in use, or not the host's.
    pub fn start(
        netns: &Netns,
        protocol: Protocol,
        name: &str,
        addresses: &[SocketAddr],
    ) -> anyhow::Result<Self> {
        let mut server = Self {
            name: name.to_owned(),
            shared: Arc::default(),
            listeners: Vec::new(),
            threads: Vec::new(),
        };
        for &address in addresses {
            let context = || format!("{name}: listening at {address}/{protocol}");
            match protocol {
                Protocol::Tcp => {
                    let listener = netns
                        .enter(|| Ok(TcpListener::bind(address)?))
                        .with_context(context)?;
                    server.serve_tcp(listener)?;
                }
                Protocol::Udp => {
                    let bound = netns
                        .enter(|| Ok(UdpSocket::bind(address)?))
                        .with_context(context)?;
                    server.serve_udp(bound)?;
                }
            }
        }
        Ok(server)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connections accepted, or datagrams received, so far.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    fn serve_tcp(&mut self, listener: TcpListener) -> io::Result<()> {
        self.listeners.push(listener.try_clone()?);
        let (shared, name) = (Arc::clone(&self.shared), self.name.clone());
        self.threads.push(thread::spawn(move || {
            while !shared.ends.load(Ordering::Acquire) {
                let Ok((stream, _)) = listener.accept() else {
                    // Shut down, or the machine is short of something for a moment.
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                shared.taken.fetch_add(1, Ordering::Relaxed);
                let (shared, name) = (Arc::clone(&shared), name.clone());
                // Not joined: they end when their connection does.
                thread::spawn(move || shared.converse(&name, &stream));
            }
        }));
        Ok(())
    }

    fn serve_udp(&mut self, bound: UdpSocket) -> io::Result<()> {
        bound.set_read_timeout(Some(LOOK))?;
        let (shared, name) = (Arc::clone(&self.shared), self.name.clone());
        self.threads.push(thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while !shared.ends.load(Ordering::Acquire) {
                let Ok((length, peer)) = bound.recv_from(&mut buffer) else {
                    continue;
                };
                shared.taken.fetch_add(1, Ordering::Relaxed);
                let answer = [name.as_bytes(), b" ", &buffer[..length]].concat();
                // A client that is gone is no business of ours.
                let _ = bound.send_to(&answer, peer);
            }
        }));
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        for listener in &self.listeners {
            // Wakes the thread that accepts.
            let _ = socket::shutdown(listener.as_raw_fd(), socket::Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        for connection in self.shared.connections().values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<RawFd, TcpStream>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until the client or the server ends.
    fn converse(&self, name: &str, stream: &TcpStream) {
        let Ok(handle) = stream.try_clone() else {
            return;
        };
        let key = handle.as_raw_fd();
        {
            let mut connections = self.connections();
            if self.ends.load(Ordering::Acquire) {
                return;
            }
            connections.insert(key, handle);
        }
        // A broken connection is the client's to report.
        let _ = answer_lines(name, stream);
        self.connections().remove(&key);
    }
}

fn answer_lines(name: &str, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream;
    for line in BufReader::new(stream).lines() {
        writer.write_all(format!("{name} {}\n", line?).as_bytes())?;
    }
    Ok(())
}

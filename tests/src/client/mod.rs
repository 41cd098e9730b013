//! Clients in a namespace: who answers, how often, and what went wrong.

pub mod http;
pub mod session;
pub mod spread;
pub mod traffic;

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    mem,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    time::Duration,
};

use anyhow::{Context as _, bail};

use self::{session::Session, spread::Spread};
use crate::{Protocol, netns::Netns};

/// A lost datagram, or its answer, is sent again after this.
const RESEND: Duration = Duration::from_millis(250);

/// Who answered one request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    pub name: String,
    /// What had to be sent again: TCP segments, or datagrams.
    pub retries: u64,
}

/// Asks from a namespace.
#[derive(Clone, Debug)]
pub struct Client {
    netns: Netns,
    patience: Duration,
}

impl Client {
    /// A client that waits 5 s for an answer.
    pub fn new(netns: &Netns) -> Self {
        Self {
            netns: netns.clone(),
            patience: Duration::from_secs(5),
        }
    }

    /// How long to wait for a connection, and for each answer.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Who answers a new flow.
    pub fn ask(&self, protocol: Protocol, address: SocketAddr) -> anyhow::Result<String> {
        Ok(self.netns.enter(|| self.ask_here(protocol, address))?.name)
    }

    /// Who answers each of `count` new flows, asked by `threads` threads.
    pub fn spread(
        &self,
        protocol: Protocol,
        address: SocketAddr,
        count: u64,
        threads: usize,
    ) -> anyhow::Result<Spread> {
        spread::run(&self.netns, count, threads, || {
            self.ask_here(protocol, address)
        })
    }

    /// The same over HTTP: the application says its name.
    pub fn spread_http(
        &self,
        address: SocketAddr,
        count: u64,
        threads: usize,
    ) -> anyhow::Result<Spread> {
        spread::run(&self.netns, count, threads, || self.ask_app_here(address))
    }

    /// `GET path`, over a connection of its own.
    pub fn get(&self, address: SocketAddr, path: &str) -> anyhow::Result<http::Response> {
        self.request("GET", address, path)
    }

    /// `POST path` without a body.
    pub fn post(&self, address: SocketAddr, path: &str) -> anyhow::Result<http::Response> {
        self.request("POST", address, path)
    }

    fn request(
        &self,
        method: &str,
        address: SocketAddr,
        path: &str,
    ) -> anyhow::Result<http::Response> {
        self.netns.enter(|| {
            let stream = self.connect_here(address)?;
            http::request(&stream, method, address, path)
        })
    }

    /// A connection that stays.
    pub fn session(&self, address: SocketAddr) -> anyhow::Result<Session> {
        let stream = self.netns.enter(|| self.connect_here(address))?;
        Session::new(stream)
    }

    /// A connected TCP socket with time limits, for protocols of a test's own.
    pub fn connect(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        self.netns.enter(|| self.connect_here(address))
    }

    /// From a thread that is inside.
    fn ask_here(&self, protocol: Protocol, address: SocketAddr) -> anyhow::Result<Answer> {
        match protocol {
            Protocol::Tcp => self.ask_tcp(address),
            Protocol::Udp => self.ask_udp(address),
        }
    }

    fn ask_tcp(&self, address: SocketAddr) -> anyhow::Result<Answer> {
        let stream = self.connect_here(address)?;
        (&stream).write_all(b"who\n")?;
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line)?;
        Ok(Answer {
            name: name_before(&line, "who\n")?,
            retries: retransmits(&stream)?,
        })
    }

    fn ask_udp(&self, address: SocketAddr) -> anyhow::Result<Answer> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => [0u8; 4].into(),
            SocketAddr::V6(_) => [0u16; 8].into(),
        };
        let bound = UdpSocket::bind((any, 0))?;
        bound.connect(address)?;
        bound.set_read_timeout(Some(RESEND))?;
        let tries = self
            .patience
            .as_millis()
            .div_ceil(RESEND.as_millis())
            .max(1) as u64;
        let mut buffer = [0; 256];
        for retries in 0..tries {
            bound.send(b"who")?;
            match bound.recv(&mut buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    let name = name_before(&text, "who")?;
                    return Ok(Answer { name, retries });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("receiving"),
            }
        }
        bail!("no answer to {tries} datagrams");
    }

    fn ask_app_here(&self, address: SocketAddr) -> anyhow::Result<Answer> {
        let stream = self.connect_here(address)?;
        let response = http::request(&stream, "GET", address, "/")?;
        Ok(Answer {
            name: response.app_name()?,
            retries: retransmits(&stream)?,
        })
    }

    fn connect_here(&self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&address, self.patience).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }
}

/// The name in `NAME QUESTION`.
fn name_before(answer: &str, question: &str) -> anyhow::Result<String> {
    match answer
        .strip_suffix(question)
        .and_then(|rest| rest.strip_suffix(' '))
    {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ if answer.is_empty() => bail!("closed without an answer"),
        _ => bail!("no answer to {question:?}: {answer:?}"),
    }
}

/// The segments that the kernel had to send again (`tcpi_total_retrans`).
fn retransmits(stream: &TcpStream) -> io::Result<u64> {
    // SAFETY: integers only; all zero is a value.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: a socket, and a struct of the size given.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(info.tcpi_total_retrans.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_its_server() {
        assert_eq!(name_before("b1 who\n", "who\n").unwrap(), "b1");
        for (answer, complaint) in [
            ("", "closed without an answer"),
            (" who\n", "no answer to"),
            ("b1 what\n", "no answer to"),
        ] {
            let error = name_before(answer, "who\n").unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{answer:?}: {error}");
        }
    }
}

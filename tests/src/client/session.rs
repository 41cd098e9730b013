//! Connections that stay, and whether they do.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};

use super::{Client, name_before};

/// One connection to one server.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<TcpStream>,
    name: String,
    pings: u64,
}

impl Session {
    /// Asks once, to learn the server's name.
    pub(super) fn new(stream: TcpStream) -> anyhow::Result<Self> {
        let mut session = Self {
            stream: BufReader::new(stream),
            name: String::new(),
            pings: 0,
        };
        session.name = session.exchange()?;
        Ok(session)
    }

    /// Who answered first.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Asks again.
    ///
    /// # Errors
    /// The connection broke, or another server answered.
    pub fn ping(&mut self) -> anyhow::Result<()> {
        let name = self
            .exchange()
            .with_context(|| format!("the session with {}, ping {}", self.name, self.pings))?;
        ensure!(
            name == self.name,
            "a session with {} was answered by {name}",
            self.name
        );
        Ok(())
    }

    fn exchange(&mut self) -> anyhow::Result<String> {
        self.pings += 1;
        let question = format!("ping {}\n", self.pings);
        self.stream.get_ref().write_all(question.as_bytes())?;
        let mut answer = String::new();
        self.stream.read_line(&mut answer)?;
        name_before(&answer, &question)
    }
}

/// Many sessions, pinged in turn by a thread until they are looked at.
#[derive(Debug)]
pub struct Sessions {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Report>>,
}

/// How sessions fared.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Who holds a session that lives.
    pub alive: Vec<String>,
    /// What became of the others.
    pub broken: Vec<String>,
    /// Exchanges after the first of each session.
    pub pings: u64,
}

impl Sessions {
    /// Opens `count` sessions, one after the other, and pings each about every `pause`.
    pub fn open(
        client: &Client,
        address: SocketAddr,
        count: usize,
        pause: Duration,
    ) -> anyhow::Result<Self> {
        let sessions = (0..count)
            .map(|_| client.session(address))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let ends = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ends);
        let thread = thread::spawn(move || ping_all(sessions, pause, &flag));
        Ok(Self {
            ends,
            thread: Some(thread),
        })
    }

    /// Pings each once more and closes them.
    pub fn finish(mut self) -> anyhow::Result<Report> {
        self.ends.store(true, Ordering::Release);
        let thread = self.thread.take().context("finished already")?;
        thread
            .join()
            .map_err(|_| anyhow!("the thread that pings panicked"))
    }
}

impl Drop for Sessions {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
    }
}

fn ping_all(mut sessions: Vec<Session>, pause: Duration, ends: &AtomicBool) -> Report {
    let mut report = Report::default();
    loop {
        let is_last = ends.load(Ordering::Acquire);
        sessions.retain_mut(|session| {
            let result = session.ping();
            report.pings += u64::from(result.is_ok());
            result
                .inspect_err(|error| report.broken.push(format!("{error:#}")))
                .is_ok()
        });
        if is_last {
            report.alive = sessions.into_iter().map(|session| session.name).collect();
            return report;
        }
        thread::sleep(pause);
    }
}

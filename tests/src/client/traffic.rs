//! Requests in the background, each with its time, for looking at what a change did to them.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::anyhow;

use super::{Answer, Client, spread::Spread};
use crate::Protocol;

/// One request.
#[derive(Debug)]
pub struct Sample {
    pub start: Instant,
    pub took: Duration,
    pub result: anyhow::Result<Answer>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Question {
    /// Of the light servers.
    Name(Protocol),
    /// Of the HTTP application.
    Http,
}

/// Threads that ask until stopped.
#[derive(Debug)]
pub struct Traffic {
    ends: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<anyhow::Result<Vec<Sample>>>>,
}

impl Traffic {
    /// Each thread opens a new flow, waits for the answer, pauses and begins again.
    pub fn start(
        client: &Client,
        question: Question,
        address: SocketAddr,
        threads: usize,
        pause: Duration,
    ) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicU64::new(0));
        let worker = |_| {
            let (ends, asked) = (Arc::clone(&ends), Arc::clone(&asked));
            let client = client.clone();
            thread::spawn(move || {
                client.netns().join()?;
                let mut samples = Vec::new();
                while !ends.load(Ordering::Acquire) {
                    let start = Instant::now();
                    let result = match question {
                        Question::Name(protocol) => client.ask_here(protocol, address),
                        Question::Http => client.ask_app_here(address),
                    };
                    samples.push(Sample {
                        start,
                        took: start.elapsed(),
                        result,
                    });
                    asked.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                }
                Ok(samples)
            })
        };
        let threads = (0..threads).map(worker).collect();
        Self {
            ends,
            asked,
            threads,
        }
    }

    /// Requests that have come to an end so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Ends it and returns every request, in order of its start.
    pub fn finish(mut self) -> anyhow::Result<Vec<Sample>> {
        self.ends.store(true, Ordering::Release);
        let mut samples = Vec::new();
        for thread in self.threads.drain(..) {
            let of_thread = thread
                .join()
                .map_err(|_| anyhow!("a thread that asks panicked"))?;
            samples.extend(of_thread?);
        }
        samples.sort_by_key(|sample| sample.start);
        Ok(samples)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
    }
}

/// What came of samples.
pub fn summary(samples: impl IntoIterator<Item = Sample>) -> Spread {
    let mut spread = Spread::default();
    for sample in samples {
        spread.add(sample.result, sample.took);
    }
    spread
}

//! Servers that take their time, and clients that come at a steady rate whether they are served or not.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use shunt_tests::{Family, netns::Netns, topology::BackendHost};

/// Threads that each serve one connection at a time; others wait in the listener's queue.
pub struct Workers {
    counts: Arc<Counts>,
    address: SocketAddr,
    netns: Netns,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    ends: AtomicBool,
    open: AtomicUsize,
    most_open: AtomicUsize,
    served: AtomicUsize,
}

impl Workers {
    pub fn start(host: &BackendHost, workers: usize, takes: Duration) -> Self {
        let address = host.address(Family::V4);
        let listener = host
            .netns
            .enter(|| Ok(TcpListener::bind(address)?))
            .unwrap();
        let counts = Arc::new(Counts::default());
        let listener = Arc::new(listener);
        // One accepts, so that what waits is counted as open, too.
        let (sender, receiver) = std::sync::mpsc::channel::<TcpStream>();
        let receiver = Arc::new(std::sync::Mutex::new(receiver));
        let mut threads: Vec<_> = (0..workers)
            .map(|_| {
                let (receiver, counts) = (Arc::clone(&receiver), Arc::clone(&counts));
                thread::spawn(move || {
                    loop {
                        let next = receiver.lock().unwrap().recv();
                        let Ok(stream) = next else { return };
                        serve(&stream, takes);
                        counts.open.fetch_sub(1, Ordering::AcqRel);
                        counts.served.fetch_add(1, Ordering::AcqRel);
                    }
                })
            })
            .collect();
        let accepting = Arc::clone(&counts);
        threads.push(thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.ends.load(Ordering::Acquire) {
                    return;
                }
                let open = accepting.open.fetch_add(1, Ordering::AcqRel) + 1;
                accepting.most_open.fetch_max(open, Ordering::AcqRel);
                let _ = sender.send(stream.unwrap());
            }
        }));
        Self {
            counts,
            address,
            netns: host.netns.clone(),
            threads,
        }
    }

    pub fn most_open(&self) -> usize {
        self.counts.most_open.load(Ordering::Acquire)
    }

    pub fn served(&self) -> usize {
        self.counts.served.load(Ordering::Acquire)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.counts.ends.store(true, Ordering::Release);
        // It waits for a connection.
        let _ = self.netns.enter(|| Ok(TcpStream::connect(self.address)?));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Reads a line, and answers it later.
fn serve(stream: &TcpStream, takes: Duration) {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    if reader.read_line(&mut line).is_ok() {
        thread::sleep(takes);
        let mut stream = stream;
        let _ = stream.write_all(line.as_bytes());
    }
}

/// How long requests took.
pub struct Figures {
    /// Sorted.
    pub took: Vec<Duration>,
    pub failed: usize,
}

impl Figures {
    /// So many requests a second, each over a connection of its own.
    pub fn of(client: &Netns, vip: SocketAddr, rate: u64, seconds: u64) -> Self {
        let pause = Duration::from_secs(1) / rate as u32;
        let start = Instant::now();
        let requests: Vec<JoinHandle<Option<Duration>>> = (0..rate * seconds)
            .map(|number| {
                let due = start + pause * number as u32;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let client = client.clone();
                thread::spawn(move || {
                    let begin = Instant::now();
                    client.enter(|| ask(vip)).ok()?;
                    Some(begin.elapsed())
                })
            })
            .collect();
        let all: Vec<_> = requests
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect();
        let failed = all.iter().filter(|took| took.is_none()).count();
        let mut took: Vec<Duration> = all.into_iter().flatten().collect();
        took.sort_unstable();
        Self { took, failed }
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        let place = self.took.len() * percent / 100;
        self.took.get(place.min(last)).copied().unwrap_or_default()
    }
}

fn ask(vip: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&vip, Duration::from_secs(10))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(b"how are you?\n")?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    anyhow::ensure!(answer == "how are you?\n", "{answer:?}");
    Ok(())
}

//! Two thousand backends are checked by one daemon: evenly, and for little.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    resource::{Resource, getrlimit, setrlimit},
};
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    config::{Backend, Config, Service},
    daemon::Daemon,
    needs,
    netns::Netns,
    topology::{Shape, Topology, vip},
};

const BACKENDS: u16 = 2000;
const SERVICES: u16 = 20;
const FIRST_PORT: u16 = 10_000;
const INTERVAL: Duration = Duration::from_secs(2);
/// How long it is watched: several intervals.
const WATCH: Duration = Duration::from_secs(10);
/// Pieces of an interval in which checks are counted.
const PIECES: u32 = 10;

/// Accepts connections at two thousand ports, on one thread, and notes when.
struct Backends {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Instant>>>,
}

impl Backends {
    fn start(netns: &Netns, addresses: &[SocketAddr]) -> Self {
        let bind = |address: &SocketAddr| Ok(TcpListener::bind(address)?);
        let listeners: Vec<TcpListener> = netns
            .enter(|| addresses.iter().map(bind).collect())
            .unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ends);
        let thread = thread::spawn(move || accept_all(&listeners, &flag));
        Self {
            ends,
            thread: Some(thread),
        }
    }

    /// When connections came.
    fn finish(mut self) -> Vec<Instant> {
        self.ends.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Backends {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
    }
}

fn accept_all(listeners: &[TcpListener], ends: &AtomicBool) -> Vec<Instant> {
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    for (place, listener) in listeners.iter().enumerate() {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
        epoll.add(listener.as_fd(), event).unwrap();
    }
    let mut accepted = Vec::new();
    let mut ready = [EpollEvent::empty(); 64];
    while !ends.load(Ordering::Acquire) {
        let timeout = EpollTimeout::from(50_u16);
        let count = epoll.wait(&mut ready, timeout).unwrap_or(0);
        for event in &ready[..count] {
            listeners[event.data() as usize].accept().unwrap();
            accepted.push(Instant::now());
        }
    }
    accepted
}

/// Each listener is a file.
fn allow_many_files() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name, in brackets, may have blanks; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: u64 = fields[11..13]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)
        .unwrap()
        .unwrap();
    Duration::from_secs(ticks) / per_second as u32
}

fn resident_kibibytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn two_thousand_backends_are_checked_evenly_and_for_little() {
    needs!(needs::memory(4 << 10));
    allow_many_files();
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let host = &topology.backends[0];
    let ip = host.address(Family::V4).ip();
    let address = |n: u16| SocketAddr::new(ip, FIRST_PORT + n);
    let backends = Backends::start(&host.netns, &(0..BACKENDS).map(address).collect::<Vec<_>>());
    let mut config = Config::new(topology.interfaces());
    for n in 0..SERVICES {
        let health = "type = \"tcp\"\ninterval = \"2s\"\ntimeout = \"1s\"\n";
        let mut service = Service::new(
            &format!("web{n}"),
            Protocol::Tcp,
            &[vip(Family::V4, 80 + n)],
        )
        .health(health);
        for number in (0..BACKENDS).filter(|number| number % SERVICES == n) {
            let backend = Backend::new(&format!("b{number}"), address(number));
            service = service.backend(backend);
        }
        config = config.service(service);
    }
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    let all_up = |status: &Value| {
        shunt_tests::daemon::backends(status).all(|backend| backend["health"] == "up")
    };
    daemon
        .wait_status("all are up", Duration::from_secs(60), all_up)
        .unwrap();

    let pid = daemon.pid().unwrap();
    let (start, before) = (Instant::now(), cpu_time(pid));
    thread::sleep(WATCH);
    let (watched, spent) = (start.elapsed(), cpu_time(pid) - before);
    let resident = resident_kibibytes(pid);
    let status = daemon.status().unwrap();
    assert!(all_up(&status));

    let accepted = backends.finish();
    let accepted = accepted
        .iter()
        .filter(|&&at| at >= start && at < start + watched);
    let mut pieces =
        vec![0_u32; (PIECES * watched.as_secs() as u32 / INTERVAL.as_secs() as u32) as usize];
    let piece = INTERVAL / PIECES;
    for at in accepted {
        let place = (*at - start).as_nanos() / piece.as_nanos();
        if let Some(count) = pieces.get_mut(place as usize) {
            *count += 1;
        }
    }
    let expected = f64::from(BACKENDS) / f64::from(PIECES);
    let (least, most) = (pieces.iter().min().unwrap(), pieces.iter().max().unwrap());
    println!(
        "{BACKENDS} backends every {INTERVAL:?}: {:.1} % of a CPU, {} MiB; in {piece:?} {least} to {most} checks, evenly {expected}",
        100.0 * spent.as_secs_f64() / watched.as_secs_f64(),
        resident / 1024
    );
    let total: u32 = pieces.iter().sum();
    let wanted = expected * pieces.len() as f64;
    assert!(
        (f64::from(total) - wanted).abs() < wanted / 10.0,
        "{total} of {wanted}"
    );
    assert!(resident < 300 << 10, "{resident} KiB");
    // Without optimisations a look at two thousand backends takes so long that checks wait for it.
    if daemon.binary().iter().any(|part| part == "release") {
        // Five standard deviations of a Poisson process would be a third; a machine that stumbles delays some.
        assert!(f64::from(*most) < 1.6 * expected, "{pieces:?}");
        assert!(spent < watched / 2, "{spent:?} of {watched:?}");
    }
}

//! Three machines with wires between them: client, load balancer, backends.
//!
//! ```text
//!  client ══ datagrams over unix sockets ══ lb ══ the same ══ backends
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use shunt_tests::guest::protocol::{Event, FIRST, ONLY, Outcome, Plan};

use super::{
    accelerator::{self, Accelerator},
    bench,
    harness::Harness,
    image, interrupt,
    kernels::Kernel,
    machine::{Ended, Machine, Parts},
};

/// The file with a test for each machine, which takes its name.
const BINARY: &str = "three_machines";
const CLIENT: &str = "client";
/// From the first start to the client's end. Emulated, on an idle machine, it takes less than a minute.
const LIMIT: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);
/// Of each machine that one that does not boot is tried again.
const TRIES: usize = 2;

/// What a machine's interfaces are wired to: pairs of sockets, its own and the other end's.
const WIRES: &[(&str, &[(&str, &str)])] = &[
    ("backends", &[("backends", "lb-1")]),
    (CLIENT, &[("client", "lb-0")]),
    ("lb", &[("lb-0", "client"), ("lb-1", "backends")]),
];

/// What came of one kernel.
#[derive(Debug)]
pub struct Report {
    pub kernel: String,
    /// Why it failed, with what the machines said.
    pub failure: Option<String>,
    pub took: Duration,
}

/// Every kernel in turn.
pub fn run(harness: &Harness, kernels: &[Kernel], keep: bool) -> Result<Vec<Report>> {
    let plan = bench::plan(harness.ignored(BINARY));
    kernels
        .iter()
        .map(|kernel| Trio::new(harness, &plan, kernel, keep)?.run())
        .collect()
}

struct Trio<'a> {
    plan: &'a Plan,
    kernel: &'a Kernel,
    accelerator: Accelerator,
    directory: PathBuf,
    image: PathBuf,
    keep: bool,
}

/// One of the machines.
struct Player {
    name: &'static str,
    machine: Machine,
    ready: bool,
    outcome: Option<Outcome>,
    output: Vec<String>,
}

impl<'a> Trio<'a> {
    fn new(harness: &Harness, plan: &'a Plan, kernel: &'a Kernel, keep: bool) -> Result<Self> {
        let directory = bench::directory()?.join(format!("trio-{}", kernel.name));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)
            .with_context(|| format!("making {}", directory.display()))?;
        let image = directory.join("image.cpio");
        image::write(kernel, harness, plan, &image)?;
        let accelerator = accelerator::choose(&kernel.image, &image, &directory)?;
        Ok(Self {
            plan,
            kernel,
            accelerator,
            directory,
            image,
            keep,
        })
    }

    fn run(&self) -> Result<Report> {
        let start = Instant::now();
        let mut failure = None;
        for _ in 0..TRIES {
            let mut players = self.start()?;
            let end = watch(&mut players);
            for player in &mut players {
                player.machine.kill();
            }
            let end = end?;
            let booted = players.iter().all(|player| player.ready);
            failure = end.map(|why| tell(&why, &players));
            if booted {
                break;
            }
        }
        let report = Report {
            kernel: self.kernel.version().to_owned(),
            failure,
            took: start.elapsed(),
        };
        self.tidy(report.failure.is_none())?;
        println!("{}", report.line());
        Ok(report)
    }

    fn start(&self) -> Result<Vec<Player>> {
        WIRES
            .iter()
            .map(|&(name, wires)| {
                let tests = &self.plan.tests;
                let number = tests.iter().position(|test| test.name == name);
                let number = number.with_context(|| format!("{BINARY} has no test {name}"))?;
                let parts = Parts {
                    kernel: &self.kernel.image,
                    image: &self.image,
                    accelerator: &self.accelerator,
                    arguments: format!("{FIRST}={number} {ONLY}"),
                    devices: self.devices(name, wires)?,
                };
                let console = self.directory.join(format!("{name}.log"));
                Ok(Player {
                    name,
                    machine: Machine::start(&parts, &console)?,
                    ready: false,
                    outcome: None,
                    output: Vec::new(),
                })
            })
            .collect()
    }

    /// An interface for each wire. What is sent before the other end is there is lost, as on a cable.
    fn devices(&self, name: &str, wires: &[(&str, &str)]) -> Result<Vec<String>> {
        let machine = WIRES.iter().position(|(known, _)| *known == name);
        let machine = machine.context("no such machine")?;
        let mut options = Vec::new();
        for (n, (own, other)) in wires.iter().enumerate() {
            let [own, other] = [own, other].map(|end| self.socket(end));
            // It stays when its machine was killed.
            let _ = fs::remove_file(&own);
            options.extend([
                "-netdev".to_owned(),
                format!(
                    "dgram,id=net{n},local.type=unix,local.path={},remote.type=unix,remote.path={}",
                    own.display(),
                    other.display()
                ),
                "-device".to_owned(),
                format!("virtio-net-pci,netdev=net{n},mac=52:54:00:00:{machine:02x}:{n:02x}"),
            ]);
        }
        Ok(options)
    }

    fn socket(&self, end: &str) -> PathBuf {
        self.directory.join(format!("{end}.sock"))
    }

    fn tidy(&self, good: bool) -> Result<()> {
        if good && !self.keep {
            fs::remove_dir_all(&self.directory)?;
        } else if !self.keep {
            fs::remove_file(&self.image)?;
        }
        Ok(())
    }
}

/// Until the client has ended: why it failed, or that it did not.
fn watch(players: &mut [Player]) -> Result<Option<String>> {
    let start = Instant::now();
    loop {
        if interrupt::requested() {
            bail!("interrupted");
        }
        for player in &mut *players {
            if let Some(trouble) = player.listen() {
                return Ok(Some(trouble));
            }
            match &player.outcome {
                Some(Outcome::Passed) if player.name == CLIENT => return Ok(None),
                Some(Outcome::Failed { reason } | Outcome::NotRun { reason }) => {
                    return Ok(Some(format!("{} failed: {reason}", player.name)));
                }
                _ => {}
            }
        }
        if start.elapsed() > LIMIT {
            return Ok(Some(format!("not done after {LIMIT:?}")));
        }
    }
}

impl Player {
    /// Takes in what it says; why it cannot go on, if so.
    fn listen(&mut self) -> Option<String> {
        match self.machine.event(POLL) {
            Ok(Some(Event::Ready { .. })) => self.ready = true,
            Ok(Some(Event::Output { line, .. })) => self.output.push(line),
            Ok(Some(Event::Ended { outcome, .. })) => self.outcome = Some(outcome),
            Ok(Some(Event::Trouble { what })) => return Some(format!("{}: {what}", self.name)),
            Ok(Some(Event::Started { .. } | Event::Done) | None) => {}
            // One that has done its part goes off.
            Err(Ended) if self.outcome.is_some() => {}
            Err(Ended) => return Some(format!("{} went off", self.name)),
        }
        let trouble = self.machine.console.trouble()?;
        Some(format!("{}: {trouble}", self.name))
    }
}

fn tell(why: &str, players: &[Player]) -> String {
    let said = players.iter().map(|player| {
        format!(
            "---- {} ({}) ----\n{}",
            player.name,
            display(player.machine.console.path()),
            player.output.join("\n")
        )
    });
    let said: Vec<String> = said.collect();
    format!("{why}\n{}", said.join("\n"))
}

fn display(path: &Path) -> String {
    path.display().to_string()
}

impl Report {
    fn line(&self) -> String {
        let verdict = match &self.failure {
            None => "ok".to_owned(),
            Some(why) => format!("FAILED: {why}"),
        };
        format!(
            "vm [{}] three machines, with failover ... {verdict} ({:.1} s)",
            self.kernel,
            self.took.as_secs_f64()
        )
    }
}

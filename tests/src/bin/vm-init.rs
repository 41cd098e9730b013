//! Init of a test VM: mounts, runs the tests of the plan one by one, reports over the second serial port, powers off.
//!
//! Process 1 only collects orphans and powers off; its child does the work, so that nothing that goes wrong there is
//! a kernel panic.

use std::{
    env, fs,
    fs::{File, OpenOptions},
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::{
        reboot::{RebootMode, reboot},
        termios,
        wait::{WaitStatus, wait},
    },
    unistd::{Pid, setsid, sync},
};
use shunt_tests::guest::{
    boot,
    protocol::{self, Event, Outcome, Plan},
    runner,
};

/// What process 1 calls its child.
const WORKER: &str = "--worker";

fn main() {
    if env::args().nth(1).is_some_and(|first| first == WORKER) {
        if let Err(error) = work() {
            eprintln!("vm-init: {error:#}");
            std::process::exit(1);
        }
        return;
    }
    if std::process::id() != 1 {
        eprintln!(
            "vm-init is the first process of a test VM and does nothing elsewhere; see `cargo xtask test vm`"
        );
        std::process::exit(2);
    }
    if let Err(error) = boot::prepare().and_then(|()| supervise()) {
        eprintln!("vm-init: {error:#}");
    }
    sync();
    // It returns only where it failed; then the kernel panics because init ends, which the host sees.
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

/// Starts the worker and collects every process that ends, until it does.
fn supervise() -> anyhow::Result<()> {
    let worker = Command::new("/init")
        .arg(WORKER)
        .env_clear()
        .envs(boot::ENVIRONMENT.iter().copied())
        .spawn()
        .context("starting /init")?;
    let worker = Pid::from_raw(worker.id().cast_signed());
    loop {
        match wait()? {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _) if pid == worker => {
                return Ok(());
            }
            _ => {}
        }
    }
}

fn work() -> anyhow::Result<()> {
    let line = fs::read_to_string("/proc/cmdline")?;
    if protocol::argument(&line, protocol::SHELL).is_some() {
        return shell();
    }
    let events = Mutex::new(open_events()?);
    let report = |event: &Event| {
        let line = format!("{}\n", event.to_line());
        // Where the host cannot be told, nobody can.
        if let Ok(mut events) = events.lock() {
            let _ = events.write_all(line.as_bytes());
        }
    };
    let kernel = nix::sys::utsname::uname()?;
    report(&Event::Ready {
        kernel: kernel.release().to_string_lossy().into_owned(),
    });
    if let Err(error) = run_plan(&line, &report) {
        report(&Event::Trouble {
            what: format!("{error:#}"),
        });
    }
    report(&Event::Done);
    Ok(())
}

fn run_plan(line: &str, report: &(impl Fn(&Event) + Sync)) -> anyhow::Result<()> {
    let text = fs::read_to_string(protocol::PLAN).context("reading the plan")?;
    let plan: Plan = serde_json::from_str(&text).context("reading the plan")?;
    let first = protocol::argument(line, protocol::FIRST).unwrap_or("0");
    let first: usize = first.parse().context("the number of the first test")?;
    let limit = Duration::from_secs(plan.limit_seconds);
    let count = match protocol::argument(line, protocol::ONLY) {
        Some(_) => 1,
        None => plan.tests.len(),
    };
    for (number, test) in plan.tests.iter().enumerate().skip(first).take(count) {
        report(&Event::Started { test: number });
        let start = Instant::now();
        let outcome =
            runner::run(number, test, limit, report).unwrap_or_else(|error| Outcome::Failed {
                reason: format!("{error:#}"),
            });
        report(&Event::Ended {
            test: number,
            millis: start.elapsed().as_millis() as u64,
            outcome,
        });
    }
    Ok(())
}

/// The serial port, passing bytes on as they are.
fn open_events() -> anyhow::Result<File> {
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(protocol::EVENTS)
        .with_context(|| format!("opening {}", protocol::EVENTS))?;
    let mut settings = termios::tcgetattr(&port)?;
    termios::cfmakeraw(&mut settings);
    termios::tcsetattr(&port, termios::SetArg::TCSANOW, &settings)?;
    Ok(port)
}

/// A shell on the console, with job control. The VM ends with it.
fn shell() -> anyhow::Result<()> {
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/ttyS0")?;
    let mut command = Command::new("/usr/bin/bash");
    command
        .arg("--login")
        .current_dir(protocol::TESTS)
        .stdin(Stdio::from(console.try_clone()?))
        .stdout(Stdio::from(console.try_clone()?))
        .stderr(Stdio::from(console));
    let own_terminal = || {
        setsid()?;
        // SAFETY: takes integers only; makes the terminal at descriptor 0 the session's.
        if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(())
    };
    // SAFETY: between fork and exec, two system calls that allocate nothing.
    unsafe { command.pre_exec(own_terminal) };
    command.status().context("starting bash")?;
    Ok(())
}

//! How is qemu started, listened to and ended?

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use shunt_tests::guest::protocol::Event;

use super::{accelerator::Accelerator, console::Console};

/// MiB. The image is in it twice while it is unpacked.
const MEMORY: &str = "1536";

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    pub kernel: &'a Path,
    pub image: &'a Path,
    pub accelerator: &'a Accelerator,
    /// Further words for the kernel's command line.
    pub arguments: String,
    /// Further options of qemu.
    pub devices: Vec<String>,
}

impl Parts<'_> {
    /// Everything but where its serial ports go.
    fn command(&self) -> Command {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-machine", "q35", "-m", MEMORY, "-smp", "2", "-cpu", "max"])
        .args(self.accelerator.options())
        .args(["-device", "virtio-rng-pci"])
        .args(&self.devices)
        .arg("-kernel")
        .arg(self.kernel)
        .arg("-initrd")
        .arg(self.image)
        .arg("-append")
        .arg(self.command_line());
        // SAFETY: between fork and exec, one system call that takes integers.
        unsafe {
            qemu.pre_exec(|| {
                // A machine does not outlive the one who started it, however that one ends.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        qemu
    }

    /// What is a hang on an idle machine may be patience on a busy one: the limits are long, and this program's own ones
    /// end a machine first. What hardens a kernel costs an emulated one a tenth of its time.
    fn command_line(&self) -> String {
        let mut line = "console=ttyS0,115200 panic=-1 oops=panic random.trust_cpu=on nokaslr mitigations=off \
             init_on_alloc=0 apparmor=0 audit=0 hardened_usercopy=off \
             rcupdate.rcu_cpu_stall_timeout=60 sysctl.kernel.watchdog_thresh=30 sysctl.kernel.softlockup_panic=1"
            .to_owned();
        if let Some(rate) = self.accelerator.clock_rate() {
            line.push_str(&format!(" tsc_early_khz={rate}"));
        }
        format!("{line} {}", self.arguments)
    }
}

/// A running one. Dropped, it is killed.
#[derive(Debug)]
pub struct Machine {
    qemu: Child,
    events: Receiver<Event>,
    pub console: Console,
}

impl Machine {
    /// Its console goes to `CONSOLE`, its events to this program, what qemu itself says to `CONSOLE.qemu`.
    pub fn start(parts: &Parts<'_>, console: &Path) -> Result<Self> {
        let said: PathBuf = console.with_extension("qemu.log");
        let mut command = parts.command();
        command
            .arg("-chardev")
            .arg(format!("file,id=console,path={}", console.display()))
            .args(["-serial", "chardev:console", "-serial", "stdio"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&said)?)
            // Ctrl-C is for this program, which ends the machine.
            .process_group(0);
        let mut qemu = command
            .spawn()
            .context("qemu-system-x86_64 cannot be started")?;
        let output = qemu.stdout.take().context("qemu has no output")?;
        let (sender, events) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while let Ok(1..) = output.read_until(b'\n', &mut line) {
                if let Some(event) = Event::parse(&String::from_utf8_lossy(&line))
                    && sender.send(event).is_err()
                {
                    return;
                }
                line.clear();
            }
        });
        Ok(Self {
            qemu,
            events,
            console: Console::new(console),
        })
    }

    /// The next event, if there is one within this time. `Err` when there will be none any more.
    pub fn event(&self, within: Duration) -> Result<Option<Event>, Ended> {
        match self.events.recv_timeout(within) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Ended),
        }
    }

    /// Ends it at once, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The machine is off.
#[derive(Clone, Copy, Debug)]
pub struct Ended;

/// A machine whose console is this terminal, until it is off.
pub fn interact(parts: &Parts<'_>) -> Result<()> {
    let status = parts
        .command()
        .args(["-chardev", "stdio,id=console,mux=on,signal=off"])
        .args([
            "-serial",
            "chardev:console",
            "-serial",
            "null",
            "-mon",
            "chardev=console",
        ])
        .status()
        .context("qemu-system-x86_64 cannot be started")?;
    anyhow::ensure!(status.success(), "qemu ended with {status}");
    Ok(())
}

//! A host: a network namespace that goes when its last handle goes.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
};

use anyhow::{Context as _, bail};
use nix::sched::{CloneFlags, setns};

use crate::{scratch, stale};

/// Where iproute2 keeps namespaces by name.
pub(crate) const DIRECTORY: &str = "/run/netns";

/// Addresses are usable at once, and nobody hands out others.
const QUIET: [(&str, &str); 4] = [
    ("net/ipv6/conf/all/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/router_solicitations", "0"),
];

/// A handle of a namespace. With the last one go the namespace and the processes in it.
#[derive(Clone, Debug)]
pub struct Netns(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    handle: File,
}

/// What an interface has seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Packets {
    pub received: u64,
    pub sent: u64,
}

impl Netns {
    /// A namespace with nothing but its loopback, which is up.
    ///
    /// # Errors
    /// Without root, or without iproute2.
    pub fn new(role: &str) -> anyhow::Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!("network namespaces need root; run this as root (`sudo -E cargo …`)");
        }
        let name = scratch::unique_name(role);
        run(Command::new("ip").args(["netns", "add", &name]), None)?;
        let path = Path::new(DIRECTORY).join(&name);
        let handle = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        let netns = Self(Arc::new(Inner { name, handle }));
        netns.enter(|| QUIET.iter().try_for_each(|(key, value)| write(key, value)))?;
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// As `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Runs `work` on a thread inside. Sockets made there stay there, whoever uses them afterwards.
    ///
    /// # Errors
    /// Those of `work`. A panic goes on in the caller.
    pub fn enter<T: Send>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let inside = || {
            self.join()?;
            work()
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Moves the calling thread inside, for the rest of its life.
    pub(crate) fn join(&self) -> anyhow::Result<()> {
        setns(&self.0.handle, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("entering the namespace {}", self.name()))
    }

    /// A command that runs inside. Unlike with `ip netns exec`, it sees the machine's own `/sys`, with every bpffs.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let inner = Arc::clone(&self.0);
        let enter = move || setns(&inner.handle, CloneFlags::CLONE_NEWNET).map_err(io::Error::from);
        // SAFETY: between fork and exec, one system call that allocates nothing.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// Runs a command inside to its end and returns what it printed.
    ///
    /// # Errors
    /// An exit code other than 0, with what it said.
    pub fn run(
        &self,
        program: impl AsRef<OsStr>,
        arguments: &[impl AsRef<OsStr>],
    ) -> anyhow::Result<String> {
        run(self.command(program).args(arguments), None)
            .with_context(|| format!("in the namespace {}", self.name()))
    }

    /// Runs a script of `ip` commands inside, one a line, without the word `ip`.
    pub fn ip(&self, script: &str) -> anyhow::Result<()> {
        run(self.command("ip").args(["-batch", "-"]), Some(script))
            .with_context(|| format!("in the namespace {}: ip\n{script}", self.name()))?;
        Ok(())
    }

    /// Sets a switch of the kernel, named as below `/proc/sys`: `net/ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.enter(|| write(key, value))
    }

    /// Turns the host into a router.
    pub fn enable_forwarding(&self) -> anyhow::Result<()> {
        self.enter(|| {
            write("net/ipv4/ip_forward", "1")?;
            write("net/ipv6/conf/all/forwarding", "1")
        })
    }

    /// Makes the host finish the checksums of what it sends: XDP on the other end of a veth sees them as they are.
    pub fn finish_checksums(&self, device: &str) -> anyhow::Result<()> {
        self.run("ethtool", &["-K", device, "tx", "off"])?;
        Ok(())
    }

    /// Lays a cable to another host.
    pub fn wire(&self, device: &str, other: &Self, other_device: &str) -> anyhow::Result<()> {
        self.ip(&format!(
            "link add {device} type veth peer name {other_device} netns {}\nlink set {device} up",
            other.name()
        ))?;
        other.ip(&format!("link set {other_device} up"))
    }

    /// Takes an interface of the namespace that this program runs in.
    ///
    /// # Errors
    /// There is none of this name, perhaps only yet.
    pub fn take(&self, device: &str) -> anyhow::Result<()> {
        let mut command = Command::new("ip");
        run(
            command.args(["link", "set", device, "netns", self.name()]),
            None,
        )?;
        self.ip(&format!("link set {device} up"))
    }

    /// Adds addresses, `10.0.0.1/24` or `fd00::1/64`, usable at once.
    pub fn address(&self, device: &str, addresses: &[&str]) -> anyhow::Result<()> {
        let line = |address: &&str| {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            format!("addr add {address} dev {device}{nodad}\n")
        };
        self.ip(&addresses.iter().map(line).collect::<String>())
    }

    /// The packets of an interface since it was made.
    pub fn packets(&self, device: &str) -> anyhow::Result<Packets> {
        let text = self.run("ip", &["-json", "-stats", "link", "show", "dev", device])?;
        let json: serde_json::Value = serde_json::from_str(&text)?;
        let count = |direction: &str| {
            json[0]["stats64"][direction]["packets"]
                .as_u64()
                .with_context(|| format!("`ip -stats` shows no packets of {device}: {text}"))
        };
        Ok(Packets {
            received: count("rx")?,
            sent: count("tx")?,
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let path = PathBuf::from(DIRECTORY).join(&self.name);
        if let Err(error) = stale::remove_netns(&path) {
            eprintln!("removing the namespace {}: {error:#}", self.name);
        }
    }
}

fn write(key: &str, value: &str) -> anyhow::Result<()> {
    let path = Path::new("/proc/sys").join(key);
    fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
}

/// Runs a command to its end, with `input`, and returns what it printed.
pub(crate) fn run(command: &mut Command, input: Option<&str>) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output = feed(command, input)
        .with_context(|| format!("running {shown}; is the program installed?"))?;
    if !output.status.success() {
        bail!(
            "{shown}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn feed(command: &mut Command, input: Option<&str>) -> io::Result<Output> {
    let mut child = command
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
        // A program that ended early says why itself.
        let _ = pipe.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

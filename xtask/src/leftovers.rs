//! Did the tests clean up behind them? What is there afterwards and was not before is left over.

use std::{
    collections::BTreeSet,
    env, fs,
    path::Path,
    process::{self as std_process, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::process;

/// How long the kernel may take to free what nobody holds any more.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
/// What names of ours begin with.
const PREFIX: &str = "shunt-";
const PINS: &str = "shunt";
const PROGRAMS: &str = "shunt_";

/// What was there before the tests.
#[derive(Debug)]
pub struct Before {
    things: BTreeSet<String>,
}

impl Before {
    pub fn look() -> Result<Self> {
        adopt_orphans()?;
        Ok(Self { things: things()? })
    }

    /// An error that names what is left, if anything is.
    pub fn compare(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let left: Vec<String> = things()?.difference(&self.things).cloned().collect();
            if left.is_empty() {
                return Ok(());
            }
            if start.elapsed() > GRACE {
                bail!("the tests left behind: {}", left.join("; "));
            }
            thread::sleep(POLL);
        }
    }
}

/// Makes processes whose parent has died children of this one: then they are the tests' leftovers, and nobody
/// else's.
fn adopt_orphans() -> Result<()> {
    // SAFETY: takes integers only.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result != 0 {
        return Err(std::io::Error::last_os_error()).context("orphans cannot be adopted");
    }
    Ok(())
}

fn things() -> Result<BTreeSet<String>> {
    reap();
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let mut things = BTreeSet::new();
    things.extend(
        names(Path::new("/run/netns"))
            .filter(|name| name.starts_with(PREFIX))
            .map(|name| format!("network namespace {name} (`ip netns del {name}`)")),
    );
    things.extend(
        names(&env::temp_dir())
            .filter(|name| name.starts_with(PREFIX))
            .map(|name| format!("directory {name} in {}", env::temp_dir().display())),
    );
    things.extend(
        names(Path::new("/sys/fs/bpf"))
            .filter(|name| name.starts_with(PINS))
            .map(|name| format!("pin /sys/fs/bpf/{name}")),
    );
    things.extend(bpf_mounts(&mounts).map(|at| format!("mount {at} (`umount {at}`)")));
    things.retain(|thing| !maker(thing).is_some_and(is_alive));
    things.extend(children()?);
    things.extend(programs()?);
    Ok(things)
}

/// The process that made something: the tests name what they make `shunt-PID-N-ROLE`. All processes of these
/// tests have ended, so what a living one made belongs to another run.
fn maker(thing: &str) -> Option<u32> {
    let (_, rest) = thing.split_once(PREFIX)?;
    let (pid, _) = rest.split_once('-')?;
    pid.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Collects adopted orphans that have ended.
fn reap() {
    // SAFETY: no status is asked for; this process waits for no other child at this time.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

fn names(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn bpf_mounts(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        (kind == "bpf").then_some(at)
    })
}

fn children() -> Result<Vec<String>> {
    let me = std_process::id();
    let children = format!("/proc/{me}/task/{me}/children");
    let children =
        fs::read_to_string(&children).with_context(|| format!("cannot read {children}"))?;
    Ok(children
        .split_whitespace()
        .map(|pid| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            format!("process {pid} ({})", command.trim())
        })
        .collect())
}

/// Loaded programs of ours that no process holds: they are pinned or attached. Those that one holds are its
/// business: a leftover process is named itself, and others on this machine may be at work.
fn programs() -> Result<Vec<String>> {
    let answer = process::answer(Command::new("bpftool").args(["--json", "prog", "show"]))?;
    let programs: Value =
        serde_json::from_str(&answer).context("bpftool does not answer in JSON")?;
    Ok(unheld(&programs))
}

fn unheld(programs: &Value) -> Vec<String> {
    let programs = programs.as_array().into_iter().flatten();
    programs
        .filter_map(|program| {
            let name = program["name"].as_str()?;
            let held = program["pids"]
                .as_array()
                .is_some_and(|pids| !pids.is_empty());
            (name.starts_with(PROGRAMS) && !held)
                .then(|| format!("kernel program {name}, id {}", program["id"]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_mounts_of_the_bpf_file_system_count() {
        let table = "proc /proc proc rw 0 0\n\
            bpf /tmp/a/bpf bpf rw 0 0\n\
            nsfs /run/netns/shunt-lb nsfs rw 0 0\n\
            broken";
        assert_eq!(bpf_mounts(table).collect::<Vec<_>>(), ["/tmp/a/bpf"]);
    }

    #[test]
    fn things_name_their_maker() {
        assert_eq!(
            maker("network namespace shunt-12-0-lb (`ip netns del shunt-12-0-lb`)"),
            Some(12)
        );
        assert_eq!(maker("mount /tmp/shunt-7-3-daemon/bpf"), Some(7));
        assert_eq!(maker("mount /tmp/a/bpf"), None);
        assert_eq!(maker("network namespace shunt-lb"), None);
        assert!(is_alive(std_process::id()));
        assert!(!is_alive(u32::MAX));
    }

    #[test]
    fn programs_count_when_nobody_holds_them() {
        let programs = json!([
            {"id": 1, "name": "shunt_xdp", "pids": [{"pid": 5, "comm": "shunt"}]},
            {"id": 2, "name": "shunt_xdp"},
            {"id": 3, "name": "other"},
            {"id": 4},
        ]);
        assert_eq!(unheld(&programs), ["kernel program shunt_xdp, id 2"]);
    }
}

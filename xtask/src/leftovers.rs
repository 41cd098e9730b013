//! Did the tests clean up behind them? What is there afterwards and was not before is left over.

use std::{
    collections::BTreeSet,
    fs,
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
const NAMESPACES: &str = "shunt-";
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
    let mut things = BTreeSet::new();
    things.extend(
        namespaces().map(|name| format!("network namespace {name} (`ip netns del {name}`)")),
    );
    things.extend(pins().map(|name| format!("pin /sys/fs/bpf/{name}")));
    things.extend(
        mounts(&fs::read_to_string("/proc/self/mounts")?)
            .map(|at| format!("mount {at} (`umount {at}`)")),
    );
    things.extend(children()?);
    things.extend(programs()?);
    Ok(things)
}

/// Collects adopted orphans that have ended.
fn reap() {
    // SAFETY: no status is asked for; this process waits for no other child at this time.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
}

fn names(directory: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

fn namespaces() -> impl Iterator<Item = String> {
    names("/run/netns").filter(|name| name.starts_with(NAMESPACES))
}

fn pins() -> impl Iterator<Item = String> {
    names("/sys/fs/bpf").filter(|name| name.starts_with(PINS))
}

/// Mounted BPF file systems and network namespaces. Of those of others, only namespaces have names.
fn mounts(table: &str) -> impl Iterator<Item = &str> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (at, kind) = (fields.next()?, fields.next()?);
        let ours = match kind {
            "bpf" => true,
            "nsfs" => Path::new(at)
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(NAMESPACES)),
            _ => false,
        };
        ours.then_some(at)
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
    fn only_mounts_that_tests_make_count() {
        let table = "proc /proc proc rw 0 0\n\
            bpf /tmp/a/bpf bpf rw 0 0\n\
            nsfs /run/netns/shunt-lb nsfs rw 0 0\n\
            nsfs /run/docker/netns/default nsfs rw 0 0\n\
            broken";
        let found: Vec<&str> = mounts(table).collect();
        assert_eq!(found, ["/tmp/a/bpf", "/run/netns/shunt-lb"]);
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

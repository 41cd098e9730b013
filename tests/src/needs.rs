//! What a test needs of the machine it runs on, said at its top:
//!
//! ```no_run
//! # use shunt_tests::needs;
//! #[test]
//! fn tunnels() {
//!     needs!(needs::kernel("6.1"), needs::module("ipip"));
//!     // …
//! }
//! ```
//!
//! Where something is missing the test ends there. `cargo xtask test` then reports it as not run, with the reason, and
//! fails if it ran nowhere: neither in namespaces on the host nor in a VM.

use std::{
    env, fs,
    fs::OpenOptions,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// Names the file that tests which cannot run are written to, a line each: its name, a tab, the reason.
pub const FILE: &str = "SHUNT_NOT_RUN";
/// Set in a test VM.
pub const IN_GUEST: &str = "SHUNT_GUEST";

/// What is missing, in words.
pub type Need = Result<(), String>;

/// Ends the test where one of its needs is not met.
#[macro_export]
macro_rules! needs {
    ($($need:expr),+ $(,)?) => {
        $(if let Err(reason) = $need {
            fn here() {}
            $crate::needs::not_run(std::any::type_name_of_val(&here), &reason);
            return;
        })+
    };
}
#[doc(inline)]
pub use crate::needs;

/// Linux of this version or a later one.
pub fn kernel(version: &str) -> Need {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_err(|error| format!("the kernel's release is unknown: {error}"))?;
    at_least(release.trim(), version)
}

fn at_least(release: &str, wanted: &str) -> Need {
    if numbers(release) >= numbers(wanted) {
        return Ok(());
    }
    Err(format!("needs Linux {wanted}, this is {release}"))
}

/// The first two numbers of a version.
fn numbers(version: &str) -> Vec<u32> {
    version
        .split(|character: char| !character.is_ascii_digit())
        .map_while(|number| number.parse().ok())
        .take(2)
        .collect()
}

/// A module of the kernel, which is loaded where it is not yet, or built in.
pub fn module(name: &str) -> Need {
    let loaded = Path::new("/sys/module").join(name.replace('-', "_"));
    let exists = loaded.exists()
        || Command::new("modprobe")
            .args(["--quiet", name])
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
    if exists {
        return Ok(());
    }
    Err(format!("needs the kernel module {name}"))
}

/// The project's own files: README, examples, the `xtask` beside the tests.
pub fn sources() -> Need {
    if crate::app::directory().exists() {
        return Ok(());
    }
    Err("needs the project's files, which are not on this machine".to_owned())
}

/// How often something is done: less often on an emulated machine, which takes several times longer for each.
pub fn repetitions(here: u64, in_guest: u64) -> u64 {
    if env::var_os(IN_GUEST).is_some() {
        in_guest
    } else {
        here
    }
}

/// The same, but as often as can be where `SHUNT_AT_LENGTH` is set.
pub fn at_length(full: u64, here: u64, in_guest: u64) -> u64 {
    if env::var_os("SHUNT_AT_LENGTH").is_some() {
        full
    } else {
        repetitions(here, in_guest)
    }
}

/// So much memory, free or not, in MiB.
pub fn memory(mebibytes: u64) -> Need {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kibibytes| kibibytes / 1024);
    if total >= mebibytes {
        return Ok(());
    }
    Err(format!(
        "needs {mebibytes} MiB of memory, there are {total}"
    ))
}

/// A program in `PATH`.
pub fn program(name: &str) -> Need {
    let path = env::var_os("PATH").unwrap_or_default();
    if env::split_paths(&path).any(|directory| directory.join(name).is_file()) {
        return Ok(());
    }
    Err(format!("needs the program {name}"))
}

/// A Python with FastAPI, for [`crate::app`].
pub fn fastapi() -> Need {
    match crate::app::python() {
        Ok(_) => Ok(()),
        Err(_) if env::var_os(IN_GUEST).is_some() => {
            Err("needs Python with FastAPI, which is not in the VM's image".to_owned())
        }
        // On a host it belongs to the set-up, and the test that starts it says how to get it.
        Err(_) => Ok(()),
    }
}

/// Says that the test that runs on this thread, in the crate of `here`, does not run. Called by the macro.
pub fn not_run(here: &str, reason: &str) {
    let krate = here.split("::").next().unwrap_or(here);
    // Whose function it is, wherever in it or below it the need is said.
    let thread = thread::current();
    let test = format!("{krate}::{}", thread.name().unwrap_or("unknown"));
    println!("not run: {test}: {reason}");
    let Some(path) = env::var_os(FILE) else {
        return;
    };
    let line = format!("{test}\t{reason}\n");
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        // Else the test would count as passed.
        eprintln!("{} cannot be written: {error}", path.display());
        std::process::abort();
    }
}

/// The reason in a line of the [file](FILE).
pub fn reason(line: &str) -> &str {
    line.split_once('\t').map_or(line, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        for (release, wanted, enough) in [
            ("5.10.0-46-cloud-amd64", "5.10", true),
            ("5.10.0-46-cloud-amd64", "6.1", false),
            ("6.12.117+deb12-cloud-amd64", "6.6", true),
            ("7.3.4+deb13-cloud-amd64", "6.12", true),
            ("6.1.0", "6.12", false),
        ] {
            assert_eq!(at_least(release, wanted).is_ok(), enough, "{release}");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(
            at_least("5.10.0-46", "6.6").unwrap_err(),
            "needs Linux 6.6, this is 5.10.0-46"
        );
        let error = module("shunt_no_such_module").unwrap_err();
        assert_eq!(error, "needs the kernel module shunt_no_such_module");
        assert!(memory(u64::MAX).unwrap_err().contains("MiB of memory"));
        memory(1).unwrap();
        program("sh").unwrap();
        program("shunt-no-such-program").unwrap_err();
    }
}

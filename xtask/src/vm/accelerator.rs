//! Does KVM work here, or is the machine emulated?

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use shunt_tests::guest::protocol::Event;

use super::machine::{Ended, Machine, Parts};

/// A machine under a KVM that works is up in two or three.
const TRIAL: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Accelerator {
    Kvm,
    Tcg {
        /// Of the time stamp counter, in kHz. A guest that has to measure it is wrong now and then, because this
        /// machine does other things as well.
        clock_rate: Option<u64>,
    },
}

impl Accelerator {
    pub fn options(&self) -> [&'static str; 2] {
        match self {
            Self::Kvm => ["-accel", "kvm"],
            Self::Tcg { .. } => ["-accel", "tcg,thread=multi"],
        }
    }

    pub fn clock_rate(&self) -> Option<u64> {
        match self {
            Self::Kvm => None,
            Self::Tcg { clock_rate } => *clock_rate,
        }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Tcg { .. } => "emulation (TCG)",
        }
    }

    fn tcg() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self::Tcg {
            clock_rate: clock_rate(&info),
        }
    }
}

/// KVM only where a machine boots with it: a `/dev/kvm` that opens promises nothing. The answer is kept until this
/// machine boots again.
pub fn choose(kernel: &Path, image: &Path, logs: &Path) -> Result<Accelerator> {
    if File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        return Ok(Accelerator::tcg());
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let works = match known(&boot) {
        Some(works) => works,
        None => {
            let works = boots(kernel, image, logs)?;
            fs::create_dir_all(super::cache())?;
            fs::write(answer_file(), format!("{} {works}", boot.trim()))?;
            works
        }
    };
    Ok(if works {
        Accelerator::Kvm
    } else {
        Accelerator::tcg()
    })
}

fn answer_file() -> PathBuf {
    super::cache().join("kvm-works")
}

fn known(boot: &str) -> Option<bool> {
    let answer = fs::read_to_string(answer_file()).ok()?;
    let (of, works) = answer.split_once(' ')?;
    (of == boot.trim()).then(|| works.parse().ok())?
}

fn boots(kernel: &Path, image: &Path, logs: &Path) -> Result<bool> {
    let parts = Parts {
        devices: Vec::new(),
        kernel,
        image,
        accelerator: &Accelerator::Kvm,
        arguments: String::new(),
    };
    let start = Instant::now();
    let machine = Machine::start(&parts, &logs.join("kvm-trial.log"))?;
    while start.elapsed() < TRIAL {
        match machine.event(Duration::from_millis(100)) {
            Ok(Some(Event::Ready { .. })) => return Ok(true),
            Ok(_) => {}
            Err(Ended) => break,
        }
    }
    Ok(false)
}

/// In a virtual machine the first processor's frequency is that of its time stamp counter; elsewhere it varies, and
/// guests measure it well.
fn clock_rate(info: &str) -> Option<u64> {
    let value = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    let flags = value("flags")?;
    let is_steady = ["hypervisor", "constant_tsc"]
        .iter()
        .all(|flag| flags.split_whitespace().any(|known| known == *flag));
    if !is_steady {
        return None;
    }
    let megahertz: f64 = value("cpu MHz")?.parse().ok()?;
    Some((megahertz * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_known_in_virtual_machines_only() {
        let info = "processor : 0\ncpu MHz\t\t: 2596.122\nflags\t\t: fpu hypervisor constant_tsc\n";
        assert_eq!(clock_rate(info), Some(2_596_122));
        assert_eq!(clock_rate(&info.replace("hypervisor", "")), None);
        assert_eq!(clock_rate(""), None);
    }
}

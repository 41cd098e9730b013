//! The compiled programs, loaded with their maps: new ones, or those that a daemon before this one left pinned.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData, ProgramArray},
    programs::{CgroupSockAddr, ProgramError, ProgramInfo, ProgramType, SchedClassifier, Xdp},
    sys::{BpfHelper, is_helper_supported},
};
use aya_log::EbpfLogger;
use lb_common::layout;

use super::pins::Pins;
use crate::desired;

/// Built by the build script from `lb-ebpf`.
static PROGRAMS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/shunt"));

/// Built beside them: what times them. Nothing but their bench refers to it, so nothing else holds it.
pub static BENCH_PROGRAMS: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/shunt-bench"));

/// What stays of a restart.
const PINNED: &[&str] = &[
    layout::CONTROL,
    layout::LISTENERS_V4,
    layout::LISTENERS_V6,
    layout::POOLS,
    layout::FORMER_POOLS,
    layout::LOADS,
    layout::TURNS,
    layout::AFFINITY,
    layout::CLIENTS_V4,
    layout::CLIENTS_V6,
    layout::SLOTS,
    layout::BACKENDS,
    layout::VIP_FILTER,
    layout::BACKEND_FILTER,
    layout::FRAGMENTS,
    layout::FRESH,
    layout::PORTS,
    layout::DEVICES,
    layout::VERDICTS,
    layout::EVENTS,
    layout::BACKEND_TRAFFIC,
    layout::FLOWS_HALF_V4,
    layout::FLOWS_HALF_V6,
    layout::FLOWS_V4,
    layout::FLOWS_V6,
    layout::REVERSE_HALF_HEADS_V4,
    layout::REVERSE_HALF_HEADS_V6,
    layout::REVERSE_HALF_V4,
    layout::REVERSE_HALF_V6,
    layout::REVERSE_V4,
    layout::REVERSE_V6,
    layout::LOCAL,
    layout::LOCAL_NAMESPACES,
    layout::LOCAL_VIPS_V4,
    layout::LOCAL_VIPS_V6,
    layout::LOCAL_FLOWS_V4,
    layout::LOCAL_FLOWS_V6,
    layout::PROGRAMS,
    layout::FULLNAT_FILTER,
    layout::SNAT_V4,
    layout::SNAT_V6,
    layout::TRANSLATIONS_V4,
    layout::TRANSLATIONS_V6,
    layout::RETURNS_V4,
    layout::RETURNS_V6,
    layout::RETURN_LOCKS_V4,
    layout::RETURN_LOCKS_V6,
];

const EGRESS: &str = "shunt_egress";

/// An XDP program, those that it calls, and where it finds them.
#[derive(Clone, Copy, Debug)]
struct XdpPrograms {
    name: &'static str,
    called: [(u32, &'static str); 3],
}

/// For frames that may lie in several buffers, and those that kernels before 5.18 take.
const XDP: [XdpPrograms; 2] = [
    XdpPrograms {
        name: "shunt_xdp_frags",
        called: [
            (layout::CHOOSE, "shunt_xdp_choose_frags"),
            (layout::ENTER, "shunt_xdp_enter_frags"),
            (layout::OPEN, "shunt_xdp_open_frags"),
        ],
    },
    XdpPrograms {
        name: "shunt_xdp",
        called: [
            (layout::CHOOSE, "shunt_xdp_choose"),
            (layout::ENTER, "shunt_xdp_enter"),
            (layout::OPEN, "shunt_xdp_open"),
        ],
    },
];

/// How much the programs say; what they do not say costs nothing, because the verifier removes it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, PartialOrd, clap::ValueEnum)]
#[repr(u8)]
pub enum KernelLog {
    #[default]
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The loaded programs, and those of their maps that nobody took yet.
#[derive(Debug)]
pub struct Object {
    ebpf: Ebpf,
    /// Which of [`XDP`] is loaded.
    xdp: XdpPrograms,
    are_called_loaded: bool,
    took: LoadTimes,
}

/// A program in the kernel.
#[derive(Debug)]
pub struct LoadedProgram {
    pub name: &'static str,
    pub info: ProgramInfo,
    /// Until the kernel had verified and compiled it.
    pub took: Duration,
}

/// By name.
#[derive(Debug, Default)]
struct LoadTimes(Vec<(&'static str, Duration)>);

impl LoadTimes {
    fn measure(
        &mut self,
        name: &'static str,
        load: impl FnOnce() -> Result<(), ProgramError>,
    ) -> Result<(), ProgramError> {
        let start = Instant::now();
        load()?;
        let took = start.elapsed();
        tracing::debug!(program = name, ?took, "loaded");
        self.0.push((name, took));
        Ok(())
    }

    fn of(&self, name: &str) -> Option<Duration> {
        let load = self.0.iter().find(|(loaded, _)| *loaded == name);
        load.map(|(_, took)| *took)
    }
}

impl Object {
    pub fn load(pins: &Pins, log: KernelLog, tables: &desired::Tables) -> anyhow::Result<Self> {
        let paths: Vec<_> = PINNED.iter().map(|name| (*name, pins.map(name))).collect();
        let level = log as u8;
        let can_set_errno = u8::from(can_set_errno());
        let mut loader = EbpfLoader::new();
        loader.override_global("AYA_LOG_LEVEL", &level, true);
        loader.override_global("CAN_SET_ERRNO", &can_set_errno, true);
        let secret = RandomState::new().build_hasher().finish();
        loader.override_global("FRESH_SECRET", &secret, true);
        for (name, size) in sizes(tables) {
            loader.map_max_entries(name, size);
        }
        for (name, path) in &paths {
            loader.map_pin_path(name, path.as_path());
        }
        let mut ebpf = loader
            .load(PROGRAMS)
            .context("loading the maps (this needs root, or CAP_BPF and CAP_NET_ADMIN)")?;
        warn_of_sizes(&ebpf, tables);
        let mut took = LoadTimes::default();
        let xdp = load_xdp(&mut ebpf, &mut took).context("the kernel refused the XDP program")?;
        let egress: &mut SchedClassifier = program(&mut ebpf, EGRESS)?.try_into()?;
        took.measure(EGRESS, || egress.load())
            .context("the kernel refused the tc egress program")?;
        Ok(Self {
            ebpf,
            xdp,
            are_called_loaded: false,
            took,
        })
    }

    /// Loads what the XDP program calls, where that has not been done: the verifier takes as long for it as for all the
    /// rest, and only `fullnat` and services that record every flow need it.
    pub fn load_called(&mut self) -> anyhow::Result<()> {
        if self.are_called_loaded {
            return Ok(());
        }
        for (_, name) in self.xdp.called {
            let called: &mut Xdp = program(&mut self.ebpf, name)?.try_into()?;
            self.took
                .measure(name, || called.load())
                .with_context(|| format!("the kernel refused the program {name}"))?;
        }
        let mut programs: ProgramArray<_> = self.take_map(layout::PROGRAMS)?.try_into()?;
        for (index, name) in self.xdp.called {
            let called: &mut Xdp = program(&mut self.ebpf, name)?.try_into()?;
            // Its pin keeps what it holds.
            programs.set(index, called.fd()?, 0)?;
        }
        programs.set(layout::ALL, self.xdp()?.fd()?, 0)?;
        self.are_called_loaded = true;
        Ok(())
    }

    pub fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        Ok(program(&mut self.ebpf, self.xdp.name)?.try_into()?)
    }

    pub fn egress(&mut self) -> anyhow::Result<&mut SchedClassifier> {
        Ok(program(&mut self.ebpf, EGRESS)?.try_into()?)
    }

    pub fn programs(&mut self) -> anyhow::Result<Vec<LoadedProgram>> {
        self.load_called()?;
        let mut infos = vec![(EGRESS, self.egress()?.info()?)];
        let called = self.xdp.called.map(|(_, name)| name);
        for name in [self.xdp.name].into_iter().chain(called) {
            let xdp: &mut Xdp = program(&mut self.ebpf, name)?.try_into()?;
            infos.push((name, xdp.info()?));
        }
        infos
            .into_iter()
            .map(|(name, info)| {
                let took = self.took.of(name).context("a loaded program has no time")?;
                Ok(LoadedProgram { name, info, took })
            })
            .collect()
    }

    /// A program for sockets, not loaded: a kernel that refuses it may still balance packets.
    pub fn sockets(&mut self, name: &str) -> anyhow::Result<&mut CgroupSockAddr> {
        Ok(program(&mut self.ebpf, name)?.try_into()?)
    }

    pub fn take_map(&mut self, name: &str) -> anyhow::Result<Map> {
        self.ebpf
            .take_map(name)
            .ok_or_else(|| anyhow!("the programs have no map {name}"))
    }

    /// A map to be mapped into memory. It stays here: programs that are loaded later name it by its descriptor.
    pub fn array(&self, name: &str) -> anyhow::Result<&MapData> {
        match self.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            other => Err(anyhow!("map {name} is no array: {other:?}")),
        }
    }

    /// The reader of what the programs say.
    pub fn take_logger(&mut self) -> anyhow::Result<EbpfLogger<&'static dyn log::Log>> {
        EbpfLogger::init(&mut self.ebpf).context("reading the programs' log")
    }
}

/// Of tables whose size is configured.
fn sizes(tables: &desired::Tables) -> [(&'static str, u32); 10] {
    [
        (layout::FLOWS_HALF_V4, tables.recorded),
        (layout::FLOWS_HALF_V6, tables.recorded),
        (layout::FLOWS_V4, tables.recorded),
        (layout::FLOWS_V6, tables.recorded),
        (layout::REVERSE_V4, tables.replies),
        (layout::REVERSE_V6, tables.replies),
        (layout::TRANSLATIONS_V4, tables.translations),
        (layout::TRANSLATIONS_V6, tables.translations),
        (layout::RETURNS_V4, tables.translations),
        (layout::RETURNS_V6, tables.translations),
    ]
}

/// Tables that a daemon before this one left keep their size.
fn warn_of_sizes(ebpf: &Ebpf, tables: &desired::Tables) {
    for (name, wanted) in sizes(tables) {
        let found = match ebpf.map(name) {
            Some(Map::HashMap(map) | Map::LruHashMap(map)) => map.info(),
            _ => continue,
        };
        if let Ok(found) = found.map(|info| info.max_entries())
            && found != wanted
        {
            tracing::warn!(
                table = name,
                found,
                wanted,
                "a table that is in use keeps its size until shunt is stopped and started"
            );
        }
    }
}

/// The first that the kernel takes.
fn load_xdp(ebpf: &mut Ebpf, took: &mut LoadTimes) -> anyhow::Result<XdpPrograms> {
    let [large, plain] = XDP;
    let xdp: &mut Xdp = program(ebpf, large.name)?.try_into()?;
    let Err(error) = took.measure(large.name, || xdp.load()) else {
        return Ok(large);
    };
    let xdp: &mut Xdp = program(ebpf, plain.name)?.try_into()?;
    took.measure(plain.name, || xdp.load())?;
    if has_buffers() {
        tracing::warn!(
            reason = last_lines(&error),
            "the kernel refused the XDP program for frames larger than a page, though it knows such frames"
        );
    }
    Ok(plain)
}

/// The end of what the verifier says, which is where it says why: all of it is a line an instruction.
fn last_lines(error: &ProgramError) -> String {
    const LINES: usize = 6;
    let text = match error {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => format!("{verifier_log}\n{io_error}"),
        other => format!("{other:#}"),
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

/// Whether the kernel has XDP on frames in several buffers.
fn has_buffers() -> bool {
    is_helper_supported(ProgramType::Xdp, BpfHelper::BPF_FUNC_xdp_get_buff_len).unwrap_or(false)
}

/// Whether the program of a refused call may say why. The verifier removes what would, where it may not.
fn can_set_errno() -> bool {
    is_helper_supported(ProgramType::CgroupSockAddr, BpfHelper::BPF_FUNC_set_retval)
        .unwrap_or(false)
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut aya::programs::Program> {
    ebpf.program_mut(name)
        .ok_or_else(|| anyhow!("the object has no program {name}"))
}

//! Runs one packet through a program many times in one system call. The kernel's side is `lb-ebpf/src/bench`.

use anyhow::{Context as _, anyhow, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, MapData, ProgramArray},
    programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp},
};
use lb_userspace::dataplane::bpf::BENCH_PROGRAMS;
use nix::time::{ClockId, clock_gettime};

use crate::{cases::Side, frame::Frame, plan};

/// The MACs, the EtherType and two bytes more.
const LINK_WORDS: usize = 4;
const ETHERNET: usize = 14;
const WORDS: usize = 15;

pub struct Wrapper {
    ebpf: Ebpf,
    program: ProgramArray<MapData>,
    runs: Array<MapData, [u32; 2]>,
    frame: Vec<u8>,
    growth: u32,
    context: Vec<u8>,
}

/// What many runs of one packet came to.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// CPU time of each, the wrapper's included.
    pub nanoseconds: f64,
    /// The last one's XDP action.
    pub action: u32,
}

impl Wrapper {
    /// Loads a wrapper for one packet, which the program under test makes larger by `growth`.
    pub fn new(frame: &Frame, growth: u32, flow_bits: u32) -> anyhow::Result<Self> {
        let walk = frame.walk;
        let (address, port) = walk.map_or((u32::MAX, u32::MAX), |walk| (walk.address, walk.port));
        let is_destination = u32::from(walk.is_some_and(|walk| walk.is_destination));
        let length = frame.bytes.len() as u32;
        let mut ebpf = EbpfLoader::new()
            .override_global("LENGTH", &length, true)
            .override_global("GROWTH", &growth, true)
            .override_global("WORDS", &frame.words, true)
            .override_global("FLOW_BITS", &flow_bits, true)
            .override_global("PORT_BITS", &plan::PORT_BITS, true)
            .override_global("ADDRESS", &address, true)
            .override_global("PORT", &port, true)
            .override_global("IS_DESTINATION", &is_destination, true)
            .load(BENCH_PROGRAMS)
            .context("loading the wrapper")?;
        for name in ["shunt_bench", "shunt_stub"] {
            xdp(&mut ebpf, name)?
                .load()
                .with_context(|| format!("the kernel refused {name}"))?;
        }
        let program = ProgramArray::try_from(take(&mut ebpf, "PROGRAM")?)?;
        let runs = Array::try_from(take(&mut ebpf, "RUNS")?)?;
        let mut template: Array<_, [u32; LINK_WORDS + WORDS]> =
            Array::try_from(take(&mut ebpf, "TEMPLATE")?)?;
        template.set(0, words(frame), 0)?;
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context = [0, length, 0, Side::Same.index(), 0, 0]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        Ok(Self {
            ebpf,
            program,
            runs,
            frame: frame.bytes.clone(),
            growth,
            context,
        })
    }

    /// Chooses the program that the next runs call.
    pub fn call(&mut self, program: &ProgramFd) -> anyhow::Result<()> {
        self.program
            .set(0, program, 0)
            .context("the program cannot be called from the wrapper; do both agree on xdp.frags?")
    }

    /// The program that does nothing.
    pub fn stub(&mut self) -> anyhow::Result<ProgramFd> {
        Ok(xdp(&mut self.ebpf, "shunt_stub")?.fd()?.try_clone()?)
    }

    pub fn run(&mut self, repeats: u32) -> anyhow::Result<Ran> {
        let program = xdp(&mut self.ebpf, "shunt_bench")?;
        let options = TestRunOptions {
            data_in: Some(&self.frame),
            ctx_in: Some(&self.context),
            repeat: repeats,
            ..TestRunOptions::default()
        };
        // The kernel's own figure is in whole nanoseconds, and counts what other processes took.
        let start = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        let result = program.test_run(options)?;
        let end = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?;
        let took = std::time::Duration::from(end) - std::time::Duration::from(start);
        Ok(Ran {
            nanoseconds: took.as_nanos() as f64 / f64::from(repeats),
            action: result.return_value,
        })
    }

    /// Runs so many packets, of which each finds the one before as the program under test leaves it.
    pub fn run_counted(&mut self, packets: u32) -> anyhow::Result<Ran> {
        let before = self.counts()?;
        let ran = self.run(packets)?;
        let after = self.counts()?;
        let [runs, grown] = [0, 1].map(|i| after[i].wrapping_sub(before[i]));
        ensure!(
            runs == packets,
            "expected {packets} runs of the wrapper, found {runs}"
        );
        let expected = if self.growth == 0 { 0 } else { packets - 1 };
        ensure!(
            grown == expected,
            "expected that the head grew before {expected} of {packets} packets, found {grown}"
        );
        Ok(ran)
    }

    /// How often the wrapper has run, and how often it found the head grown.
    fn counts(&self) -> anyhow::Result<[u32; 2]> {
        Ok(self.runs.get(&0, 0)?)
    }
}

/// The frame's bytes as the wrapper writes them.
fn words(frame: &Frame) -> [u32; LINK_WORDS + WORDS] {
    let link = frame.bytes[..4 * LINK_WORDS].chunks_exact(4);
    let headers = frame.bytes[ETHERNET..].chunks_exact(4).take(WORDS);
    let mut words = [0; LINK_WORDS + WORDS];
    for (word, bytes) in words.iter_mut().zip(link.chain(headers)) {
        *word = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    words
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Xdp> {
    Ok(ebpf
        .program_mut(name)
        .ok_or_else(|| anyhow!("the wrapper's object has no program {name}"))?
        .try_into()?)
}

fn take(ebpf: &mut Ebpf, name: &str) -> anyhow::Result<aya::maps::Map> {
    ebpf.take_map(name)
        .ok_or_else(|| anyhow!("the wrapper's object has no map {name}"))
}

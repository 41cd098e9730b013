//! Fragments that came before their first one: read from the programs, and put back in front of them.

use std::{borrow::Cow, fmt, ops::ControlFlow};

use anyhow::Context as _;
use aya::{
    maps::{
        MapData, PerfEventArray,
        perf::{PerfEvent, PerfEventArrayBuffer},
    },
    programs::{ProgramError, TestRun as _, TestRunAttrs, TestRunOptions, Xdp},
};
use aya_obj::programs::XdpAttachType;
use lb_common::{
    fragment::{FragmentEntry, HeldFragment, Key, PLACES, Reading, WAYS},
    layout,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc,
};

use super::{flows, mapped::Mapped, object::Object};
use crate::fragments::{Datapath, HeldFrame};

/// Of each CPU's buffer: some hundred frames.
const PAGES: usize = 64;
/// Frames between the readers and the queue.
const CHANNEL: usize = 64;
/// What says to the program that a packet was put back.
const METADATA: usize = 4;
/// No interface has this index.
const NOWHERE: u32 = i32::MAX as u32;

/// What programs hand over, and where it is put back. While this is there, they hand over.
pub struct Fragments {
    buffers: Vec<PerfEventArrayBuffer<MapData>>,
    program: PutBack,
}

impl fmt::Debug for Fragments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragments")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// The XDP program and what it knows.
#[derive(Debug)]
pub struct PutBack {
    program: Xdp,
    table: Mapped<FragmentEntry>,
    seed: u32,
}

impl Fragments {
    /// `None` where this kernel cannot put packets back.
    pub fn open(object: &mut Object, seed: u32) -> anyhow::Result<Option<Self>> {
        let info = object.xdp()?.info()?;
        let program =
            Xdp::from_program_info(info, Cow::Borrowed("shunt_xdp"), XdpAttachType::Interface)?;
        if !can_put_back(&program) {
            return Ok(None);
        }
        let table = Mapped::new(object.array(layout::FRAGMENTS)?)?;
        let mut array = PerfEventArray::try_from(object.take_map(layout::HELD_FRAGMENTS)?)?;
        let cpus = aya::util::online_cpus().map_err(|(_, error)| error)?;
        let buffers = cpus
            .into_iter()
            .map(|cpu| array.open(cpu, Some(PAGES)))
            .collect::<Result<_, _>>()
            .context(
                "opening the buffers for fragments out of order (this needs root, or CAP_PERFMON)",
            )?;
        Ok(Some(Self {
            buffers,
            program: PutBack {
                program,
                table,
                seed,
            },
        }))
    }

    /// Starts reading. The frames, and where they are put back.
    pub fn start(self) -> anyhow::Result<(mpsc::Receiver<HeldFrame>, PutBack)> {
        let (sender, frames) = mpsc::channel(CHANNEL);
        for buffer in self.buffers {
            // SAFETY: the buffer owns its descriptor for as long as it lives.
            let buffer = unsafe { AsyncFd::register_with_interest(buffer, Interest::READABLE) };
            let buffer = buffer.context("waiting for fragments out of order")?;
            tokio::spawn(read(buffer, sender.clone()));
        }
        Ok((frames, self.program))
    }
}

/// Passes on what one CPU's programs hand over. Waits while there is no room, and then leaves it in the buffer.
async fn read(mut buffer: AsyncFd<PerfEventArrayBuffer<MapData>>, sender: mpsc::Sender<HeldFrame>) {
    while let Ok(mut guard) = buffer.readable_mut().await {
        while let Some(frame) = next(guard.get_inner_mut()) {
            if sender.send(frame).await.is_err() {
                return;
            }
        }
        guard.clear_ready();
    }
}

/// The next frame in a buffer.
fn next(buffer: &mut PerfEventArrayBuffer<MapData>) -> Option<HeldFrame> {
    let found = buffer.try_fold((), |(), event| match event {
        PerfEvent::Sample { head, tail } => match frame(&[head, tail].concat()) {
            Some(frame) => ControlFlow::Break(frame),
            None => ControlFlow::Continue(()),
        },
        // The program was told, and passed them.
        PerfEvent::Lost { .. } => ControlFlow::Continue(()),
    });
    found.break_value()
}

/// A [`HeldFragment`] and the frame, before what fills the sample up.
fn frame(sample: &[u8]) -> Option<HeldFrame> {
    let (ingress, rest) = sample.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = u32::from_ne_bytes(*length) as usize;
    const { assert!(size_of::<HeldFragment>() == 8) };
    let bytes = rest.get(..length)?.to_vec();
    Some(HeldFrame::new(u32::from_ne_bytes(*ingress), bytes))
}

impl Datapath for PutBack {
    fn knows(&self, key: &Key) -> bool {
        let first = key.first_place(self.seed);
        (first..first + WAYS).any(|place| {
            let entry = self.table.load(place & (PLACES - 1));
            let reading = Reading::of(key, flows::now(), |i| entry.words[i]);
            reading.ports().is_some()
        })
    }

    fn put_back(&mut self, frame: &HeldFrame) -> anyhow::Result<()> {
        run(&self.program, frame.ingress, &frame.bytes)?;
        Ok(())
    }
}

/// Whether the kernel knows live frames (5.18): it then looks for the interface, which does not exist.
fn can_put_back(program: &Xdp) -> bool {
    let Err(ProgramError::SyscallError(error)) = run(program, NOWHERE, &[0; 64]) else {
        return false;
    };
    error.io_error.raw_os_error() == Some(libc::ENODEV)
}

/// Lets a frame arrive by the interface with this index, behind its driver.
fn run(program: &Xdp, ingress: u32, frame: &[u8]) -> Result<(), ProgramError> {
    let input = [&[0; METADATA], frame].concat();
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let context: Vec<u8> = [METADATA as u32, input.len() as u32, 0, ingress, 0, 0]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
    program.test_run(TestRunOptions {
        data_in: Some(&input),
        ctx_in: Some(&context),
        attrs: TestRunAttrs::new().xdp_live_frames(1),
        ..TestRunOptions::default()
    })?;
    Ok(())
}

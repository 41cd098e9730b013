//! Another balancer on the same packets: an XDP program that somebody has loaded, configured and pinned.

use std::path::Path;

use anyhow::{Context as _, ensure};
use aya::programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;

use crate::{
    cases::{Case, Slots, Traffic},
    frame,
    wrapper::Wrapper,
};

const PASS: u32 = 2;
const TX: u32 = 3;

pub struct Peer {
    program: Xdp,
}

impl Peer {
    pub fn open(pin: &Path) -> anyhow::Result<Self> {
        let program = Xdp::from_pin(pin, XdpAttachType::Interface)
            .with_context(|| format!("opening the pinned program {}", pin.display()))?;
        Ok(Self { program })
    }

    /// Whether it has a counterpart to the case: what clients send to one service, of which nothing moves.
    pub fn takes(case: &Case) -> bool {
        let is_from_clients = !matches!(case.traffic, Traffic::Reply | Traffic::Nothing);
        is_from_clients && case.services == 1 && case.slots == Slots::Stable
    }

    pub fn fd(&self) -> anyhow::Result<&ProgramFd> {
        Ok(self.program.fd()?)
    }

    /// A wrapper for the case's packets, which undoes what the peer does to them.
    pub fn wrapper(&self, case: &Case) -> anyhow::Result<Wrapper> {
        let frame = frame::of(case)?;
        let ran = self.program.test_run(TestRunOptions {
            data_in: Some(&frame.bytes),
            ..TestRunOptions::default()
        })?;
        let expected = match case.traffic {
            Traffic::Elsewhere | Traffic::Arp => PASS,
            _ => TX,
        };
        ensure!(
            ran.return_value == expected,
            "expected XDP action {expected} of the program beside, found {}; has it this packet's VIP?",
            ran.return_value
        );
        let growth = ran.data_size_out.checked_sub(frame.bytes.len() as u32);
        let growth = growth.context("the program beside shrinks the packet")?;
        Wrapper::new(&frame, growth, case.flow_bits)
    }
}

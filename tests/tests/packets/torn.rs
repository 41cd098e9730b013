//! Packets cut off at every byte (at every third on an emulated machine), and packets with bytes overwritten: never an
//! error, always exactly one verdict, and unchanged unless they are whole.

use std::cell::RefCell;

use anyhow::Context as _;
use lb_common::verdict::Verdict;
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{Config, TestRng, TestRunner},
};

use shunt_tests::needs;

use crate::{
    rows,
    support::{
        oracle,
        outcome::rewrites,
        packet::ETHERNET,
        row::Program,
        world::{self, World},
    },
};

/// For each row.
const MUTATIONS: u32 = 24;
/// Where the headers are.
const HEADERS: usize = 80;

/// `World::run` has its own say on counters and on packets passed.
fn survives(world: &mut World, program: Program, packet: &[u8]) -> anyhow::Result<()> {
    let ran = world.run(program, packet)?;
    if rewrites(ran.verdict) {
        oracle::check(packet, &ran.output)
            .with_context(|| format!("verdict {}", ran.verdict.name()))?;
    }
    if matches!(ran.verdict, Verdict::TooBig | Verdict::TimeExceeded) {
        oracle::check_answer(&ran.output)
            .with_context(|| format!("verdict {}", ran.verdict.name()))?;
    }
    Ok(())
}

/// What `BPF_PROG_TEST_RUN` takes: for XDP an Ethernet header, for tc an IP header too where the frame is IP.
fn shortest(program: Program, frame: &[u8]) -> usize {
    match (program, &frame[ETHERNET - 2..ETHERNET]) {
        (Program::Xdp(_) | Program::PutBack(_), _) => ETHERNET,
        (Program::Egress, [0x08, 0x00]) => ETHERNET + 20,
        (Program::Egress, [0x86, 0xdd]) => ETHERNET + 40,
        (Program::Egress, _) => ETHERNET + 1,
    }
}

#[test]
fn packets_cut_off_at_every_byte() {
    world::with(|world| {
        let mut packets = 0;
        for row in rows() {
            world.prepare(&row)?;
            let lengths = shortest(row.program, &row.input)..=row.input.len().min(HEADERS + 70);
            for length in lengths.step_by(needs::repetitions(1, 3) as usize) {
                packets += 1;
                survives(world, row.program, &row.input[..length]).with_context(|| {
                    format!("{}, cut off after {length} bytes", row.description)
                })?;
            }
        }
        println!("{packets} packets");
        Ok(())
    });
}

#[test]
fn packets_with_bytes_overwritten() {
    // Half of the bytes in the first headers, and often the extreme values that lengths lie with.
    let place = prop_oneof![
        (12..HEADERS).prop_map(|offset| (offset, None)),
        any::<Index>().prop_map(|index| (0, Some(index))),
    ];
    let value = prop_oneof![any::<u8>(), Just(0), Just(0xff)];
    let bytes = prop::collection::vec((place, value), 1..5);
    world::with(|world| {
        let config = Config {
            cases: MUTATIONS,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::deterministic_rng(config.rng_algorithm);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let world = RefCell::new(world);
        for row in rows() {
            world.borrow_mut().prepare(&row)?;
            runner
                .run(&bytes, |bytes| {
                    let packet = overwritten(&row.input, &bytes);
                    survives(&mut world.borrow_mut(), row.program, &packet)
                        .map_err(|error| TestCaseError::fail(format!("{error:#}")))
                })
                .with_context(|| row.description.clone())?;
        }
        Ok(())
    });
}

/// Where a byte is overwritten, and with what.
type Overwrite = ((usize, Option<Index>), u8);

fn overwritten(packet: &[u8], bytes: &[Overwrite]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    for &((offset, anywhere), value) in bytes {
        let offset = anywhere.map_or(offset, |index| index.index(packet.len()));
        if let Some(byte) = packet.get_mut(offset) {
            *byte = value;
        }
    }
    packet
}

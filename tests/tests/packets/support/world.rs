//! The real programs, loaded and configured as the daemon does it, in a namespace of the test's own.

use std::{
    collections::BTreeMap,
    panic,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use aya::programs::{TestRun as _, TestRunOptions};
use lb_common::{
    backend::{BackendId, BackendState},
    port::Arrival,
    service::IndexedBy,
    slot::Slot,
    verdict::{Event, Verdict},
};
use lb_userspace::{
    address::Endpoint,
    dataplane::{
        BackendEntry, Dataplane as _, Listener, Op, Recorded,
        bpf::{BpfDataplane, KernelLog, LoadedProgram},
    },
    desired::{DaemonSettings, Forward, OnChange, Redirect, Tables, Timeouts, XdpMode},
};

use shunt_tests::needs;

use super::{
    listeners, namespace,
    outcome::{answers, leaves, returned, rewrites},
    pinned::{self, Counters, Memory},
    plan::{self, Family, Host, Kind, Port},
    report,
    row::{Program, Row, Step},
};

/// After which a UDP flow, and a half-open one, is forgotten. Rows make flows as old as the machine, which
/// has to be older than this.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes before a packet that is put back.
const METADATA: usize = 4;

/// Of the flow hash.
pub const SEED: u32 = 7;

pub struct World {
    /// Whether a packet can be said to come in by an interface.
    has_ingress: bool,
    /// Whether fragments that come before their first one are held.
    holds: bool,
    dataplane: BpfDataplane,
    counters: Counters,
    memory: Memory,
    /// Of the last row.
    portless: Vec<BackendId>,
    listeners: BTreeMap<Listener, u16>,
}

/// What became of one packet.
#[derive(Debug)]
pub struct Ran {
    pub verdict: Verdict,
    pub output: Vec<u8>,
    /// Each as often as it happened, in the order of [`Event::ALL`].
    pub events: Vec<Event>,
}

/// Runs `test` in a new world, on a thread of its own: namespaces, mounts, pins and maps end with it.
pub fn with(test: impl FnOnce(&mut World) -> anyhow::Result<()> + Send) {
    let result = thread::scope(|scope| {
        scope
            .spawn(|| World::new().and_then(|mut world| test(&mut world)))
            .join()
    });
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("{error:#}"),
        Err(panic) => panic::resume_unwind(panic),
    }
}

impl World {
    fn new() -> anyhow::Result<Self> {
        namespace::enter()?;
        let pins = pins();
        let mut dataplane = BpfDataplane::open(&settings(pins.clone()), KernelLog::Off)?;
        let info = dataplane.xdp()?.info()?;
        let expected = match needs::kernel("5.18") {
            Ok(()) => "shunt_xdp_frags",
            Err(_) => "shunt_xdp",
        };
        let loaded = info.name_as_str();
        ensure!(
            loaded == Some(expected),
            "expected the program {expected}, found {loaded:?}"
        );
        for port in Port::ALL {
            pinned::open_port(&pins, port as u32, port.told())?;
            if let Some(tags) = port.tags() {
                let arrival = Arrival::new(Port::Front as u32, tags);
                pinned::name_device(&pins, arrival, port as u32)?;
            }
        }
        let mut world = Self {
            has_ingress: needs::kernel("5.15").is_ok(),
            holds: needs::kernel("5.18").is_ok(),
            dataplane,
            counters: Counters::open(&pins)?,
            memory: Memory::open(&pins)?,
            portless: Vec::new(),
            listeners: BTreeMap::new(),
        };
        world.reset()?;
        Ok(world)
    }

    /// As before the first row: backends alive, nothing remembered, stable tables.
    pub fn programs(&mut self) -> anyhow::Result<Vec<LoadedProgram>> {
        self.dataplane.programs()
    }

    pub fn reset(&mut self) -> anyhow::Result<()> {
        self.memory.clear()?;
        for id in self.portless.drain(..) {
            self.dataplane.apply(&Op::RemoveBackend { id })?;
        }
        for kind in Kind::ALL {
            for host in Host::BACKENDS {
                self.put(kind, host, 1, BackendState::Alive, Forward::Nat)?;
            }
            let slots = vec![Slot::stable(kind.id(Host::Local))];
            self.write_table(kind.pool(), IndexedBy::Flow, slots)?;
            self.dataplane
                .apply(&Op::ForgetFormer { pool: kind.pool() })?;
        }
        Ok(())
    }

    fn write_table(&mut self, pool: u16, by: IndexedBy, slots: Vec<Slot>) -> anyhow::Result<()> {
        Ok(self.dataplane.apply(&Op::WriteTable {
            pool,
            discipline: by.into(),
            slots,
        })?)
    }

    /// Rows with the same ones follow each other, and writing them takes a while.
    fn listen(&mut self, listeners: BTreeMap<Listener, u16>) -> anyhow::Result<()> {
        if self.listeners != listeners {
            self.dataplane.apply(&Op::SetListeners {
                listeners: listeners.clone(),
            })?;
            self.listeners = listeners;
        }
        Ok(())
    }

    fn put(
        &mut self,
        kind: Kind,
        host: Host,
        generation: u16,
        state: BackendState,
        forward: Forward,
    ) -> anyhow::Result<()> {
        let id = kind.id_of(host, generation);
        let address = kind.backend(host).into();
        self.put_at(kind, id, address, state, forward)
    }

    fn put_at(
        &mut self,
        kind: Kind,
        id: BackendId,
        address: Endpoint,
        state: BackendState,
        forward: Forward,
    ) -> anyhow::Result<()> {
        let backend = BackendEntry {
            address,
            protocol: kind.protocol,
            state,
            forward,
            identity: id.bits(),
            weight: 16,
            max_conns: 0,
        };
        Ok(self.dataplane.apply(&Op::PutBackend { id, backend })?)
    }

    /// Runs a row from a fresh start and compares all of it.
    pub fn check(&mut self, row: &Row) -> anyhow::Result<()> {
        self.prepare(row)?;
        let ran = self.run(row.program, &row.input)?;
        let verdict = self.expected(row.verdict);
        if ran.verdict != verdict || ran.output != row.output {
            bail!(
                "expected verdict {}, found {}\n{}",
                verdict.name(),
                ran.verdict.name(),
                report::difference(&row.output, &ran.output)
            );
        }
        if let Some(events) = &row.events {
            let mut expected = events.clone();
            expected.sort_by_key(|event| event.index());
            ensure!(
                ran.events == expected,
                "expected events {expected:?}, found {:?}",
                ran.events
            );
        }
        Ok(())
    }

    /// Before 5.15 a packet cannot be said to come in by an interface, and tags say nothing at the loopback.
    pub fn can_run(&self, row: &Row) -> bool {
        let needs_ingress = row.is_tagged() && leaves(row.verdict);
        self.has_ingress || !needs_ingress
    }

    /// Before 5.15 a packet cannot be said to come in by an interface: all come in by the loopback, and no way is the
    /// one that it came. Before 5.18 fragments cannot be put back.
    const fn expected(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::ForwardSame if !self.has_ingress => Verdict::ForwardOther,
            Verdict::ReplySame if !self.has_ingress => Verdict::ReplyOther,
            Verdict::HeldFragment if !self.holds => Verdict::Fragment,
            other => other,
        }
    }

    /// Brings about what the row starts from.
    pub fn prepare(&mut self, row: &Row) -> anyhow::Result<()> {
        self.reset()?;
        self.listen(listeners::of(row))?;
        for step in &row.setup {
            self.step(row.kind, step)
                .with_context(|| format!("at step {step:?}"))?;
        }
        Ok(())
    }

    fn step(&mut self, kind: Kind, step: &Step) -> anyhow::Result<()> {
        let pool = kind.pool();
        match step {
            Step::Table(slots) => self.write_table(pool, IndexedBy::Flow, slots.clone())?,
            Step::Indexed(by, slots) => self.write_table(pool, *by, slots.clone())?,
            Step::Slots(slots) => self.dataplane.apply(&Op::StepSlots {
                pool,
                slots: (0..).zip(slots.iter().copied()).collect(),
            })?,
            Step::Backend(host, generation, state) => {
                self.put(kind, *host, *generation, *state, Forward::Nat)?;
            }
            Step::Forward(kind, host, forward) => {
                self.put(*kind, *host, 1, BackendState::Alive, *forward)?;
            }
            Step::Portless(kind, host, forward) => {
                let (id, address) = (kind.portless_id(*host), kind.at(*host, 0).into());
                self.put_at(*kind, id, address, BackendState::Alive, *forward)?;
                self.portless.push(id);
            }
            Step::Age => self.memory.age()?,
            Step::Seen(program, packet, verdict) => {
                let ran = self.run(*program, &packet.bytes())?;
                let verdict = self.expected(*verdict);
                ensure!(
                    ran.verdict == verdict,
                    "expected verdict {}, found {}",
                    verdict.name(),
                    ran.verdict.name()
                );
            }
        }
        Ok(())
    }

    /// Runs one packet. Exactly one verdict counter moves by exactly one, the return value is the verdict's own,
    /// and what is passed on under a name that does not say "rewritten" is what came in.
    pub fn run(&mut self, program: Program, input: &[u8]) -> anyhow::Result<Ran> {
        let before = self.counters.read()?;
        let (code, output) = match program {
            Program::Xdp(port) => self.run_xdp(port, input, 0)?,
            Program::PutBack(port) => self.run_xdp(port, input, METADATA)?,
            Program::Egress => self.run_egress(input)?,
        };
        let after = self.counters.read()?;

        let verdicts = moved(Verdict::ALL, &before.verdicts, &after.verdicts);
        let [verdict] = verdicts[..] else {
            bail!("expected one verdict counter to move by one, found {verdicts:?}");
        };
        ensure!(
            verdict.is_egress() == (program == Program::Egress),
            "verdict {} counts packets of the other program",
            verdict.name()
        );
        ensure!(
            code == returned(verdict),
            "verdict {} returns {}, found {code}",
            verdict.name(),
            returned(verdict)
        );
        if !rewrites(verdict) && !answers(verdict) && output != input {
            bail!(
                "verdict {} changed the packet\n{}",
                verdict.name(),
                report::difference(input, &output)
            );
        }
        let mut events = moved(Event::ALL, &before.events, &after.events);
        // Depends on what the cache holds of the rows before.
        events.retain(|&event| event != Event::HopAsked);
        Ok(Ran {
            verdict,
            output,
            events,
        })
    }

    /// Runs the XDP program alone, and looks at nothing but what it returns.
    pub fn send(&mut self, port: Port, input: &[u8]) -> anyhow::Result<(u32, Vec<u8>)> {
        self.run_xdp(port, input, 0)
    }

    /// What was counted so far under a verdict, and under an event.
    pub fn counted(&self, verdict: Verdict, event: Event) -> anyhow::Result<(u64, u64)> {
        let counts = self.counters.read()?;
        Ok((
            counts.verdicts[verdict.index() as usize],
            counts.events[event.index() as usize],
        ))
    }

    /// Half-open flows are never idle for too long, however slow the machine is.
    pub fn never_forget(&self) -> anyhow::Result<()> {
        pinned::never_forget(&pins())
    }

    /// What is remembered of flows.
    pub fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Idle flows are forgotten, as the daemon does it now and then.
    /// Connections to a backend that are open, as the programs have counted.
    pub fn open(&self, id: BackendId) -> anyhow::Result<u32> {
        let counters = self.dataplane.counters()?;
        Ok(counters.open.get(&id).copied().unwrap_or_default())
    }

    /// The same by a walk, which sets the count right.
    pub fn walk_open(&mut self, id: BackendId) -> anyhow::Result<u64> {
        let open = self.dataplane.open_flows()?;
        Ok(open.get(&id).copied().unwrap_or_default())
    }

    pub fn sweep(&mut self) -> anyhow::Result<Recorded> {
        Ok(self.dataplane.recorded()?)
    }

    /// With so many bytes of metadata, where the kernel takes them.
    fn run_xdp(
        &mut self,
        port: Port,
        input: &[u8],
        metadata: usize,
    ) -> anyhow::Result<(u32, Vec<u8>)> {
        let metadata = if self.has_ingress { metadata } else { 0 };
        let input = [&vec![0; metadata], input].concat();
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context: Vec<u8> = [metadata as u32, input.len() as u32, 0, port as u32, 0, 0]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .collect();
        let mut output = vec![0; input.len() + 64];
        let result = self.dataplane.xdp()?.test_run(TestRunOptions {
            data_in: Some(&input),
            data_out: Some(&mut output),
            ctx_in: self.has_ingress.then_some(&context),
            ..TestRunOptions::default()
        })?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output.split_off(metadata)))
    }

    fn run_egress(&mut self, input: &[u8]) -> anyhow::Result<(u32, Vec<u8>)> {
        let mut output = vec![0; input.len() + 64];
        let result = self.dataplane.egress()?.test_run(TestRunOptions {
            data_in: Some(input),
            data_out: Some(&mut output),
            ..TestRunOptions::default()
        })?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }
}

fn pins() -> PathBuf {
    Path::new(namespace::BPF_FS).join("shunt")
}

/// Each counter as often as it moved.
fn moved<T: Copy>(names: &[T], before: &[u64], after: &[u64]) -> Vec<T> {
    names
        .iter()
        .zip(before.iter().zip(after))
        .flat_map(|(&name, (before, after))| (*before..*after).map(move |_| name))
        .collect()
}

fn settings(pin_dir: PathBuf) -> DaemonSettings {
    DaemonSettings {
        interfaces: Vec::new(),
        xdp_mode: XdpMode::Auto,
        redirect: Redirect::Always,
        local_clients: false,
        bridges: Vec::new(),
        socket: PathBuf::new(),
        http: None,
        pin_dir,
        state_dir: PathBuf::new(),
        seed: SEED.into(),
        tables: Tables::default(),
        timeouts: Timeouts {
            transition: TIMEOUT,
            tcp: TIMEOUT,
            half_open: TIMEOUT,
            udp: TIMEOUT,
        },
        on_change: OnChange::default(),
        snat_addresses: [Family::V4, Family::V6].map(plan::snat).to_vec(),
    }
}

/// Nobody's slot.
pub const NOBODY: Slot = Slot::stable(BackendId::NOBODY);

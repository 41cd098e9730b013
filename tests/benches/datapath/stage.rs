//! The real program, loaded and configured as the daemon does it, in a network of the bench's own.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use aya::{
    maps::{Array, Map, MapData},
    programs::ProgramFd,
};
use lb_common::{
    backend::{BackendId, BackendState},
    layout,
    port::Port,
    service::Discipline,
    slot::Slot,
};
use lb_userspace::{
    dataplane::{
        BackendEntry, Dataplane as _, Listener, Op,
        bpf::{BpfDataplane, KernelLog, LoadedProgram},
    },
    desired::{self, DaemonSettings, OnChange, Redirect, Tables, Timeouts, XdpMode},
    scheduler,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use shunt_tests::{Family, Protocol};

use crate::{
    cases::{Case, Side, Slots, Traffic},
    frame,
    measure::{self, Contender, Effort, Measurement},
    peer::Peer,
    plan,
    wrapper::Wrapper,
};

/// Where the thread's own bpffs is mounted; nobody else sees it.
const BPF_FS: &str = "/sys/fs/bpf";
const MTU: u32 = 1500;
/// Nothing that a case has brought about goes while it is measured.
const TIMEOUT: Duration = Duration::from_secs(3600);
/// Flows that are opened before they are answered: so few that no bucket of half-open ones has too many.
const OPENED: u32 = 1 << 12;
/// Slots of one table where there are many: together they fit.
const SMALL_TABLE: u32 = 101;

/// Moves the calling thread into a network and a mount namespace of its own, with two interfaces, neighbours behind
/// them and a bpffs.
pub fn enter() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("making namespaces")?;
    let nothing: Option<&str> = None;
    mount(
        nothing,
        "/",
        nothing,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        nothing,
    )
    .context("keeping mounts to this thread")?;
    mount(Some("bpf"), BPF_FS, Some("bpf"), MsFlags::empty(), nothing)
        .with_context(|| format!("mounting a bpffs at {BPF_FS}"))?;
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(Path::new("/proc/sys/net").join(switch), "1")
            .with_context(|| format!("turning {switch} on"))?;
    }
    ip(&network())
}

fn network() -> String {
    let mut lines = vec!["link set lo up".to_owned()];
    for side in Side::BOTH {
        let (name, index) = (side.name(), side.index());
        lines.extend([
            format!("link add {name} index {index} mtu {MTU} type veth peer name {name}-far"),
            format!("link set {name}-far up"),
            format!("link set {name} up"),
        ]);
        for family in Family::BOTH {
            let nodad = if family == Family::V6 { " nodad" } else { "" };
            let own = plan::own(side, family);
            lines.push(format!("address add {own} dev {name}{nodad}"));
            let backends = (0..100).map(|number| plan::backend(side, number, family).ip());
            for (address, last) in backends.zip(0_u8..) {
                lines.push(format!(
                    "neighbour add {address} lladdr 02:00:00:00:{index:02x}:{last:02x} dev {name} nud permanent"
                ));
            }
        }
    }
    for family in Family::BOTH {
        let (gateway, name) = (plan::gateway(family), Side::Same.name());
        lines.push(format!(
            "neighbour add {gateway} lladdr 02:00:00:00:01:01 dev {name} nud permanent"
        ));
        lines.push(format!("route add default via {gateway} dev {name}"));
    }
    lines.join("\n")
}

fn ip(script: &str) -> anyhow::Result<()> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("running ip; install iproute2")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "ip refused the bench's network: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// What the kernel says of a loaded program.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: &'static str,
    /// Instructions that the verifier walked, on all ways.
    pub verified: u32,
    /// Bytes: as BPF instructions after the verifier, and as machine code.
    pub translated: u32,
    pub jitted: u32,
}

pub fn programs() -> anyhow::Result<Vec<Program>> {
    let mut dataplane = open()?;
    let describe = |LoadedProgram { name, info, .. }| Program {
        name,
        verified: info.verified_instruction_count().unwrap_or_default(),
        translated: info.size_translated().unwrap_or_default(),
        jitted: info.size_jitted(),
    };
    let programs = dataplane.programs()?.into_iter().map(describe).collect();
    dataplane.detach()?;
    Ok(programs)
}

/// What a case costs, here and by the program beside.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub ours: Measurement,
    pub beside: Option<Measurement>,
}

/// Brings about what the case starts from, in maps of its own, and measures.
pub fn measure(case: &Case, effort: Effort, peer: Option<&Peer>) -> anyhow::Result<Measured> {
    let mut wrapper = Wrapper::new(&frame::of(case)?, case.growth, case.flow_bits)?;
    if case.traffic == Traffic::Nothing {
        let stub = wrapper.stub()?;
        wrapper.call(&stub)?;
        wrapper.run(1)?;
        return time(&mut wrapper, &stub, None, effort);
    }
    let mut dataplane = open()?;
    configure(&mut dataplane, case)?;
    let program = dataplane.xdp()?.fd()?.try_clone()?;
    wrapper.call(&program)?;
    warm_up(case, &mut wrapper, &program)?;
    let lookups = measure::verify(case, &mut wrapper, effort.packets, || {
        Ok(dataplane.counters()?)
    })?;
    let peer = peer.filter(|_| Peer::takes(case));
    let mut measured = match peer {
        None => time(&mut wrapper, &program, None, effort)?,
        Some(peer) => {
            let mut beside = peer.wrapper(case)?;
            beside.call(peer.fd()?)?;
            beside.run(1 << case.flow_bits)?;
            beside.run_counted(effort.packets)?;
            time(
                &mut wrapper,
                &program,
                Some((&mut beside, peer.fd()?)),
                effort,
            )?
        }
    };
    measured.ours.lookups = lookups;
    // And still: the timed packets were the same ones.
    wrapper.call(&program)?;
    measure::verify(case, &mut wrapper, effort.packets, || {
        Ok(dataplane.counters()?)
    })?;
    drop(wrapper);
    dataplane.detach()?;
    Ok(measured)
}

fn time(
    wrapper: &mut Wrapper,
    program: &ProgramFd,
    beside: Option<(&mut Wrapper, &ProgramFd)>,
    effort: Effort,
) -> anyhow::Result<Measured> {
    let mut contenders = vec![Contender { wrapper, program }];
    contenders.extend(beside.map(|(wrapper, program)| Contender { wrapper, program }));
    let times = measure::time(&mut contenders, effort)?;
    Ok(Measured {
        ours: times[0],
        beside: times.get(1).copied(),
    })
}

fn open() -> anyhow::Result<BpfDataplane> {
    let pins = Path::new(BPF_FS).join("shunt");
    let dataplane = BpfDataplane::open(&settings(pins.clone()), KernelLog::Off)?;
    let path = pins
        .join(format!("maps-v{}", layout::VERSION))
        .join(layout::PORTS);
    let mut ports: Array<_, Port> = Array::try_from(Map::Array(MapData::from_pin(path)?))?;
    for side in Side::BOTH {
        let through = side.index();
        let port = Port {
            mtu: MTU,
            through,
            flags: Port::REDIRECT,
            ..Port::default()
        };
        ports.set(through, port, 0)?;
    }
    Ok(dataplane)
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
        seed: 7,
        tables: Tables::default(),
        timeouts: Timeouts {
            transition: TIMEOUT,
            tcp: TIMEOUT,
            half_open: TIMEOUT,
            udp: TIMEOUT,
        },
        snat_addresses: Vec::new(),
        on_change: OnChange::default(),
    }
}

fn configure(dataplane: &mut BpfDataplane, case: &Case) -> anyhow::Result<()> {
    let protocol = match case.protocol {
        Protocol::Tcp => desired::Protocol::Tcp,
        Protocol::Udp => desired::Protocol::Udp,
    };
    let ids: Vec<BackendId> = (1..=case.backends)
        .map(|index| BackendId::new(index as u16, 1))
        .collect();
    for (&id, number) in ids.iter().zip(0..) {
        let backend = BackendEntry {
            address: plan::backend(case.side, number, case.family).into(),
            protocol,
            state: BackendState::Alive,
            forward: case.forward,
            identity: id.bits(),
            weight: 16,
            max_conns: 0,
        };
        dataplane.apply(&Op::PutBackend { id, backend })?;
    }
    let size = if case.services == 1 {
        scheduler::table_size(ids.len(), case.backends, 1)
    } else {
        SMALL_TABLE
    };
    let mut listeners = BTreeMap::new();
    for service in 0..case.services {
        let pool = service as u16;
        let slots = (0..size).map(|slot| slot_of(case, &ids, (slot + service) as usize));
        dataplane.apply(&Op::WriteTable {
            pool,
            discipline: Discipline::default(),
            slots: slots.collect(),
        })?;
        let address = plan::vip(service, case.family).into();
        listeners.insert(Listener { address, protocol }, pool);
    }
    dataplane.apply(&Op::SetListeners { listeners })?;
    Ok(())
}

fn slot_of(case: &Case, ids: &[BackendId], place: usize) -> Slot {
    let owner = |place: usize| ids[place % ids.len()];
    match case.slots {
        Slots::Stable => Slot::stable(owner(place)),
        Slots::Moving => Slot {
            current: owner(place),
            previous: owner(place + 1),
        },
    }
}

/// Until the tables are as full as they will be.
fn warm_up(case: &Case, wrapper: &mut Wrapper, program: &ProgramFd) -> anyhow::Result<()> {
    let flows = 1 << case.flow_bits;
    if case.traffic != Traffic::Reply {
        wrapper.run(flows)?;
        return Ok(());
    }
    let asked = Case {
        traffic: match case.protocol {
            Protocol::Tcp => Traffic::Syn,
            Protocol::Udp => Traffic::Data,
        },
        ..case.clone()
    };
    let mut opener = Wrapper::new(&frame::of(&asked)?, case.growth, case.flow_bits)?;
    opener.call(program)?;
    // In turns, over the same flows in the same order: the first answer establishes a flow.
    let turn = flows.min(OPENED);
    for _ in 0..flows / turn {
        opener.run(turn)?;
        wrapper.run(turn)?;
    }
    Ok(())
}

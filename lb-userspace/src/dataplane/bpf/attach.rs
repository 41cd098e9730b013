//! Attaches the programs to interfaces, by links that outlive the daemon.
//!
//! A link is pinned as `links/xdp-native-IFINDEX`, `links/xdp-generic-IFINDEX` or `links/egress-IFINDEX`. The next daemon
//! replaces the program in it, so that no packet is missed.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use aya::programs::{
    LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp,
    links::{FdLink, PinnedLink},
    tc::{self, NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle},
    xdp::XdpMode as AttachMode,
};

use super::{links, object::Object, pins::Pins, qdisc, refusal};
use crate::{
    dataplane::{Attachment, Egress, Mode},
    desired::XdpMode,
};

/// An interface with both programs.
#[derive(Debug)]
pub struct Attached {
    pub index: u32,
    pub attachment: Attachment,
}

/// Attaches to `interfaces`, and detaches from those that a daemon before this one was attached to beside them.
pub fn attach(
    object: &mut Object,
    pins: &Pins,
    interfaces: &[String],
    mode: XdpMode,
) -> anyhow::Result<Vec<Attached>> {
    let indexed = interfaces
        .iter()
        .map(|name| Ok((name, index(name)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut attached = Vec::new();
    for (name, index) in indexed {
        let mode = attach_xdp(object.xdp()?, pins, name, index, mode)
            .with_context(|| format!("attaching the XDP program to {name}"))?;
        let egress = attach_egress(object.egress()?, pins, name, index)
            .with_context(|| format!("attaching the tc egress program to {name}"))?;
        attached.push(Attached {
            index,
            attachment: Attachment {
                interface: name.clone(),
                mode,
                egress,
            },
        });
    }
    remove_strangers(pins, &attached)?;
    Ok(attached)
}

fn index(interface: &str) -> anyhow::Result<u32> {
    let name = CString::new(interface)?;
    // SAFETY: a C string.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        bail!("no network interface is called {interface:?}; `ip link` lists those there are");
    }
    Ok(index)
}

fn attach_xdp(
    program: &mut Xdp,
    pins: &Pins,
    name: &str,
    index: u32,
    wanted: XdpMode,
) -> anyhow::Result<Mode> {
    for mode in [Mode::Native, Mode::Generic] {
        let path = xdp_pin(pins, mode, index);
        if !path.exists() {
            continue;
        }
        if is_adopted(adopt_xdp(program, &path), name, &path)? {
            return Ok(mode);
        }
    }
    let modes: &[Mode] = match wanted {
        XdpMode::Auto => &[Mode::Native, Mode::Generic],
        XdpMode::Native => &[Mode::Native],
        XdpMode::Generic => &[Mode::Generic],
    };
    let mut refused = None;
    for &mode in modes {
        let flags = match mode {
            Mode::Native => AttachMode::Driver,
            Mode::Generic => AttachMode::Skb,
        };
        match program.attach_to_if_index(index, flags) {
            Ok(id) => {
                let link: FdLink = program.take_link(id)?.try_into()?;
                link.pin(xdp_pin(pins, mode, index))?;
                return Ok(mode);
            }
            Err(error) if is_busy(&error) => bail!(
                "{name} has an XDP program already; `bpftool net` shows it, `ip link set dev {name} xdp off` removes it \
                 if it is not needed"
            ),
            Err(error) => {
                let mut error = anyhow!(error);
                if mode == Mode::Native {
                    let fd = program.fd()?.as_fd().as_raw_fd();
                    error = match refusal::words(index, fd) {
                        Some(words) => anyhow!("the driver says: {words}"),
                        None => error,
                    };
                }
                if mode == Mode::Native && modes.len() > 1 {
                    let reason = format!("{error:#}");
                    tracing::warn!(
                        interface = name,
                        reason,
                        "no native XDP here, using generic mode, which is slower"
                    );
                } else {
                    refused = Some(error);
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| anyhow!("no mode left to try")))
}

/// A link that cannot be adopted is of an interface that had this index before, and removed.
fn is_adopted(result: anyhow::Result<()>, interface: &str, path: &Path) -> io::Result<bool> {
    let Err(error) = result else {
        return Ok(true);
    };
    let error = format!("{error:#}");
    tracing::debug!(interface, error, "stale link removed");
    fs::remove_file(path)?;
    Ok(false)
}

fn adopt_xdp(program: &mut Xdp, path: &Path) -> anyhow::Result<()> {
    let link = FdLink::from(PinnedLink::from_pin(path)?);
    let id = program.attach_to_link(link.try_into()?)?;
    // The pin keeps the link; this handle of it may go.
    drop(program.take_link(id)?);
    Ok(())
}

fn is_busy(error: &ProgramError) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error() == Some(libc::EBUSY);
        }
        source = error.source();
    }
    false
}

fn attach_egress(
    program: &mut SchedClassifier,
    pins: &Pins,
    name: &str,
    index: u32,
) -> anyhow::Result<Egress> {
    let path = pins.links().join(format!("egress-{index}"));
    if path.exists() && is_adopted(adopt_egress(program, &path), name, &path)? {
        return Ok(Egress::Tcx);
    }
    let options = TcAttachOptions::TcxOrder(LinkOrder::default());
    let Ok(id) = program.attach_with_options(name, TcAttachType::Egress, options) else {
        // Links for tc came with tcx, in kernel 6.6.
        return attach_filter(program, pins, name, index);
    };
    let link: FdLink = program.take_link(id)?.try_into()?;
    link.pin(path)?;
    Ok(Egress::Tcx)
}

fn adopt_egress(program: &mut SchedClassifier, path: &Path) -> anyhow::Result<()> {
    let link = FdLink::from(PinnedLink::from_pin(path)?);
    let id = program.attach_to_link(link.try_into()?)?;
    drop(program.take_link(id)?);
    Ok(())
}

/// Where our filter is among those of an interface: the next daemon finds it there.
const fn filter_place() -> NlOptions {
    NlOptions {
        priority: 0x5348,
        handle: TcHandle::new(0, 1),
        classid: None,
    }
}

/// A filter of the clsact qdisc stays without a pin.
fn attach_filter(
    program: &mut SchedClassifier,
    pins: &Pins,
    name: &str,
    index: u32,
) -> anyhow::Result<Egress> {
    // There already is just as well; attaching fails if it is not.
    if tc::qdisc_add_clsact(name).is_ok() {
        fs::create_dir_all(pins.qdisc(index))?;
    }
    let (place, direction) = (filter_place(), TcAttachType::Egress);
    let left = SchedClassifierLink::attached(name, direction, place.priority, place.handle, None)?;
    let id = match program.attach_to_link(left) {
        // In its place: no reply leaves without being looked at.
        Ok(id) => id,
        Err(_) => program.attach_with_options(name, direction, TcAttachOptions::Netlink(place))?,
    };
    std::mem::forget(program.take_link(id)?);
    Ok(Egress::Clsact)
}

/// Detaches from `attached`. The pins of links are left to be removed.
pub fn detach(pins: &Pins, attached: &[Attached]) {
    for path in fs::read_dir(pins.links()).into_iter().flatten().flatten() {
        let path = path.path();
        if let Err(error) = links::detach(&path) {
            // It goes with its pin, a little later.
            tracing::debug!(link = %path.display(), %error, "not detached at once");
        }
    }
    let with_filter = |attached: &&Attached| attached.attachment.egress == Egress::Clsact;
    for Attached { index, attachment } in attached.iter().filter(with_filter) {
        let interface = &attachment.interface;
        let _ = tc::qdisc_detach_program(interface, TcAttachType::Egress, "shunt_egress");
        if pins.qdisc(*index).exists()
            && let Err(error) = qdisc::remove_clsact(*index)
        {
            tracing::warn!(interface, %error, "its clsact qdisc stays; `tc qdisc del dev {interface} clsact` removes it");
        }
    }
}

fn remove_strangers(pins: &Pins, attached: &[Attached]) -> anyhow::Result<()> {
    for entry in fs::read_dir(pins.links())? {
        let path = entry?.path();
        let index = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.rsplit('-').next())
            .and_then(|index| index.parse().ok());
        if index.is_some_and(|index: u32| attached.iter().any(|known| known.index == index)) {
            continue;
        }
        tracing::info!(link = %path.display(), "detached from an interface that is not configured any more");
        fs::remove_file(path)?;
    }
    Ok(())
}

fn xdp_pin(pins: &Pins, mode: Mode, index: u32) -> PathBuf {
    pins.links().join(format!("xdp-{}-{index}", mode.name()))
}

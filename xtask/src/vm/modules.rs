//! Which modules of a kernel go into its image?

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::kernels::Kernel;
use crate::process;

/// Networks as tests make them. One that a kernel does not have, or has built in, is left out.
const WANTED: &[&str] = &[
    // The machine's own.
    "virtio_pci",
    "virtio_net",
    "virtio_rng",
    "tun",
    "unix_diag",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    // Devices.
    "veth",
    "bridge",
    "br_netfilter",
    "8021q",
    "bonding",
    "dummy",
    "macvlan",
    "vxlan",
    "geneve",
    "ifb",
    // Tunnels that backends take packets from.
    "ipip",
    "sit",
    "ip6_tunnel",
    "ip_gre",
    "ip6_gre",
    "fou",
    "fou6",
    // Traffic control.
    "sch_ingress",
    "sch_netem",
    "sch_prio",
    "sch_tbf",
    "sch_fq_codel",
    "cls_bpf",
    "cls_matchall",
    "cls_u32",
    "act_mirred",
    // Balancers and filters to compare with, or to live beside.
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_sh",
    "ip_vs_mh",
    "nf_tables",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_chain_nat",
    "nf_conntrack",
    "pktgen",
];

/// The directory that has `lib/modules` as the image needs it: the modules wanted and those that they need, unpacked.
pub fn prepare(kernel: &Kernel) -> Result<PathBuf> {
    let place = super::cache()
        .join("kernels")
        .join(&kernel.name)
        .join("image");
    let stamp = place.join("made-for");
    let wanted = format!("{} {}", kernel.release, WANTED.join(" "));
    if fs::read_to_string(&stamp).is_ok_and(|made_for| made_for == wanted) {
        return Ok(place);
    }
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let (from, to) = (
        kernel.modules(),
        place.join("lib/modules").join(&kernel.release),
    );
    let dependencies = fs::read_to_string(from.join("modules.dep"))
        .with_context(|| format!("reading modules.dep of {}", kernel.release))?;
    for path in closure(&dependencies) {
        copy(&from.join(path), &to.join(path))?;
    }
    for name in [
        "modules.builtin",
        "modules.builtin.modinfo",
        "modules.order",
    ] {
        // Not every kernel has all of them.
        let _ = fs::copy(from.join(name), to.join(name));
    }
    process::quietly(
        Command::new("depmod")
            .arg("-b")
            .arg(&place)
            .arg(&kernel.release),
    )?;
    // Written last, so that a half of it is made again.
    fs::write(&stamp, wanted)?;
    Ok(place)
}

/// The paths of all modules wanted and of what they need, by `modules.dep`: `PATH: PATH PATH…`.
fn closure(dependencies: &str) -> BTreeSet<&str> {
    let needs: BTreeMap<&str, &str> = dependencies
        .lines()
        .filter_map(|line| line.split_once(':'))
        .collect();
    let mut paths = BTreeSet::new();
    for (path, others) in &needs {
        if WANTED.contains(&name(path).as_str()) {
            paths.insert(*path);
            // All of them, not only the direct ones.
            paths.extend(others.split_whitespace());
        }
    }
    paths
}

/// `ip_vs` of `kernel/net/netfilter/ipvs/ip_vs.ko.xz`.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.split(".ko").next().unwrap_or(file);
    name.replace('-', "_")
}

/// Unpacked, which the emulated machine would take longer for. It keeps its name: `depmod` and `modprobe` look at what
/// is in a file.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("a module without a directory")?;
    fs::create_dir_all(parent)?;
    let Some("xz") = from.extension().and_then(|extension| extension.to_str()) else {
        fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
        return Ok(());
    };
    let file = fs::File::create(to.with_extension(""))?;
    let status = Command::new("xz")
        .args(["--decompress", "--stdout"])
        .arg(from)
        .stdin(Stdio::null())
        .stdout(file)
        .status()
        .context("xz cannot be started; `apt-get install xz-utils`")?;
    anyhow::ensure!(status.success(), "xz cannot unpack {}", from.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_with_what_they_need() {
        let dependencies = "kernel/net/ipv4/ipip.ko.xz: kernel/net/ipv4/tunnel4.ko.xz kernel/net/ipv4/ip_tunnel.ko.xz\n\
            kernel/net/ipv4/tunnel4.ko.xz:\n\
            kernel/drivers/gpu/drm.ko.xz: kernel/drivers/i2c.ko.xz\n\
            kernel/net/sched/sch-netem.ko:\n";
        let paths: Vec<&str> = closure(dependencies).into_iter().collect();
        assert_eq!(
            paths,
            [
                "kernel/net/ipv4/ip_tunnel.ko.xz",
                "kernel/net/ipv4/ipip.ko.xz",
                "kernel/net/ipv4/tunnel4.ko.xz",
                "kernel/net/sched/sch-netem.ko",
            ]
        );
    }
}

//! A network of the test's own: it ends with the thread that made it, however that ends.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};

use super::plan::{self, Family, Host, Port};

/// Where the thread's own bpffs is mounted; nobody else sees it.
pub const BPF_FS: &str = "/sys/fs/bpf";

/// Moves the calling thread into a network and a mount namespace of its own, with interfaces, addresses and
/// neighbours as `plan` says and a bpffs.
pub fn enter() -> anyhow::Result<()> {
    // SAFETY: no memory is passed.
    let user = unsafe { libc::geteuid() };
    ensure!(
        user == 0,
        "packet tests load programs into the kernel: run them as root, not as user {user}"
    );
    // SAFETY: as above; only this thread changes its namespaces.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error()).context("making namespaces");
    }
    mount(c"none", c"/", None, libc::MS_REC | libc::MS_PRIVATE)
        .context("keeping mounts to this thread")?;
    mount(c"bpf", c"/sys/fs/bpf", Some(c"bpf"), 0)
        .with_context(|| format!("mounting a bpffs at {BPF_FS}"))?;
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        fs::write(Path::new("/proc/sys/net").join(switch), "1")
            .with_context(|| format!("turning {switch} on"))?;
    }
    ip(&script())
}

fn mount(
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    filesystem: Option<&std::ffi::CStr>,
    flags: libc::c_ulong,
) -> io::Result<()> {
    let filesystem = filesystem.map_or(std::ptr::null(), std::ffi::CStr::as_ptr);
    // SAFETY: C strings, and no data.
    let answer = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            filesystem,
            flags,
            std::ptr::null(),
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn script() -> String {
    let mut lines = vec!["link set lo up".to_owned()];
    for port in Port::ALL {
        let (name, index, mtu) = (name(port), port as u32, port.mtu());
        lines.push(format!(
            "link add {name} index {index} address {} mtu {mtu} type veth peer name {name}-far",
            mac(port.mac())
        ));
        lines.push(format!("link set {name}-far up"));
        lines.push(format!("link set {name} up"));
        for (family, length, more) in [(Family::V4, 24, ""), (Family::V6, 64, " nodad")] {
            let own = plan::own(port, family);
            lines.push(format!("address add {own}/{length} dev {name}{more}"));
        }
    }
    for host in Host::NEIGHBOURS {
        for family in [Family::V4, Family::V6] {
            let (address, mac) = (host.address(family), mac(host.mac()));
            let port = host.port().map_or_else(String::new, name);
            lines.push(format!(
                "neighbour add {address} lladdr {mac} dev {port} nud permanent"
            ));
        }
    }
    lines.join("\n")
}

fn name(port: Port) -> String {
    format!("{port:?}").to_lowercase()
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
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
    if !output.status.success() {
        bail!(
            "ip refused the test's network: {}\n{script}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

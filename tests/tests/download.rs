//! A gibibyte through the VIP, from nginx to curl, arrives as it was sent; less where that is more than the memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    time::Duration,
};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    config::Config,
    daemon::{Daemon, verdict, verdicts},
    needs,
    process::Process,
    scratch::Scratch,
    topology::{BackendHost, Shape, Topology, vip},
};

const PORT: u16 = 80;
const GIBIBYTE: u64 = 1 << 30;
/// What travels in large frames.
const LARGE: u64 = GIBIBYTE / 16;

/// Emulated machines are small and slow.
fn size() -> u64 {
    if needs::memory(4 << 10).is_ok() {
        GIBIBYTE
    } else {
        GIBIBYTE / 16
    }
}

#[test]
fn from_a_process_on_this_host() {
    let topology = Topology::new(Shape::Local, 2).unwrap();
    arrives_whole(&topology, Family::V4, size(), "");
}

#[test]
fn from_a_container_behind_a_bridge() {
    let topology = Topology::new(Shape::Bridge, 2).unwrap();
    arrives_whole(&topology, Family::V6, size(), "");
}

#[test]
fn from_another_host() {
    let topology = Topology::new(Shape::Gateway, 2).unwrap();
    arrives_whole(&topology, Family::V6, size(), "");
}

#[test]
fn in_frames_larger_than_a_page_through_the_kernel() {
    needs!(needs::kernel("5.18"));
    let topology = wide_topology();
    let status = arrives_whole(&topology, Family::V4, LARGE, "xdp_mode = \"native\"");
    are_large(verdict(&status, "reply_stack"));
}

#[test]
fn in_frames_larger_than_a_page_straight_from_xdp() {
    // Before, the kernel drops such frames.
    needs!(needs::kernel("6.3"));
    let topology = wide_topology();
    // A veth takes frames from XDP where its peer has GRO.
    for (host, device) in [(&topology.client, "eth0"), (topology.switch(), "port0")] {
        host.run("ethtool", &["-K", device, "gro", "on"]).unwrap();
    }
    let options = "xdp_mode = \"native\"\nredirect = \"always\"";
    let status = arrives_whole(&topology, Family::V6, LARGE, options);
    are_large(verdict(&status, "reply_redirect"));
}

/// Backends on other hosts, every link as wide as is common.
fn wide_topology() -> Topology {
    let topology = Topology::new(Shape::Gateway, 2).unwrap();
    let backends = topology
        .backends
        .iter()
        .map(|backend| (&backend.netns, "eth0"));
    let ports = ["port0", "port1", "port2", "br0"].map(|port| (topology.switch(), port));
    [
        (&topology.client, "eth0"),
        (&topology.lb, "eth0"),
        (&topology.lb, "eth1"),
    ]
    .into_iter()
    .chain(ports)
    .chain(backends)
    .for_each(|(host, device)| host.ip(&format!("link set {device} mtu 9000")).unwrap());
    topology
}

/// The bytes arrived in so many frames, too few for small ones.
fn are_large(frames: u64) {
    let most = LARGE / 8_000;
    let least = LARGE / 9_000;
    assert!(
        (least..most).contains(&frames),
        "{frames} frames, expected {least} to {most}"
    );
}

fn arrives_whole(topology: &Topology, family: Family, bytes: u64, options: &str) -> Value {
    let shape = topology.shape;
    let scratch = Scratch::new("download").unwrap();
    write_file(&scratch.join("file"), bytes);
    let _servers: Vec<Process> = topology
        .backends
        .iter()
        .map(|backend| nginx(backend, &scratch))
        .collect();
    let service = topology
        .service("files", Protocol::Tcp, family, PORT)
        .health("type = \"http\"\npath = \"/file\"\ninterval = \"200ms\"");
    let config = Config::new(topology.interfaces())
        .daemon(options)
        .service(service);
    let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
    daemon
        .wait_status("both are up", Duration::from_secs(20), |status| {
            shunt_tests::daemon::backends(status).all(|backend| backend["health"] == "up")
        })
        .unwrap();

    let url = format!("http://{}/file", vip(family, PORT));
    let script = format!("curl --silent --show-error --fail --max-time 300 '{url}' | sha256sum");
    let found = topology
        .client
        .run("bash", &["-o", "pipefail", "-c", &script])
        .unwrap();
    let sent = topology
        .client
        .run(
            "bash",
            &[
                "-c",
                &format!("sha256sum < {}", scratch.join("file").display()),
            ],
        )
        .unwrap();
    assert_eq!(found, sent);
    let status = daemon.status().unwrap();
    let replies = verdicts(&status, "reply_") + verdicts(&status, "egress_reply");
    println!(
        "{shape:?} {family}: {bytes} bytes in {replies} replies, {}",
        found.trim()
    );
    // Segmentation offload makes a packet of up to 64 KiB (IPv6 jumbo frames aside) of many segments.
    assert!(replies >= bytes / (512 << 10), "{status:#}");
    status
}

/// Bytes that repeat only after longer than any window: a linear congruential generator (Knuth's MMIX).
fn write_file(path: &Path, bytes: u64) {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut word: u64 = 1;
    for _ in 0..bytes / 8 {
        word = word
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        file.write_all(&word.to_le_bytes()).unwrap();
    }
    file.flush().unwrap();
}

fn nginx(backend: &BackendHost, scratch: &Scratch) -> Process {
    let listen: String = backend
        .addresses()
        .iter()
        .map(|address| format!("listen {address};\n"))
        .collect();
    let server = format!("{listen}root {};", scratch.path().display());
    shunt_tests::nginx::start(&backend.netns, &backend.name, &server, scratch).unwrap()
}

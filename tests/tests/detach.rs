//! What is attached, and that nothing of it stays: not after SIGTERM, not after a start that failed.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::Config,
    daemon::Daemon,
    netns::Netns,
    topology::{Shape, Topology, vip},
};

fn config(topology: &Topology) -> Config {
    let service = topology.service("web", Protocol::Tcp, Family::V4, 80);
    Config::new(topology.interfaces()).service(service)
}

/// Whatever `bpftool net` sees on the interfaces of a namespace.
fn attached(netns: &Netns) -> Value {
    let text = netns.run("bpftool", &["--json", "net", "show"]).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    json[0].clone()
}

fn is_empty(attached: &Value) -> bool {
    ["xdp", "tc"]
        .iter()
        .all(|kind| attached[kind].as_array().is_some_and(Vec::is_empty))
}

fn programs() -> Vec<Value> {
    let output = Command::new("bpftool")
        .args(["--json", "prog", "show"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The programs that a daemon's pinned links hold. Not every bpftool knows where links for tc are attached, but each
/// says which program they run.
fn linked(daemon: &Daemon) -> Vec<u64> {
    fs::read_dir(daemon.pin_dir().join("links"))
        .unwrap()
        .map(|entry| {
            let output = Command::new("bpftool")
                .args(["--json", "link", "show", "pinned"])
                .arg(entry.unwrap().path())
                .output()
                .unwrap();
            let link: Value = serde_json::from_slice(&output.stdout).unwrap();
            link["prog_id"].as_u64().unwrap()
        })
        .collect()
}

#[test]
fn native_on_a_veth_and_gone_after_sigterm() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let qdiscs = || topology.lb.run("tc", &["qdisc", "show"]).unwrap();
    let (qdiscs_before, before) = (qdiscs(), attached(&topology.lb));
    assert!(is_empty(&before), "{before:#}");

    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    let during = attached(&topology.lb);
    let xdp = during["xdp"].as_array().unwrap();
    assert_eq!(xdp.len(), 2, "{during:#}");
    for entry in xdp {
        // What bpftool calls the native mode.
        assert_eq!(entry["mode"], "driver", "{during:#}");
    }
    let filters = during["tc"].as_array().unwrap().iter();
    let ids: BTreeSet<u64> = filters
        .filter_map(|filter| filter["id"].as_u64())
        .chain(linked(&daemon))
        .collect();
    let names: BTreeSet<String> = programs()
        .iter()
        .filter(|program| program["id"].as_u64().is_some_and(|id| ids.contains(&id)))
        .filter_map(|program| program["name"].as_str())
        // Which of the two it is depends on the kernel.
        .map(|name| name.trim_end_matches("_frags").to_owned())
        .collect();
    assert_eq!(
        names,
        ["shunt_egress".to_owned(), "shunt_xdp".to_owned()].into()
    );
    for interface in daemon.status().unwrap()["interfaces"].as_array().unwrap() {
        assert_eq!(interface["mode"], "native");
    }

    assert!(daemon.stop().unwrap().success(), "{}", daemon.log());
    let after = attached(&topology.lb);
    assert!(is_empty(&after), "{after:#}");
    assert_eq!(qdiscs(), qdiscs_before);
    assert!(!daemon.pin_dir().exists(), "pins are left");
    assert!(!daemon.socket().exists(), "the socket is left");
    shunt_tests::wait::wait_for("the programs are gone", Duration::from_secs(5), || {
        let left = programs();
        let left: Vec<_> = left
            .iter()
            .filter(|program| program["id"].as_u64().is_some_and(|id| ids.contains(&id)))
            .collect();
        anyhow::ensure!(left.is_empty(), "{left:#?}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_start_that_fails_leaves_nothing_and_says_why() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let mut config = config(&topology);
    config.interfaces.push("eth7".into());
    let mut daemon = Daemon::prepare(&topology.lb, &config).unwrap();
    daemon.run().unwrap();
    daemon.wait_ready().unwrap_err();
    let log = daemon.log();
    assert!(
        log.contains("no network interface is called \"eth7\""),
        "{log}"
    );
    assert!(is_empty(&attached(&topology.lb)));
    assert!(!daemon.pin_dir().exists(), "pins are left");
    assert!(!daemon.socket().exists(), "the socket is left");
}

#[test]
fn a_second_daemon_leaves_the_first_one_alone() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let config = config(&topology);
    let daemon = Daemon::start(&topology.lb, &config).unwrap();
    let second = topology
        .lb
        .run(
            daemon.binary(),
            &[
                Path::new("run"),
                Path::new("--config"),
                &daemon.config_path(),
            ],
        )
        .unwrap_err();
    let error = format!("{second:#}");
    assert!(error.contains("another shunt answers"), "{error}");

    // Another socket, the same interface.
    let mut other = Daemon::prepare(&topology.lb, &config).unwrap();
    other.run().unwrap();
    other.wait_ready().unwrap_err();
    assert!(
        other.log().contains("eth0 has an XDP program already"),
        "{}",
        other.log()
    );
    let client = Client::new(&topology.client);
    client.ask(Protocol::Tcp, vip(Family::V4, 80)).unwrap();
}

#[test]
fn the_socket_is_for_owner_and_group() {
    use std::os::unix::fs::PermissionsExt as _;
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let text = topology
        .lb
        .run(
            "curl",
            &[
                "--silent",
                "--unix-socket",
                &daemon.socket().display().to_string(),
                "http://shunt/v1/status",
            ],
        )
        .unwrap();
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["services"][0]["name"], "web");
}

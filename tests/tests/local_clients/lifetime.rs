//! When clients on the host are balanced, and when not.

use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt as _, time::Duration};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    daemon::{self, Daemon},
    scratch::Scratch,
    topology::{Shape, Topology, vip},
};

use crate::support::{PORT, config, connect, event, exchange, serve, unconnected};

#[test]
fn a_killed_daemon_is_not_missed_and_a_stopped_one_leaves_nothing() {
    let topology = Topology::new(Shape::Bridge, 2).unwrap();
    let _servers = serve(&topology);
    let mut daemon = Daemon::start(&topology.lb, &config(&topology)).unwrap();
    let client = Client::new(&topology.lb).patience(Duration::from_secs(2));
    let ask = || {
        for protocol in Protocol::BOTH {
            for family in Family::BOTH {
                let spread = client.spread(protocol, vip(family, PORT), 40, 2).unwrap();
                assert_eq!(spread.all().unwrap().len(), 2);
            }
        }
    };
    let socket = unconnected(&topology.lb, Family::V4);
    let (name, _) = exchange(&socket, vip(Family::V4, PORT));
    ask();
    daemon.kill().unwrap();
    ask();
    assert_eq!(exchange(&socket, vip(Family::V4, PORT)).0, name);

    daemon.run().unwrap();
    daemon.wait_ready().unwrap();
    let taken_over = event(&daemon, "local_connected");
    assert!(taken_over >= 2 * 4 * 40, "{taken_over}");
    ask();
    assert_eq!(event(&daemon, "local_connected"), taken_over + 4 * 40);
    assert_eq!(exchange(&socket, vip(Family::V4, PORT)).0, name);

    assert!(daemon.stop().unwrap().success(), "{}", daemon.log());
    assert!(!daemon.pin_dir().exists(), "pins are left");
    for family in Family::BOTH {
        // The host has the VIP, and nothing listens there.
        let error = connect(&topology.lb, vip(family, PORT)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

fn clients(status: &Value) -> (&Value, &Value) {
    let clients = &status["local_clients"];
    (&clients["cgroup"], &clients["reason"])
}

/// What `shunt status` says of them.
fn line(daemon: &Daemon) -> String {
    let text = daemon.ask(&["status"]).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("clients on this host"));
    line.unwrap_or(&text).to_owned()
}

#[test]
fn not_where_the_configuration_says_no() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let _servers = serve(&topology);
    let yes = config(&topology);
    let no = yes.clone().daemon("local_clients = false\n");
    let mut daemon = Daemon::start(&topology.lb, &yes).unwrap();
    assert!(clients(&daemon.status().unwrap()).0.is_string());
    connect(&topology.lb, vip(Family::V6, PORT)).unwrap();
    assert_eq!(
        line(&daemon),
        "clients on this host: 1 connected, 0 datagrams, 0 refused; network namespaces: 1"
    );
    daemon.kill().unwrap();
    daemon.write_config(&no).unwrap();
    daemon.run().unwrap();
    let status = daemon.wait_ready().unwrap();
    let (cgroup, reason) = clients(&status);
    assert_eq!(
        (cgroup, reason),
        (&Value::Null, &"local_clients = false".into())
    );
    assert_eq!(
        line(&daemon),
        "clients on this host: not balanced: local_clients = false"
    );
    let error = connect(&topology.lb, vip(Family::V4, PORT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn without_cgroup_v2_the_rest_works_and_it_says_so() {
    let topology = Topology::new(Shape::Local, 2).unwrap();
    let _servers = serve(&topology);
    let scratch = Scratch::new("blind").unwrap();
    let blind = scratch.join("shunt");
    let shunt = daemon::binary().unwrap();
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'umount --lazy --all --types cgroup2; exec \"$0\" \"$@\"' {} \"$@\"\n",
        shunt.display()
    );
    fs::write(&blind, script).unwrap();
    fs::set_permissions(&blind, fs::Permissions::from_mode(0o755)).unwrap();
    let mut daemon = Daemon::prepare_binary(blind, &topology.lb, &config(&topology)).unwrap();
    daemon.run().unwrap();
    let status = daemon.wait_ready().unwrap();
    let (cgroup, reason) = clients(&status);
    assert!(cgroup.is_null(), "{status:#}");
    let reason = reason.as_str().unwrap();
    assert!(
        reason.contains("no cgroup v2 file system is mounted"),
        "{reason}"
    );
    assert!(
        daemon
            .log()
            .contains("clients on this host are not balanced")
    );
    for family in Family::BOTH {
        let client = Client::new(&topology.client);
        client.ask(Protocol::Tcp, vip(family, PORT)).unwrap();
    }
    let status = daemon.status().unwrap();
    assert!(daemon::verdicts(&status, "forward_") > 0, "{status:#}");
}

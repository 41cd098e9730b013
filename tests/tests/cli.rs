//! What the binary says and how it ends.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    fs,
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    config::Config,
    daemon::{self, Daemon},
    scratch::Scratch,
    topology::{Shape, Topology},
    wait::wait_for,
};

fn shunt(arguments: &[&str]) -> Output {
    Command::new(daemon::binary().unwrap())
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn exit_codes() {
    let code = |arguments: &[&str]| shunt(arguments).status.code();
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&["status", "--socket", "/nowhere"]), Some(1));
    assert_eq!(code(&["no-such-verb"]), Some(2));
    for verb in ["check", "run"] {
        assert_eq!(code(&[verb, "--config", "/nowhere"]), Some(78));
    }
}

#[test]
fn a_wrong_configuration_is_told_in_full() {
    let scratch = Scratch::new("check").unwrap();
    let path = scratch.join("wrong.toml");
    let text = "[daemon]\ninterfaces = [\"eth0\"]\nxdp_mode = \"fast\"\n\n[[service]]\nname = \"web\"\n\
                listen = [\"192.0.2.10:80\"]\n\n[[service.backend]]\naddress = \"10.0.0.1:8001\"\nweight = 300\n";
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    for verb in ["check", "run", "status"] {
        let output = shunt(&[verb, "--config", &path]);
        assert_eq!(output.status.code(), Some(78), "{verb}");
        assert_eq!(output.stdout, b"", "{verb}");
        let error = String::from_utf8(output.stderr).unwrap();
        // Line, key, what was found and what was expected, of both mistakes.
        for words in [
            ":3:12: daemon.xdp_mode: found \"fast\", expected",
            ":11:10: service[web].backend[10.0.0.1:8001].weight: found 300, expected a whole number from 0 to 256",
        ] {
            assert!(error.contains(words), "{verb}: no {words:?} in:\n{error}");
        }
    }
}

#[test]
fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
    let output = shunt(&["status", "--socket", "/nowhere"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        error,
        "shunt: no shunt answers at /nowhere (is it running, and is this its socket?): No such file or directory (os \
         error 2)\n"
    );
}

#[test]
fn logs_for_programs() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let service = topology.service("web", Protocol::Tcp, Family::V4, 80);
    let config = Config::new(topology.interfaces()).service(service);
    let mut daemon = Daemon::prepare(&topology.lb, &config).unwrap();
    daemon.set_arguments(&["--log-format", "json"]);
    daemon.run().unwrap();
    daemon.wait_ready().unwrap();
    assert!(daemon.stop().unwrap().success());
    let lines: Vec<Value> = daemon
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let up = lines
        .iter()
        .find(|line| line["message"] == "backend is up")
        .unwrap();
    assert_eq!(
        (&up["service"], &up["backend"]),
        (&"web".into(), &"b1".into())
    );
    assert_eq!(up["level"], "INFO");
}

#[test]
fn the_kernel_programs_speak_when_told_to() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let service = topology.service("web", Protocol::Tcp, Family::V4, 80);
    let config = Config::new(topology.interfaces()).service(service);
    let mut daemon = Daemon::prepare(&topology.lb, &config).unwrap();
    daemon.set_arguments(&["--kernel-log", "trace"]);
    daemon.run().unwrap();
    daemon.wait_ready().unwrap();
    let client = shunt_tests::client::Client::new(&topology.client);
    client
        .ask(Protocol::Tcp, shunt_tests::topology::vip(Family::V4, 80))
        .unwrap();
    wait_for("a line from the kernel", Duration::from_secs(5), || {
        let log = daemon.log();
        anyhow::ensure!(log.contains("opens a flow to backend"), "{log}");
        Ok(())
    })
    .unwrap();
}

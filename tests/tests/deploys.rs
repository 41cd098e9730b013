//! Backends restarted one after the other under load: drained first nobody notices; killed, some do.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{fs, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    config::Config,
    daemon::{Daemon, backend},
    needs, nginx,
    process::Process,
    scratch::Scratch,
    topology::{BackendHost, Shape, Topology, vip},
};

const PORT: u16 = 80;
const BACKENDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);
const HEALTH: &str =
    "type = \"http\"\npath = \"/\"\ninterval = \"200ms\"\ntimeout = \"1s\"\nrise = 1\nfall = 2\n";
/// What wrk says at its end.
const REPORT: &str = r#"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\n{"requests":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, e.connect, e.read, e.write, e.status, e.timeout))
end
"#;

struct Setup {
    // Before what it is attached to.
    daemon: Daemon,
    servers: Vec<Process>,
    wrk: Process,
    scratch: Scratch,
    topology: Topology,
}

impl Setup {
    /// Five servers, and a load of 32 connections that each last for a hundred requests.
    fn new() -> Self {
        let topology = Topology::new(Shape::Local, BACKENDS).unwrap();
        let scratch = Scratch::new("deploys").unwrap();
        let hosts = topology.backends.iter();
        let servers = hosts.map(|host| serve(host, &scratch)).collect();
        let service = topology
            .service("web", Protocol::Tcp, Family::V4, PORT)
            .health(HEALTH);
        let config = Config::new(topology.interfaces()).service(service);
        let mut daemon = Daemon::start(&topology.lb, &config).unwrap();
        let all_up = |status: &Value| {
            shunt_tests::daemon::backends(status).all(|backend| backend["health"] == "up")
        };
        daemon.wait_status("all are up", PATIENCE, all_up).unwrap();
        let script = scratch.join("report.lua");
        fs::write(&script, REPORT).unwrap();
        let mut wrk = topology.client.command("wrk");
        wrk.args(["--threads", "2", "--connections", "32", "--duration", "10m"])
            .arg("--script")
            .arg(&script)
            .arg(format!("http://{}/", vip(Family::V4, PORT)));
        let wrk = Process::spawn("wrk", wrk, scratch.path()).unwrap();
        Self {
            daemon,
            servers,
            wrk,
            scratch,
            topology,
        }
    }

    fn restart(&mut self, n: usize) {
        self.servers[n] = serve(&self.topology.backends[n], &self.scratch);
    }

    fn wait(&mut self, n: usize, health: &str) {
        let name = &self.topology.backends[n].name;
        let is_so = |status: &Value| backend(status, name).is_some_and(|b| b["health"] == health);
        let what = format!("{name} is {health}");
        self.daemon.wait_status(&what, PATIENCE, is_so).unwrap();
    }

    fn order(&self, words: &[&str]) {
        self.daemon.ask(words).unwrap();
    }

    /// Ends the load: how many requests were answered, and how many were not.
    fn finish(mut self) -> (u64, u64) {
        self.wrk.expect_running().unwrap();
        self.wrk.signal(Signal::SIGINT).unwrap();
        self.wrk.wait(PATIENCE).unwrap();
        let log = self.wrk.log();
        let report = log.lines().rev().find(|line| line.starts_with('{'));
        let report: Value =
            serde_json::from_str(report.unwrap_or_else(|| panic!("{log}"))).unwrap();
        println!("{report}");
        let count = |key: &str| report[key].as_u64().unwrap();
        let failed = ["connect", "read", "write", "status", "timeout"];
        (count("requests"), failed.into_iter().map(count).sum())
    }
}

fn serve(host: &BackendHost, scratch: &Scratch) -> Process {
    let server = format!(
        "listen {};\nkeepalive_requests 100;\nlocation / {{ return 200 \"{}\"; }}",
        host.address(Family::V4),
        host.name
    );
    nginx::start(&host.netns, &host.name, &server, scratch).unwrap()
}

#[test]
fn a_rolling_deploy_with_drain_fails_no_request() {
    needs!(needs::program("wrk"));
    let mut setup = Setup::new();
    for n in 0..BACKENDS {
        let name = format!("web/b{}", n + 1);
        setup.order(&["drain", &name, "--wait", "--deadline", "20s"]);
        setup.servers[n].terminate(PATIENCE).unwrap();
        setup.wait(n, "down");
        setup.restart(n);
        setup.wait(n, "up");
        setup.order(&["ready", &name]);
    }
    let (answered, failed) = setup.finish();
    println!("restarted with drain: {failed} requests failed, {answered} were answered");
    assert!(answered > 1000, "{answered}");
    assert_eq!(failed, 0);
}

/// What was open to it is broken, and until a second check has failed its share of new connections is refused.
#[test]
fn killed_backends_fail_what_was_open_to_them_and_little_more() {
    needs!(needs::program("wrk"));
    let mut setup = Setup::new();
    for n in 0..BACKENDS {
        let group = Pid::from_raw(setup.servers[n].pid().cast_signed());
        killpg(group, Signal::SIGKILL).unwrap();
        setup.wait(n, "down");
        setup.restart(n);
        setup.wait(n, "up");
    }
    let (answered, failed) = setup.finish();
    println!("killed: {failed} requests failed, {answered} were answered");
    assert!(failed > 0, "nobody noticed that backends were killed");
    assert!(failed * 20 < answered, "{failed} of {answered}");
}

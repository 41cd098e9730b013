//! `on_change`: a command and a URL hear of what happens to backends, and never hold the daemon up.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::ensure;
use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    config::Config,
    daemon::{Daemon, backend},
    scratch::Scratch,
    topology::{Shape, Topology},
    wait::wait_for,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn config(topology: &Topology, on_change: &str) -> Config {
    let service = topology.service("web", Protocol::Tcp, Family::V4, 80);
    Config::new(topology.interfaces())
        .daemon(on_change)
        .service(service)
}

fn wait(daemon: &mut Daemon, name: &str, health: &str) {
    let is_so = |status: &Value| backend(status, name).is_some_and(|b| b["health"] == health);
    let what = format!("{name} is {health}");
    daemon.wait_status(&what, PATIENCE, is_so).unwrap();
}

/// Who, what, from and to.
fn told(notice: &str) -> [String; 4] {
    let notice: Value = serde_json::from_str(notice).unwrap();
    ["backend", "what", "from", "to"].map(|key| notice[key].as_str().unwrap().to_owned())
}

/// Waits until this was told of.
fn hears(notices: impl Fn() -> Vec<[String; 4]>, wanted: [&str; 4]) {
    let heard = || {
        let notices = notices();
        ensure!(
            notices.iter().any(|notice| *notice == wanted),
            "{notices:?}"
        );
        Ok(())
    };
    wait_for(format!("{wanted:?}"), PATIENCE, heard).unwrap();
}

fn lines(file: &Path) -> Vec<[String; 4]> {
    let text = fs::read_to_string(file).unwrap_or_default();
    // A line that is being written is none yet.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(told).collect()
}

#[test]
fn a_command_hears_of_health_and_orders() {
    let topology = Topology::new(Shape::Local, 2).unwrap();
    let scratch = Scratch::new("hooks").unwrap();
    let file = scratch.join("notices");
    let script = format!("cat >> {0}; echo >> {0}", file.display());
    let command = format!("on_change.command = [\"sh\", \"-c\", {script:?}]");
    let mut servers = topology.serve(Protocol::Tcp).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, &command)).unwrap();
    wait(&mut daemon, "b2", "up");
    drop(servers.pop());
    hears(|| lines(&file), ["b2", "health", "up", "down"]);
    daemon.ask(&["drain", "web/b1"]).unwrap();
    hears(|| lines(&file), ["b1", "order", "ready", "drain"]);
}

#[test]
fn a_url_gets_it_posted() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let listener = topology
        .lb
        .enter(|| Ok(TcpListener::bind("127.0.0.1:0")?))
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, received) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.unwrap(), String::new());
            // The daemon sends all of it before it waits.
            stream
                .set_read_timeout(Some(Duration::from_millis(500)))
                .unwrap();
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut bytes) {
                request.push_str(&String::from_utf8_lossy(&bytes[..length]));
                if request.ends_with('}') {
                    break;
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
            if send.send(request).is_err() {
                return;
            }
        }
    });
    let url = format!("on_change.url = \"http://127.0.0.1:{port}/changes?of=web\"");
    let _daemon = {
        let _server = topology.serve(Protocol::Tcp).unwrap();
        let mut daemon = Daemon::start(&topology.lb, &config(&topology, &url)).unwrap();
        wait(&mut daemon, "b1", "up");
        daemon
    };
    let request = loop {
        let request = received.recv_timeout(PATIENCE).unwrap();
        if request.contains("\"down\"") {
            break request;
        }
    };
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /changes?of=web HTTP/1.1\r\n"),
        "{head}"
    );
    assert_eq!(told(body), ["b1", "health", "up", "down"]);
}

#[test]
fn one_that_never_ends_is_ended_with_all_that_it_started() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let scratch = Scratch::new("hooks").unwrap();
    let file = scratch.join("pids");
    let script = format!("sleep 1000 & echo $! >> {}; wait", file.display());
    let options =
        format!("on_change.command = [\"sh\", \"-c\", {script:?}]\non_change.timeout = \"300ms\"");
    let _server = topology.serve(Protocol::Tcp).unwrap();
    let mut daemon = Daemon::start(&topology.lb, &config(&topology, &options)).unwrap();
    daemon.ask(&["drain", "web/b1"]).unwrap();
    wait_for("the log says so", PATIENCE, || {
        let log = daemon.log();
        ensure!(log.contains("no end after 300ms"), "{log}");
        Ok(())
    })
    .unwrap();
    let pids = fs::read_to_string(&file).unwrap();
    assert!(!pids.is_empty());
    for pid in pids.lines() {
        // A zombie until whoever inherits it looks after it.
        let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        wait_for(format!("the end of {pid}"), PATIENCE, || {
            let state = state();
            ensure!(state.is_empty() || state.contains(") Z "), "{state}");
            Ok(())
        })
        .unwrap();
    }
    wait(&mut daemon, "b1", "up");
}

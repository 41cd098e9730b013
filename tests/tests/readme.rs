//! What the README says to type can be typed, and what it says to write loads.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeSet, fs, process::Command};

use shunt_tests::{
    Protocol, app,
    config::Config,
    daemon::{self, Daemon},
    needs,
    scratch::Scratch,
    topology::{Shape, Topology},
};

/// What becomes of each command of the README.
const COMMANDS: &[(&str, Tested)] = &[
    ("cargo xtask demo", Tested::Elsewhere("tests/demo.rs")),
    ("cargo xtask test", Tested::Elsewhere("this runs in it")),
    (
        "cargo xtask setup",
        Tested::Elsewhere("`cargo xtask test` does it first"),
    ),
    (
        "cargo xtask run -- check --config /etc/shunt/shunt.toml",
        Tested::Shunt(&["check", "--config", "/etc/shunt/shunt.toml"]),
    ),
    (
        "sudo cargo xtask run -- run --config /etc/shunt/shunt.toml",
        Tested::Elsewhere("every test with a daemon: shunt run --config FILE"),
    ),
    ("sudo shunt status", Tested::Ask(&["status"])),
    (
        "shunt import nginx /etc/nginx/nginx.conf --vip 192.0.2.10 --interface eth0 > shunt.toml",
        Tested::Elsewhere("lb-userspace/tests/import"),
    ),
    (
        "shunt import haproxy /etc/haproxy/haproxy.cfg --vip 192.0.2.10 --interface eth0 > shunt.toml",
        Tested::Elsewhere("lb-userspace/tests/import"),
    ),
];

enum Tested {
    Elsewhere(&'static str),
    /// Arguments of `shunt`, with the README's own configuration as the file.
    Shunt(&'static [&'static str]),
    /// The same, of a running daemon.
    Ask(&'static [&'static str]),
}

fn readme() -> String {
    let root = app::directory().ancestors().nth(2).unwrap();
    fs::read_to_string(root.join("README.md")).unwrap()
}

/// The lines of all fenced blocks of a language.
fn blocks(readme: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut parts = readme.split("```");
    // Prose, block, prose, block, …
    while let (Some(_), Some(block)) = (parts.next(), parts.next()) {
        if let Some(text) = block.strip_prefix(language) {
            blocks.push(text.trim_start_matches('\n').to_owned());
        }
    }
    blocks
}

#[test]
fn every_command_is_accounted_for() {
    needs!(needs::sources());
    let typed: BTreeSet<String> = blocks(&readme(), "console")
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| line.split('#').next().unwrap_or(line).trim().to_owned())
        .collect();
    let known: BTreeSet<String> = COMMANDS
        .iter()
        .map(|(typed, _)| (*typed).to_owned())
        .collect();
    let unknown: Vec<_> = typed.difference(&known).collect();
    assert!(unknown.is_empty(), "not tested: {unknown:?}");
    let readme = readme();
    for (typed, tested) in COMMANDS {
        assert!(readme.contains(typed), "not in the README: {typed}");
        if let Tested::Elsewhere(place) = tested {
            println!("{typed}: {place}");
        }
    }
}

#[test]
fn its_configurations_load_and_its_commands_run() {
    needs!(needs::sources());
    let scratch = Scratch::new("readme").unwrap();
    let file = scratch.join("shunt.toml");
    let configurations = blocks(&readme(), "toml");
    assert!(!configurations.is_empty());
    for text in configurations {
        fs::write(&file, text).unwrap();
        for (typed, tested) in COMMANDS {
            let Tested::Shunt(arguments) = tested else {
                continue;
            };
            let arguments = arguments.iter().map(|&argument| match argument {
                "/etc/shunt/shunt.toml" => file.as_os_str().to_owned(),
                other => other.into(),
            });
            let output = Command::new(daemon::binary().unwrap())
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "{typed}: {output:?}");
        }
    }
}

#[test]
fn a_running_daemon_answers_as_it_says() {
    needs!(needs::sources());
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let service = topology.service("web", Protocol::Tcp, shunt_tests::Family::V4, 80);
    let config = Config::new(topology.interfaces()).service(service);
    let daemon = Daemon::start(&topology.lb, &config).unwrap();
    for (_, tested) in COMMANDS {
        if let Tested::Ask(arguments) = tested {
            let text = daemon.ask(arguments).unwrap();
            for word in [
                "shunt",
                "eth0 (XDP native",
                "web",
                "10.99.0.1:80",
                "b1",
                "up",
                "active",
            ] {
                assert!(text.contains(word), "no {word:?} in:\n{text}");
            }
        }
    }
    // The control socket speaks HTTP, as the README says.
    let readme = readme();
    let line = readme
        .split('`')
        .find(|code| code.starts_with("curl --unix-socket"))
        .unwrap();
    let line = line.replace(
        "/run/shunt/shunt.sock",
        &daemon.socket().display().to_string(),
    );
    let text = topology
        .lb
        .run("bash", &["-c", &format!("{line} --silent --fail")])
        .unwrap();
    assert!(text.contains("\"services\""), "{text}");
}

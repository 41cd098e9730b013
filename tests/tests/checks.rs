//! Each type of check, against a server that is deployed for what it asks: it notices what a connection alone does not.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{fs, time::Duration};

use nix::sys::signal::Signal;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use shunt_tests::{
    Family, Protocol, app,
    config::{Backend, Config, Service},
    daemon::{Daemon, backend},
    needs, nginx,
    process::Process,
    scratch::Scratch,
    server::Server,
    topology::{BackendHost, Shape, Topology, vip},
};

const PATIENCE: Duration = Duration::from_secs(30);
const TIMES: &str = "interval = \"300ms\"\ntimeout = \"2s\"\nrise = 1\nfall = 2\n";
const NAME: &str = "app.example";

/// A service over the only backend.
fn service(topology: &Topology, protocol: Protocol, health: &str) -> Service {
    let host = &topology.backends[0];
    Service::new("web", protocol, &[vip(Family::V4, 443)])
        .backend(Backend::new(&host.name, host.address(Family::V4)))
        .health(&format!("{health}\n{TIMES}"))
}

fn start(topology: &Topology, service: &Service) -> Daemon {
    let config = Config::new(topology.interfaces()).service(service.clone());
    Daemon::start(&topology.lb, &config).unwrap()
}

/// Waits until the backend is so and its last check said that.
fn wait(daemon: &mut Daemon, health: &str, said: &str) {
    let is_so = |status: &serde_json::Value| {
        backend(status, "b1").is_some_and(|backend| {
            let last = backend["last_check"].as_str().unwrap_or_default();
            backend["health"] == health && last.contains(said)
        })
    };
    let what = format!("{health}: {said}");
    daemon.wait_status(&what, PATIENCE, is_so).unwrap();
}

/// nginx with a certificate for [`NAME`] by an authority of its own, which is written to `CALLED.pem`.
fn https(host: &BackendHost, called: &str, scratch: &Scratch) -> Process {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority
        .distinguished_name
        .push(DnType::CommonName, called);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    fs::write(scratch.join(&format!("{called}.pem")), pem).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([NAME.to_owned()]).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = certificate.signed_by(&key, &issuer).unwrap();
    fs::write(scratch.join("server.pem"), certificate.pem()).unwrap();
    fs::write(scratch.join("server.key"), key.serialize_pem()).unwrap();
    let root = scratch.path().display();
    let server = format!(
        "listen {} ssl;\nssl_certificate {root}/server.pem;\nssl_certificate_key {root}/server.key;\n\
         location = /health {{ return 204; }}",
        host.address(Family::V4)
    );
    nginx::start(&host.netns, called, &server, scratch).unwrap()
}

#[test]
fn https_wants_a_certificate_of_an_authority_that_is_believed() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let host = &topology.backends[0];
    let scratch = Scratch::new("checks").unwrap();
    let mut server = https(host, "good", &scratch);
    let authority = scratch.join("good.pem");
    let health = |trust: &str| {
        format!("type = \"https\"\npath = \"/health\"\nstatus = \"204\"\nsni = \"{NAME}\"\n{trust}")
    };
    let strict = health(&format!("ca_file = {authority:?}"));
    let mut daemon = start(&topology, &service(&topology, Protocol::Tcp, &strict));
    wait(&mut daemon, "up", "HTTP 204");
    // What clients send is passed on as it is.
    let url = format!("https://{NAME}/health");
    let there = format!("{NAME}:443:{}", vip(Family::V4, 443).ip());
    let authority = authority.display().to_string();
    let arguments = ["--silent", "--show-error", "--fail", "--cacert", &authority];
    let arguments = [&arguments[..], &["--resolve", &there, &url]].concat();
    topology.client.run("curl", &arguments).unwrap();

    server.terminate(PATIENCE).unwrap();
    let _server = https(host, "other", &scratch);
    wait(&mut daemon, "down", "invalid peer certificate");

    let blind = service(&topology, Protocol::Tcp, &health("insecure = true"));
    let config = Config::new(topology.interfaces()).service(blind);
    daemon.write_config(&config).unwrap();
    daemon.reload().unwrap();
    wait(&mut daemon, "up", "HTTP 204");
    let log = daemon.log();
    assert!(
        log.contains("whoever answers is taken for the backend"),
        "{log}"
    );
}

#[test]
fn grpc_hears_when_a_service_does_not_serve() {
    needs!(needs::fastapi());
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let host = &topology.backends[0];
    let logs = Scratch::new("checks").unwrap();
    let mut command = host.netns.command(app::python().unwrap());
    command
        .arg(app::directory().join("orders.py"))
        .args(["--bind", &host.address(Family::V4).to_string()]);
    let server = Process::spawn("grpc", command, logs.path()).unwrap();
    let health = |name: &str| format!("type = \"grpc\"\nservice = \"{name}\"");
    let known = service(&topology, Protocol::Tcp, &health("app.Orders"));
    let mut daemon = start(&topology, &known);
    wait(&mut daemon, "up", "gRPC SERVING");
    server.signal(Signal::SIGUSR1).unwrap();
    wait(&mut daemon, "down", "gRPC: NOT_SERVING");

    let other = service(&topology, Protocol::Tcp, &health("app.Other"));
    let config = Config::new(topology.interfaces()).service(other);
    daemon.write_config(&config).unwrap();
    daemon.reload().unwrap();
    wait(
        &mut daemon,
        "down",
        "the server knows no service \"app.Other\"",
    );
}

#[test]
fn dns_wants_an_answer_over_the_protocol_of_the_service() {
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let host = &topology.backends[0];
    let scratch = Scratch::new("checks").unwrap();
    let address = host.address(Family::V4);
    let mut command = host.netns.command("dnsmasq");
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
    ]);
    command.args([
        "--no-hosts",
        "--user=root",
        "--pid-file=",
        "--bind-interfaces",
    ]);
    command.arg(format!("--listen-address={}", address.ip()));
    command.arg(format!("--port={}", address.port()));
    command.arg(format!("--address=/{NAME}/192.0.2.1"));
    let mut server = Process::spawn("dnsmasq", command, scratch.path()).unwrap();
    let health = |name: &str| {
        format!("type = \"dns\"\nquery = \"{name}\"\nrecord = \"A\"\nmust_resolve = true")
    };
    for protocol in Protocol::BOTH {
        let known = service(&topology, protocol, &health(NAME));
        let mut daemon = start(&topology, &known);
        wait(&mut daemon, "up", "DNS NOERROR");
        let config = Config::new(topology.interfaces());
        let unknown = service(&topology, protocol, &health("other.example"));
        daemon.write_config(&config.service(unknown)).unwrap();
        daemon.reload().unwrap();
        // Without a server to ask itself, dnsmasq refuses.
        wait(&mut daemon, "down", "DNS REFUSED, expected NOERROR");
        daemon.stop().unwrap();
    }
    let known = service(&topology, Protocol::Udp, &health(NAME));
    let mut daemon = start(&topology, &known);
    wait(&mut daemon, "up", "DNS NOERROR");
    server.terminate(PATIENCE).unwrap();
    wait(&mut daemon, "down", "connection refused");
}

#[test]
fn udp_hears_that_nobody_listens_and_reads_replies() {
    let topology = Topology::new(Shape::Bridge, 1).unwrap();
    let host = &topology.backends[0];
    let server: Server = host.serve(Protocol::Udp).unwrap();
    let expecting = "type = \"udp\"\nsend = \"ping\"\nexpect = \"b1 ping\"";
    let mut daemon = start(&topology, &service(&topology, Protocol::Udp, expecting));
    wait(&mut daemon, "up", "replied");
    let config = Config::new(topology.interfaces());
    let silent = service(&topology, Protocol::Udp, "type = \"udp\"");
    daemon.write_config(&config.service(silent)).unwrap();
    drop(server);
    daemon.reload().unwrap();
    wait(&mut daemon, "down", "connection refused");
}

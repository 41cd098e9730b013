//! Devices that are made of others: the load balancer has one cable, and clients and backends are two networks on it. VLANs
//! on a trunk, a bond, a bridge.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::Client,
    config::{Backend, Config, Service},
    daemon::{self, Daemon, verdict, verdicts},
    needs,
    netns::Netns,
    server::Server,
    topology::vip,
};

const PORT: u16 = 80;
const BACKEND: [&str; 2] = ["10.2.0.11:8080", "[fd00:2::11]:8080"];
/// A veth takes frames from XDP where its peer has GRO, since kernel 5.13.
const ALWAYS: &str = "redirect = \"always\"";

/// ```text
///  client ──┐
///           ├── switch ── eth0, … ── lb
///  backend ─┘
/// ```
struct OneArm {
    client: Netns,
    backend: Netns,
    switch: Netns,
    lb: Netns,
}

impl OneArm {
    fn new() -> Self {
        let [client, backend, switch, lb] =
            ["client", "backend", "switch", "lb"].map(|role| Netns::new(role).unwrap());
        client.wire("eth0", &switch, "client").unwrap();
        backend.wire("eth0", &switch, "backend").unwrap();
        for host in [&client, &backend] {
            host.finish_checksums("eth0").unwrap();
            // Both networks may be one device of the load balancer, which then tells of shorter ways.
            host.sysctl("net/ipv4/conf/all/accept_redirects", "0")
                .unwrap();
            host.sysctl("net/ipv4/conf/eth0/accept_redirects", "0")
                .unwrap();
            host.sysctl("net/ipv6/conf/eth0/accept_redirects", "0")
                .unwrap();
        }
        Self {
            client,
            backend,
            switch,
            lb,
        }
    }

    /// A cable, `name` at both ends.
    fn cable(&self, name: &str) {
        self.lb.wire(name, &self.switch, name).unwrap();
        self.switch
            .run("ethtool", &["-K", name, "gro", "on"])
            .unwrap();
        self.switch.finish_checksums(name).unwrap();
        self.lb.finish_checksums(name).unwrap();
    }

    /// Both networks on `device` of the load balancer, with `ports` of the switch.
    fn join(&self, device: &str, ports: &[&str]) {
        self.bridge("br0", &[&["client", "backend"], ports].concat());
        self.address([device, device]);
    }

    fn bridge(&self, name: &str, ports: &[&str]) {
        let mut script =
            format!("link add {name} type bridge mcast_snooping 0\nlink set {name} up\n");
        for port in ports {
            script += &format!("link set {port} master {name}\nlink set {port} up\n");
        }
        self.switch.ip(&script).unwrap();
    }

    fn address(&self, [clients, backends]: [&str; 2]) {
        let (lb, client, backend) = (&self.lb, &self.client, &self.backend);
        lb.address(clients, &["10.1.0.1/24", "fd00:1::1/64"])
            .unwrap();
        lb.address(backends, &["10.2.0.1/24", "fd00:2::1/64"])
            .unwrap();
        lb.address("lo", &["10.99.0.1/32", "fd00:99::1/128"])
            .unwrap();
        lb.enable_forwarding().unwrap();
        client
            .address("eth0", &["10.1.0.2/24", "fd00:1::2/64"])
            .unwrap();
        client
            .ip("route add default via 10.1.0.1\nroute add default via fd00:1::1")
            .unwrap();
        backend
            .address("eth0", &["10.2.0.11/24", "fd00:2::11/64"])
            .unwrap();
        backend
            .ip("route add default via 10.2.0.1\nroute add default via fd00:2::1")
            .unwrap();
    }

    /// VLAN 100 with the client and VLAN 200 with the backend, both tagged on one cable.
    fn trunk(&self) {
        self.cable("eth0");
        for id in [100, 200] {
            for host in [&self.lb, &self.switch] {
                host.ip(&format!(
                    "link add link eth0 name eth0.{id} type vlan id {id}\nlink set eth0.{id} up"
                ))
                .unwrap();
            }
        }
        self.bridge("br100", &["client", "eth0.100"]);
        self.bridge("br200", &["backend", "eth0.200"]);
        self.address(["eth0.100", "eth0.200"]);
    }

    /// Tags travel in the frames, as on a wire, and not beside them.
    fn show_tags(&self) {
        self.switch
            .run("ethtool", &["-K", "eth0", "txvlan", "off"])
            .unwrap();
        self.lb
            .run("ethtool", &["-K", "eth0", "rxvlan", "off"])
            .unwrap();
    }

    /// Two cables that are one `bond0` of the load balancer.
    fn bond(&self, mode: &str) {
        self.cable("eth0");
        self.cable("eth1");
        self.lb
            .ip(&format!(
                "link add bond0 type bond miimon 100 {mode}\nlink set eth0 down\nlink set eth1 down\n\
                 link set eth0 master bond0\nlink set eth1 master bond0\nlink set bond0 up"
            ))
            .unwrap();
    }

    /// Each family and protocol is answered; the status afterwards.
    fn asked(&self, interfaces: &[&str], options: &str) -> (Daemon, Value) {
        let addresses: Vec<SocketAddr> = BACKEND.map(|text| text.parse().unwrap()).to_vec();
        let interfaces = interfaces.iter().map(ToString::to_string).collect();
        let mut config = Config::new(interfaces).daemon(options);
        let mut servers = Vec::new();
        for protocol in Protocol::BOTH {
            servers.push(Server::start(&self.backend, protocol, "b1", &addresses).unwrap());
            for (family, address) in Family::BOTH.into_iter().zip(&addresses) {
                let name = format!("{family}-{protocol}");
                let service = Service::new(&name, protocol, &[vip(family, PORT)]);
                config = config.service(service.backend(Backend::new("b1", *address)));
            }
        }
        let mut daemon = Daemon::prepare(&self.lb, &config).unwrap();
        daemon.run().unwrap();
        daemon
            .wait_status("all backends are up", patience(), |status| {
                daemon::backends(status).all(|backend| backend["health"] == "up")
            })
            .unwrap();
        let client = Client::new(&self.client);
        for protocol in Protocol::BOTH {
            for family in Family::BOTH {
                let flows = needs::repetitions(200, 50);
                let spread = client
                    .spread(protocol, vip(family, PORT), flows, 2)
                    .unwrap();
                assert_eq!(
                    spread.all().unwrap(),
                    [("b1".to_owned(), flows)].into(),
                    "{family} {protocol}: {}",
                    daemon.log()
                );
            }
        }
        let status = daemon.status().unwrap();
        assert_eq!(verdicts(&status, "drop"), 0, "{status:#}");
        (daemon, status)
    }
}

/// An emulated machine takes its time for four services.
fn patience() -> Duration {
    Duration::from_secs(needs::repetitions(20, 180))
}

/// All but the first packets, which wait for neighbours, took this way.
fn goes(status: &Value, way: &str) {
    let all = verdicts(status, "forward_");
    let this = verdict(status, &format!("forward_{way}"));
    assert!(
        all > 0 && this * 10 > all * 9,
        "{this} of {all} packets to the backend went {way}: {status:#}"
    );
}

fn replies_go(status: &Value, way: &str) {
    let all = verdicts(status, "reply_");
    let this = verdict(status, &format!("reply_{way}"));
    assert!(
        all > 0 && this * 10 > all * 9,
        "{this} of {all} replies went {way}: {status:#}"
    );
}

fn mode(status: &Value) -> &str {
    status["interfaces"][0]["mode"].as_str().unwrap_or("none")
}

#[test]
fn on_a_trunk_frames_turn_round_in_xdp() {
    needs!(needs::kernel("6.1"), needs::module("8021q"));
    let hosts = OneArm::new();
    hosts.trunk();
    hosts.show_tags();
    let (_daemon, status) = hosts.asked(&["eth0"], ALWAYS);
    assert_eq!(mode(&status), "native");
    goes(&status, "tx");
    replies_go(&status, "tx");
}

#[test]
fn where_tags_are_hidden_the_kernel_forwards() {
    needs!(needs::module("8021q"));
    let hosts = OneArm::new();
    hosts.trunk();
    let (daemon, status) = hosts.asked(&["eth0"], ALWAYS);
    goes(&status, "stack");
    assert!(
        daemon.log().contains("ethtool -K eth0 rxvlan off"),
        "{}",
        daemon.log()
    );
}

#[test]
fn on_vlan_devices() {
    needs!(needs::module("8021q"));
    let hosts = OneArm::new();
    hosts.trunk();
    let (daemon, status) = hosts.asked(&["eth0.100", "eth0.200"], "");
    assert_eq!(mode(&status), "generic");
    goes(&status, "redirect");
    replies_go(&status, "redirect");
    assert!(
        daemon
            .log()
            .contains("the driver says: Underlying driver does not support XDP in native mode"),
        "{}",
        daemon.log()
    );
}

#[test]
fn on_a_bond() {
    needs!(needs::kernel("6.1"), needs::module("bonding"));
    let hosts = OneArm::new();
    hosts.bond("mode active-backup");
    hosts.join("bond0", &["eth0", "eth1"]);
    let (daemon, status) = hosts.asked(&["bond0"], ALWAYS);
    assert_eq!(mode(&status), "native", "{}", daemon.log());
    goes(&status, "tx");
    replies_go(&status, "tx");
}

#[test]
fn on_a_bond_of_a_mode_without_native_xdp() {
    needs!(needs::kernel("6.1"), needs::module("bonding"));
    let hosts = OneArm::new();
    hosts.bond("mode broadcast");
    // One of the two, or every frame would come twice.
    hosts.join("bond0", &["eth0"]);
    let (daemon, status) = hosts.asked(&["bond0"], "");
    assert_eq!(mode(&status), "generic");
    goes(&status, "tx");
    assert!(
        daemon
            .log()
            .contains("No native XDP support for the current bonding mode"),
        "{}",
        daemon.log()
    );
}

#[test]
fn on_a_bridge() {
    let hosts = OneArm::new();
    hosts.cable("eth0");
    hosts
        .lb
        .ip("link add br0 type bridge mcast_snooping 0\nlink set eth0 master br0\nlink set br0 up")
        .unwrap();
    hosts.join("br0", &["eth0"]);
    let (daemon, status) = hosts.asked(&["br0"], "");
    assert_eq!(mode(&status), "generic");
    goes(&status, "tx");
    replies_go(&status, "tx");
    assert!(
        daemon.log().contains("does not support XDP in native mode"),
        "{}",
        daemon.log()
    );
}

//! What network engineers look at first: does the VIP answer pings, and does it make sense to traceroute and tracepath?
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::IpAddr;

use shunt_tests::{
    Family, Protocol,
    config::Config,
    daemon::{Daemon, verdict},
    topology::{Shape, Topology, vip},
};

const PORT: u16 = 80;
/// Veths are transmitted into in this mode without a program at their other end.
const DIRECT: &str = "xdp_mode = \"generic\"\nredirect = \"always\"";

fn started(topology: &Topology, options: &str) -> Daemon {
    let mut config = Config::new(topology.interfaces()).daemon(options);
    for family in Family::BOTH {
        for protocol in Protocol::BOTH {
            let name = format!("{family}-{protocol}");
            config = config.service(topology.service(&name, protocol, family, PORT));
        }
    }
    Daemon::start(&topology.lb, &config).unwrap()
}

fn address(family: Family) -> IpAddr {
    vip(family, PORT).ip()
}

fn ping(topology: &Topology, ip: IpAddr, count: u64) -> anyhow::Result<String> {
    topology.client.run(
        "ping",
        &[
            "-n",
            "-c",
            &count.to_string(),
            "-i",
            "0.05",
            "-W",
            "5",
            &ip.to_string(),
        ],
    )
}

#[test]
fn a_vip_that_only_the_datapath_has_answers() {
    const COUNT: u64 = 20;
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    topology.remove_vips().unwrap();
    let daemon = started(&topology, DIRECT);
    // Its neighbours are known, as they are where anything has been said at all.
    for family in Family::BOTH {
        let lb = match family {
            Family::V4 => "10.1.0.1",
            Family::V6 => "fd00:1::1",
        };
        ping(&topology, lb.parse().unwrap(), 1).unwrap();
        let before = daemon.status().unwrap();
        let said = ping(&topology, address(family), COUNT).unwrap();
        println!("{said}");
        assert!(said.contains(&format!("{COUNT} received")), "{said}");
        let after = daemon.status().unwrap();
        let answered = verdict(&after, "answer_echo") - verdict(&before, "answer_echo");
        assert_eq!(answered, COUNT, "{after:#}");
    }
    for stranger in ["10.99.0.2", "fd00:99::2"] {
        ping(&topology, stranger.parse().unwrap(), 1).unwrap_err();
    }
}

#[test]
fn a_vip_of_the_host_answers_where_the_datapath_cannot() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let daemon = started(&topology, "redirect = \"never\"");
    for family in Family::BOTH {
        let said = ping(&topology, address(family), 5).unwrap();
        assert!(said.contains("5 received"), "{said}");
    }
    let status = daemon.status().unwrap();
    assert_eq!(verdict(&status, "pass_echo"), 10, "{status:#}");
}

#[test]
fn more_pings_than_are_answered_are_dropped() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let daemon = started(&topology, DIRECT);
    ping(&topology, "10.1.0.1".parse().unwrap(), 1).unwrap();
    // As fast as it can, for a second.
    let vip = address(Family::V4).to_string();
    let _ = topology.client.run(
        "ping",
        &[
            "-n", "-q", "-f", "-l", "2000", "-c", "20000", "-w", "2", &vip,
        ],
    );
    let status = daemon.status().unwrap();
    let (answered, dropped) = (
        verdict(&status, "answer_echo"),
        verdict(&status, "drop_icmp_limit"),
    );
    println!("{answered} answered, {dropped} dropped");
    assert!(dropped > 0, "{status:#}");
    // A CPU answers 256 at once, and 954 in a second.
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    assert!(answered < cpus * (256 + 4 * 954), "{status:#}");
}

/// The load balancer is the hop before the VIP; TCP and UDP go on to the backend.
#[test]
fn traceroute_to_a_service_shows_the_load_balancer_and_then_the_service() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let _servers: Vec<_> = Protocol::BOTH
        .into_iter()
        .flat_map(|protocol| topology.serve(protocol).unwrap())
        .collect();
    let daemon = started(&topology, DIRECT);
    for family in Family::BOTH {
        let vip = address(family).to_string();
        for way in [["-T", "-p", "80"], ["-U", "-p", "80"]] {
            let all = ["-n", "-q", "1", "-w", "3", "-N", "1", "-m", "5"];
            let arguments = [&all[..], &way, &[vip.as_str()]].concat();
            let said = topology.client.run("traceroute", &arguments).unwrap();
            println!("{said}");
            let hops: Vec<Vec<&str>> = said
                .lines()
                .skip(1)
                .map(|line| line.split_whitespace().take(2).collect())
                .collect();
            assert_eq!(hops, [["1", &vip], ["2", &vip]], "{said}");
        }
    }
    let status = daemon.status().unwrap();
    assert!(verdict(&status, "answer_time_exceeded") >= 4, "{status:#}");
}

#[test]
fn tracepath_to_the_vip_finds_its_mtu() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let _daemon = started(&topology, DIRECT);
    for family in Family::BOTH {
        let vip = address(family).to_string();
        let said = topology
            .client
            .run("tracepath", &["-n", "-m", "5", &vip])
            .unwrap();
        println!("{said}");
        assert!(said.contains("reached"), "{said}");
        assert!(said.contains("pmtu 1500"), "{said}");
    }
}

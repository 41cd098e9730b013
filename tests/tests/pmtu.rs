//! Long transfers where hosts may send packets of 9000 bytes, 3000 on an old kernel, and a link on the way takes less: whoever sends learns of
//! it, through the load balancer.
//!
//! ```text
//!  far ── 1300 ── client (a router here) ── 9000 ── lb ── 1400 ── backend, which says that it takes 9000
//! ```
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use shunt_tests::{
    Family, Protocol,
    config::{Backend, Config, Service},
    daemon::{Daemon, verdict, verdicts},
    needs,
    netns::Netns,
    topology::{Shape, Topology, behind, vip},
};

const PORT: u16 = 80;
/// Where the backend takes IPv4 out of IPv6: a tunnel device for that takes nothing else at its address.
const V4_IN_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 0x99);
const BYTES: usize = 4 << 20;
/// A transfer that has lost its way does not end.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn nat() {
    for family in Family::BOTH {
        let narrow = Narrow::new("nat", family, family, |_| Ok(()));
        narrow.upload("egress_reply");
        narrow.download("reply_redirect");
    }
}

#[test]
fn fullnat() {
    for family in Family::BOTH {
        let narrow = Narrow::new("fullnat", family, family, |_| Ok(()));
        narrow.upload("answer_too_big");
        narrow.download("reply_redirect");
    }
}

#[test]
fn dsr() {
    for family in Family::BOTH {
        Narrow::new("dsr", family, family, behind::take_vips).upload("answer_too_big");
    }
}

#[test]
fn ipip() {
    tunnel("ipip");
}

#[test]
fn gue() {
    tunnel("gue");
}

fn tunnel(forward: &str) {
    for module in behind::MODULES {
        needs!(needs::module(module));
    }
    let both = [(Family::V4, Family::V4), (Family::V6, Family::V6)];
    for (family, outer) in both.into_iter().chain([(Family::V4, Family::V6)]) {
        // The kernel has no end of GUE that takes IPv4 out of IPv6.
        if forward == "gue" && family != outer {
            continue;
        }
        let take = |netns: &Netns| {
            netns.address("eth0", &[&format!("{V4_IN_V6}/64")])?;
            behind::take_from_tunnels(netns, &V4_IN_V6.to_string())
        };
        Narrow::new(forward, family, outer, take).upload("answer_too_big");
    }
}

/// The hosts, with a service of one family whose backend is reached at an address of another, or the same.
struct Narrow {
    topology: Topology,
    far: Netns,
    daemon: Daemon,
    forward: String,
    family: Family,
}

impl Narrow {
    fn new(
        forward: &str,
        family: Family,
        outer: Family,
        take: impl FnOnce(&Netns) -> anyhow::Result<()>,
    ) -> Self {
        let topology = Topology::new(Shape::Gateway, 1).unwrap();
        let backend = &topology.backends[0];
        take(&backend.netns).unwrap();
        let far = widen_front(&topology);
        narrow_back(&topology);

        let keeps_port = !matches!(forward, "nat" | "fullnat");
        if keeps_port {
            // Its answers pass the load balancer, which would not let its own address pass.
            topology.remove_vips().unwrap();
        }
        let address = match outer {
            Family::V4 => SocketAddr::new(backend.v4.into(), PORT),
            Family::V6 if family == Family::V4 => SocketAddr::new(V4_IN_V6.into(), PORT),
            Family::V6 => SocketAddr::new(backend.v6.into(), PORT),
        };
        let server = if keeps_port {
            vip(family, PORT)
        } else {
            address
        };
        serve(&backend.netns, server);
        let service = Service::new("narrow", Protocol::Tcp, &[vip(family, PORT)])
            .options(&format!("forward = {forward:?}"))
            .health("type = \"none\"")
            .backend(Backend::new("b1", address));
        // Veths are transmitted into in this mode without a program at their other end.
        let config = Config::new(topology.interfaces())
            .daemon("xdp_mode = \"generic\"\nredirect = \"always\"")
            .service(service);
        // The load balancer knows its neighbours before the first packet.
        let lb = &topology.lb;
        for ip in [
            IpAddr::from(backend.v4),
            address.ip(),
            "10.1.0.2".parse().unwrap(),
            "fd00:1::2".parse().unwrap(),
        ] {
            lb.run("ping", &["-c1", "-W5", &ip.to_string()]).unwrap();
        }
        let daemon = Daemon::start(&topology.lb, &config).unwrap();
        Self {
            topology,
            far,
            daemon,
            forward: forward.to_owned(),
            family,
        }
    }

    /// From the client to the backend, past the narrow link behind the load balancer. `told` counts how the client was
    /// told of it.
    fn upload(&self, told: &str) {
        let bytes = content();
        let found = self.transfer(&self.topology.client, |stream| {
            writeln!(stream, "put {BYTES}")?;
            stream.write_all(&bytes)?;
            let mut sum = String::new();
            BufReader::new(stream).read_line(&mut sum)?;
            Ok(sum.trim().to_owned())
        });
        self.expect("upload", &found, told);
    }

    /// From the backend to a client behind a narrow link, of which a router tells the VIP.
    fn download(&self, told: &str) {
        let found = self.transfer(&self.far, |stream| {
            writeln!(stream, "get {BYTES}")?;
            let mut received = Vec::new();
            stream.read_to_end(&mut received)?;
            Ok(sum(&received))
        });
        self.expect("download", &found, told);
    }

    fn transfer(
        &self,
        from: &Netns,
        work: impl FnOnce(&mut TcpStream) -> anyhow::Result<String> + Send,
    ) -> String {
        let address = vip(self.family, PORT);
        let found = from.enter(|| {
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            work(&mut stream)
        });
        let status = self.daemon.status().unwrap();
        found.unwrap_or_else(|error| {
            panic!("{} {}: {error:#}\n{status:#}", self.forward, self.family)
        })
    }

    fn expect(&self, what: &str, found: &str, told: &str) {
        let what = format!("{} {} {what}", self.forward, self.family);
        let status: Value = self.daemon.status().unwrap();
        assert_eq!(found, sum(&content()), "{what}: {status:#}");
        println!(
            "{what}: {BYTES} bytes, {told} {}, errors forwarded {}",
            verdict(&status, told),
            status["events"]["icmp_error_forwarded"]
        );
        assert!(verdict(&status, told) > 0, "{what}: {status:#}");
        assert_eq!(verdicts(&status, "drop_"), 0, "{what}: {status:#}");
    }
}

/// Large packets to the client, and a client behind a narrow link of it.
fn widen_front(topology: &Topology) -> Netns {
    let (client, lb) = (&topology.client, &topology.lb);
    let far = Netns::new("far").unwrap();
    // No program shortens a frame larger than a page before.
    let mtu = if needs::kernel("6.6").is_ok() {
        9000
    } else {
        3000
    };
    client.ip(&format!("link set eth0 mtu {mtu}")).unwrap();
    lb.ip(&format!("link set eth0 mtu {mtu}")).unwrap();
    far.wire("eth0", client, "eth1").unwrap();
    far.finish_checksums("eth0").unwrap();
    far.ip("link set eth0 mtu 1300").unwrap();
    client.ip("link set eth1 mtu 1300").unwrap();
    far.address("eth0", &["10.3.0.2/24", "fd00:3::2/64"])
        .unwrap();
    client
        .address("eth1", &["10.3.0.1/24", "fd00:3::1/64"])
        .unwrap();
    client.enable_forwarding().unwrap();
    far.ip(
        "route add default via 10.3.0.1 advmss 8960\nroute add default via fd00:3::1 advmss 8940",
    )
    .unwrap();
    lb.ip("route add 10.3.0.0/24 via 10.1.0.2\nroute add fd00:3::/64 via fd00:1::2")
        .unwrap();
    far
}

/// 1400 bytes to the backend, which says that it takes more.
fn narrow_back(topology: &Topology) {
    for switch_port in ["port0", "port1"] {
        topology
            .switch()
            .ip(&format!("link set {switch_port} mtu 1400"))
            .unwrap();
    }
    topology.lb.ip("link set eth1 mtu 1400").unwrap();
    topology.backends[0]
        .netns
        .ip("link set eth0 mtu 1400\n\
             route replace default via 10.2.0.1 advmss 8960\n\
             route replace 10.2.0.0/24 dev eth0 advmss 8960\n\
             route replace default via fd00:2::1 advmss 8940\n\
             route replace fd00:2::/64 dev eth0 metric 256 advmss 8940")
        .unwrap();
}

/// Takes what is put and says its sum, and sends what is asked for.
fn serve(netns: &Netns, at: SocketAddr) {
    let listener = netns.enter(|| Ok(TcpListener::bind(at)?)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that gives up fails its own test.
            let _ = stream.map_err(anyhow::Error::from).and_then(answer);
        }
    });
}

fn answer(mut stream: TcpStream) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    match line.trim().split_once(' ') {
        Some(("put", bytes)) => {
            let mut received = vec![0; bytes.parse()?];
            reader.read_exact(&mut received)?;
            writeln!(stream, "{}", sum(&received))?;
        }
        Some(("get", _)) => stream.write_all(&content())?,
        _ => anyhow::bail!("expected put or get, found {line:?}"),
    }
    Ok(())
}

/// Bytes that repeat only after longer than any window.
fn content() -> Vec<u8> {
    (0..BYTES as u32 / 4)
        .flat_map(|word| word.wrapping_mul(0x9e37_79b1).to_le_bytes())
        .collect()
}

fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

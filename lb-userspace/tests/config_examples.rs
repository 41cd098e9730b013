//! Every example below `config/` loads, and means what its comments say.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use lb_userspace::{
    address::{Listen, Ports},
    config::{self, load},
    desired::{
        BackendSettings, Check, DaemonSettings, Desired, DnsCheck, Forward, GrpcCheck,
        HealthSettings, HttpCheck, OnChange, Protocol, Redirect, Scheduler, ServiceSettings,
        Tables, Timeouts, Tls, UdpCheck, XdpMode,
    },
    health::schedule::Intervals,
    statuses::Statuses,
    trust::Trust,
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config")
}

fn example(name: &str) -> Desired {
    load(&directory().join(name)).unwrap_or_else(|error| panic!("{error}"))
}

fn examples_below(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{error}")).path();
        if path.is_dir() {
            examples_below(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_example_loads() {
    let mut examples = Vec::new();
    examples_below(&directory(), &mut examples);
    assert!(examples.len() >= 5, "{examples:?}");
    for path in examples {
        if let Err(error) = load(&path) {
            panic!("{error}");
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn backend(name: &str, address: &str, weight: u16, backup: bool) -> BackendSettings {
    BackendSettings {
        name: name.to_owned(),
        address: address.parse().unwrap_or_else(|error| panic!("{error}")),
        check_address: None,
        weight,
        backup,
        max_conns: 0,
        passive: Default::default(),
    }
}

#[test]
fn the_reference_means_what_it_says() {
    let web = ServiceSettings {
        name: "web".to_owned(),
        listen: vec![
            "192.0.2.10:80".parse().unwrap(),
            "[2001:db8::10]:80".parse().unwrap(),
        ],
        protocol: Protocol::Tcp,
        forward: Forward::Nat,
        scheduler: Scheduler::Maglev,
        affinity: Duration::ZERO,
        on_down: Default::default(),
        min_active: 1,
        panic_below: 0,
        slow_start: seconds(0),
        table_size: None,
        health: HealthSettings {
            check: Check::Http(HttpCheck {
                path: "/health".to_owned(),
                ..HttpCheck::default()
            }),
            address: None,
            port: None,
            intervals: Intervals {
                steady: seconds(2),
                fast: seconds(2),
                down: seconds(2),
            },
            timeout: seconds(1),
            rise: 2,
            fall: 3,
            flap_window: Duration::ZERO,
            starts_up: false,
        },
        backends: vec![
            backend("api1", "10.0.0.11:8001", 1, false),
            backend("api1-v6", "[2001:db8:1::11]:8001", 1, false),
        ],
    };
    let daemon = DaemonSettings {
        interfaces: vec!["eth0".to_owned()],
        xdp_mode: XdpMode::Auto,
        redirect: Redirect::Auto,
        local_clients: true,
        bridges: Vec::new(),
        socket: "/run/shunt/shunt.sock".into(),
        http: None,
        pin_dir: "/sys/fs/bpf/shunt".into(),
        state_dir: "/var/lib/shunt".into(),
        seed: 0,
        tables: Tables::default(),
        timeouts: Timeouts {
            transition: seconds(3600),
            tcp: seconds(3600),
            half_open: seconds(10),
            udp: seconds(60),
        },
        snat_addresses: Vec::new(),
        on_change: OnChange::default(),
    };
    assert_eq!(
        example("shunt.toml"),
        Desired {
            daemon,
            services: vec![web]
        }
    );
}

/// The reference's values are the defaults, except where it says that there is none.
#[test]
fn the_reference_shows_the_defaults() {
    let shortest = r#"
        [daemon]
        interfaces = ["eth0"]
        [[service]]
        name = "web"
        listen = ["192.0.2.10:80", "[2001:db8::10]:80"]
        health = { type = "http", path = "/health" }
        backend = [
            { name = "api1", address = "10.0.0.11:8001" },
            { name = "api1-v6", address = "[2001:db8:1::11]:8001" },
        ]
    "#;
    assert_eq!(config::parse("", shortest), Ok(example("shunt.toml")));
}

/// What is commented out in the reference can be put in, and then means the same or more.
#[test]
fn the_reference_with_every_key() {
    let text = fs::read_to_string(directory().join("shunt.toml")).unwrap();
    let keys = [
        "http",
        "snat_addresses",
        "table_size",
        "port",
        "address",
        "check_address",
        "host",
        "headers",
        "status",
        "body",
        "fast_interval",
        "down_interval",
    ];
    let text = keys.iter().fold(text, |text, key| {
        let comment = format!("# {key} = ");
        assert_eq!(text.matches(&comment).count(), 1, "{key}");
        text.replace(&comment, &format!("{key} = "))
    });
    let desired = config::parse("shunt.toml", &text).unwrap();
    assert_eq!(desired.daemon.http, Some("127.0.0.1:9470".parse().unwrap()));
    let sources: Vec<IpAddr> = ["192.0.2.20", "2001:db8::20"]
        .map(|text| text.parse().unwrap())
        .to_vec();
    assert_eq!(desired.daemon.snat_addresses, sources);
    let service = &desired.services[0];
    assert_eq!(service.table_size, Some(4093));
    let check = Check::Http(HttpCheck {
        path: "/health".to_owned(),
        host: Some("app.example".to_owned()),
        headers: vec![("Authorization".to_owned(), "Bearer secret".to_owned())],
        statuses: Statuses::default(),
        body: Some("ok".to_owned()),
        tls: None,
    });
    assert_eq!(service.health.check, check);
    assert_eq!(service.health.address, Some([10, 0, 0, 9].into()));
    let checked = service.backends[0].check_address;
    assert_eq!(checked, Some("10.0.0.11:9001".parse().unwrap()));
    let intervals = Intervals {
        steady: seconds(2),
        fast: seconds(1),
        down: seconds(10),
    };
    assert_eq!(service.health.intervals, intervals);
    assert_eq!(service.health.port, Some(8001));
}

#[test]
fn the_reference_has_the_keys_of_every_check() {
    let text = fs::read_to_string(directory().join("shunt.toml")).unwrap();
    // Where this machine has no authorities, only who believes everything can be read.
    let text = ["# insecure = false", "# tls = false"]
        .iter()
        .fold(text, |text, key| {
            text.replace(key, &key.replace("false", "true"))
        });
    let check = |kind: &str, keys: &[&str]| {
        let text = text.replace("type = \"http\"\n", &format!("type = \"{kind}\"\n"));
        let text = match kind {
            "https" => text,
            _ => text.replace("\npath = ", "\n# path = "),
        };
        let text = keys.iter().fold(text, |text, key| {
            let comment = format!("\n# {key} = ");
            assert_eq!(text.matches(&comment).count(), 1, "{key}");
            text.replace(&comment, &format!("\n{key} = "))
        });
        let desired = config::parse("shunt.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        desired.services[0].health.check.clone()
    };

    let blind = Some(Tls {
        name: Some("app.example".to_owned()),
        trust: Trust::everything(),
    });
    let found = check("https", &["sni", "insecure"]);
    assert_eq!(
        found,
        Check::Http(HttpCheck {
            path: "/health".to_owned(),
            tls: blind.clone(),
            ..HttpCheck::default()
        })
    );
    let found = check("grpc", &["service", "tls", "sni", "insecure"]);
    assert_eq!(
        found,
        Check::Grpc(GrpcCheck {
            service: "app.Orders".to_owned(),
            tls: blind
        })
    );
    let found = check("dns", &["query", "record", "must_resolve"]);
    let dns = DnsCheck {
        protocol: Protocol::Tcp,
        name: ".".parse().unwrap(),
        record: "NS".parse().unwrap(),
        must_resolve: false,
    };
    assert_eq!(found, Check::Dns(dns));
    let found = check("udp", &["send", "expect"]);
    assert_eq!(
        found,
        Check::Udp(UdpCheck {
            send: b"ping".to_vec(),
            expect: Some(b"pong".to_vec())
        })
    );
}

#[test]
fn the_quickstart_has_four_processes_and_a_spare() {
    let desired = example("quickstart.toml");
    let [web] = &desired.services[..] else {
        panic!("{desired:?}");
    };
    assert_eq!(
        web.backends,
        [
            backend("api1", "192.0.2.10:8001", 3, false),
            backend("api2", "192.0.2.10:8002", 2, false),
            backend("api3", "192.0.2.10:8003", 1, false),
            backend("api4", "192.0.2.10:8004", 1, false),
            backend("spare", "192.0.2.10:8005", 1, true),
        ]
    );
}

#[test]
fn ports_are_taken_by_the_most_specific_and_kept_for_backends_without_one() {
    let desired = example("ports.toml");
    let [media, signalling, rest] = &desired.services[..] else {
        panic!("{desired:?}");
    };
    let of_vip = |ports| Listen {
        ip: IpAddr::from([192, 0, 2, 20]),
        ports,
    };
    assert_eq!(media.listen, [of_vip(Ports::Range(16384, 20479))]);
    assert_eq!(signalling.listen, [of_vip(Ports::One(5060))]);
    assert_eq!(rest.listen, [of_vip(Ports::All)]);
    assert_eq!(media.backends[0].address.port, None);
    assert_eq!(media.backends[0].name, "10.0.0.21");
    assert_eq!(rest.forward, Forward::Ipip);
    assert_eq!(rest.health.port, Some(443));
}

#[test]
fn checks_by_default_follow_the_protocol() {
    let check = |protocol: &str| {
        let text = format!(
            r#"
            daemon.interfaces = ["eth0"]
            [[service]]
            name = "dns"
            listen = ["192.0.2.53:53"]
            protocol = "{protocol}"
            backend = [{{ address = "10.0.0.53:53" }}]
            "#
        );
        let mut desired = config::parse("", &text).unwrap();
        desired.services.remove(0).health.check
    };
    assert_eq!(check("tcp"), Check::Tcp);
    assert_eq!(check("udp"), Check::None);
}

#[test]
fn udp_and_tcp_share_addresses_and_a_backend_is_named_by_its_own() {
    let desired = example("dns-udp.toml");
    let [udp, tcp] = &desired.services[..] else {
        panic!("{desired:?}");
    };
    assert_eq!(udp.listen, tcp.listen);
    assert_eq!(udp.backends, tcp.backends);
    assert_eq!(udp.health.check, Check::Tcp);

    let text = r#"
        daemon.interfaces = ["eth0"]
        [[service]]
        name = "dns"
        listen = ["[2001:db8::53]:53"]
        backend = [{ address = "[2001:DB8:0::53:1]:53" }]
    "#;
    let desired = config::parse("", text).unwrap();
    assert_eq!(desired.services[0].backends[0].name, "[2001:db8::53:1]:53");
}

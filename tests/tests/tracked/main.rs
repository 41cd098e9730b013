//! Schedulers that record every flow: who gets how many, and that whoever has a connection keeps it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do; the figures are what they show"
)]

mod workers;

use std::{collections::BTreeMap, net::SocketAddr, thread, time::Duration};

use serde_json::Value;
use shunt_tests::{
    Family, Protocol,
    client::{
        Client,
        session::{Session, Sessions},
    },
    config::{Backend, Config, Service},
    daemon::{Daemon, backend, verdict},
    needs,
    server::Server,
    topology::{BackendHost, Shape, Topology, vip},
    wait::wait_for,
};

use self::workers::{Figures, Workers};

const PORT: u16 = 80;
const WEIGHTS: [u16; 4] = [3, 2, 1, 1];
const PATIENCE: Duration = Duration::from_secs(60);

/// A service of the first backends, with these weights.
fn service(topology: &Topology, scheduler: &str, port: u16, weights: &[u16]) -> Service {
    let options = format!("scheduler = {scheduler:?}");
    let service = Service::new(scheduler, Protocol::Tcp, &[vip(Family::V4, port)]);
    let hosts = topology.backends.iter().zip(weights);
    hosts.fold(service.options(&options), |service, (host, &weight)| {
        service.backend(Backend::new(&host.name, host.address(Family::V4)).weight(weight))
    })
}

fn open(status: &Value, name: &str) -> Option<u64> {
    backend(status, name)?["open"].as_u64()
}

/// Asks often, and compares what each backend got with its share.
#[test]
fn new_flows_spread_by_weight() {
    let topology = Topology::new(Shape::Local, 4).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let count = needs::at_length(20_000, 3500, 700);
    println!("{count} connections, weights {WEIGHTS:?}");
    // How far a share may be off, in standard deviations of one drawn at random; by turns it is off by a few flows.
    for (scheduler, slack) in [
        ("round-robin", 0.0),
        ("random", 5.0),
        ("least-conn", 8.0),
        ("maglev", 5.0),
    ] {
        let config = Config::new(topology.interfaces())
            .service(service(&topology, scheduler, PORT, &WEIGHTS));
        let daemon = Daemon::start(&topology.lb, &config).unwrap();
        let spread = Client::new(&topology.client)
            .spread(Protocol::Tcp, vip(Family::V4, PORT), count, 2)
            .unwrap();
        let answered = spread.all().unwrap();
        let total: u16 = WEIGHTS.iter().sum();
        let mut line = format!("{scheduler:12}");
        for (host, weight) in topology.backends.iter().zip(WEIGHTS) {
            let share = f64::from(weight) / f64::from(total);
            let ideal = count as f64 * share;
            let got = answered.get(&host.name).copied().unwrap_or_default();
            line += &format!("  {got:5} of {ideal:7.1}");
            let deviation = (ideal * (1.0 - share)).sqrt();
            // A table's quotas are whole slots: of 1021, one more or less.
            let allowed = slack * deviation + count as f64 / 500.0 + 4.0;
            assert!(
                (got as f64 - ideal).abs() <= allowed,
                "{scheduler}: {answered:?}, expected {ideal} at {}",
                host.name
            );
        }
        println!("{line}");
        let status = daemon.status().unwrap();
        assert_eq!(status["events"]["flow_lost"], 0);
        wait_for("no connection is open", PATIENCE, || {
            let status = daemon.status()?;
            let open: Vec<_> = topology
                .backends
                .iter()
                .map(|b| open(&status, &b.name))
                .collect();
            anyhow::ensure!(open.iter().all(|open| *open == Some(0)), "{open:?}");
            Ok(())
        })
        .unwrap();
    }
}

/// Under each scheduler at once: weights change, backends come and go, one is drained.
#[test]
fn connections_outlive_every_change() {
    const SCHEDULERS: [&str; 5] = [
        "maglev",
        "source-hash",
        "round-robin",
        "random",
        "least-conn",
    ];
    let each = needs::at_length(500, 100, 20) as usize;
    let changes = needs::at_length(100, 30, 10);
    let topology = Topology::new(Shape::Gateway, 5).unwrap();
    // A port of its own for each service: by one that two have, a client's two connections by one port of its own would be one.
    let at = |host: &BackendHost, port: u16| SocketAddr::new(host.v4.into(), 8000 + port);
    let ports = || (PORT..).zip(SCHEDULERS).map(|(port, _)| port);
    let serve = |host: &BackendHost| {
        let addresses: Vec<_> = ports().map(|port| at(host, port)).collect();
        Server::start(&host.netns, Protocol::Tcp, &host.name, &addresses).unwrap()
    };
    let _servers: Vec<Server> = topology.backends.iter().map(serve).collect();
    let config = |round: u64| {
        // Another weight for each, and every other time the last one is not there.
        let weights: Vec<u16> = (0..5)
            .map(|n| 1 + ((round * 7 + n * 3) % 5) as u16)
            .collect();
        let present = 5 - (round % 2) as usize;
        let mut config = Config::new(topology.interfaces()).timeouts("transition = \"5s\"\n");
        for (port, scheduler) in (PORT..).zip(SCHEDULERS) {
            let mut service = service(&topology, scheduler, port, &weights[..present]);
            for (backend, host) in service.backends.iter_mut().zip(&topology.backends) {
                backend.address = at(host, port).to_string();
            }
            config = config.service(service);
        }
        config
    };
    let mut daemon = Daemon::start(&topology.lb, &config(0)).unwrap();
    let client = Client::new(&topology.client);
    let pause = Duration::from_millis(100);
    let sessions: Vec<(&str, Sessions)> = (PORT..)
        .zip(SCHEDULERS)
        .map(|(port, scheduler)| {
            let vip = vip(Family::V4, port);
            (
                scheduler,
                Sessions::open(&client, vip, each, pause).unwrap(),
            )
        })
        .collect();
    for round in 1..=changes {
        daemon.write_config(&config(round)).unwrap();
        daemon.reload().unwrap();
        daemon
            .ask(&["weight", "round-robin/b1", &(round % 4 + 1).to_string()])
            .unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    for scheduler in SCHEDULERS {
        let backend = format!("{scheduler}/b2");
        daemon.ask(&["drain", &backend]).unwrap();
    }
    thread::sleep(Duration::from_secs(2));
    for (scheduler, sessions) in sessions {
        let report = sessions.finish().unwrap();
        assert_eq!(report.broken, Vec::<String>::new(), "{scheduler}");
        assert_eq!(report.alive.len(), each, "{scheduler}");
        println!(
            "{scheduler:12} {each} connections, {changes} changes, {} requests on them: none reset, none misrouted",
            report.pings
        );
    }
}

/// One of four is ten times slower, and each has so many workers. Nobody waits long where open connections count.
#[test]
fn the_slow_one_gets_less_where_connections_count() {
    let topology = Topology::new(Shape::Local, 4).unwrap();
    let rate = needs::repetitions(200, 40);
    let fast = Duration::from_millis(20);
    let seconds = 8;
    let mut of = BTreeMap::new();
    for scheduler in ["round-robin", "least-conn"] {
        let workers: Vec<Workers> = topology
            .backends
            .iter()
            .zip([10, 1, 1, 1])
            .map(|(host, times)| Workers::start(host, 8, fast * times))
            .collect();
        let config = Config::new(topology.interfaces())
            .service(service(&topology, scheduler, PORT, &[1; 4]).health("type = \"none\""));
        let _daemon = Daemon::start(&topology.lb, &config).unwrap();
        let figures = Figures::of(&topology.client, vip(Family::V4, PORT), rate, seconds);
        let most: Vec<usize> = workers.iter().map(Workers::most_open).collect();
        let served: Vec<usize> = workers.iter().map(Workers::served).collect();
        println!(
            "{scheduler:12} {} requests, {} failed; median {:?}, p99 {:?}; most open at once {most:?}; served {served:?}",
            figures.took.len(),
            figures.failed,
            figures.percentile(50),
            figures.percentile(99)
        );
        assert_eq!(figures.failed, 0, "{scheduler}");
        of.insert(scheduler, (figures.percentile(99), most[0], served[0]));
    }
    let (turns, least) = (of["round-robin"], of["least-conn"]);
    assert!(
        least.2 < turns.2,
        "the slow one: {least:?} against {turns:?}"
    );
    if needs::repetitions(1, 0) == 1 {
        assert!(
            least.1 < turns.1,
            "open at the slow one: {least:?} against {turns:?}"
        );
        assert!(least.0 < turns.0, "p99: {least:?} against {turns:?}");
    }
}

#[test]
fn no_backend_has_more_than_it_may_have() {
    let topology = Topology::new(Shape::Gateway, 2).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    for scheduler in ["maglev", "round-robin", "least-conn"] {
        let mut limited = service(&topology, scheduler, PORT, &[3, 1]);
        for (backend, limit) in limited.backends.iter_mut().zip([4, 3]) {
            backend.max_conns = limit;
        }
        let config = Config::new(topology.interfaces()).service(limited);
        let daemon = Daemon::start(&topology.lb, &config).unwrap();
        let client = Client::new(&topology.client).patience(Duration::from_secs(4));
        let vip = vip(Family::V4, PORT);
        let mut sessions: Vec<Session> = (0..7)
            .map(|_| {
                let mut session = client.session(vip).unwrap();
                session.ping().unwrap();
                session
            })
            .collect();
        let status = daemon.status().unwrap();
        assert_eq!(open(&status, "b1"), Some(4), "{scheduler}");
        assert_eq!(open(&status, "b2"), Some(3), "{scheduler}");
        client.session(vip).unwrap_err();
        let status = daemon.status().unwrap();
        assert!(verdict(&status, "drop_backends_full") > 0, "{scheduler}");

        let left = sessions.pop().unwrap().name().to_owned();
        let next = client.session(vip).unwrap();
        assert_eq!(next.name(), left, "{scheduler}");
        for session in &mut sessions {
            session.ping().unwrap();
        }
    }
}

#[test]
fn a_client_keeps_its_backend_for_a_while() {
    let topology = Topology::new(Shape::Gateway, 4).unwrap();
    let _servers = topology.serve(Protocol::Tcp).unwrap();
    let with = |affinity: &str| {
        let web = Service::new("web", Protocol::Tcp, &[vip(Family::V4, PORT)])
            .options(&format!("scheduler = \"round-robin\"\n{affinity}"));
        let hosts = topology.backends.iter();
        let web = hosts.fold(web, |web, host| {
            web.backend(Backend::new(&host.name, host.address(Family::V4)))
        });
        Config::new(topology.interfaces()).service(web)
    };
    let client = Client::new(&topology.client);
    let ask = |count| {
        let spread = client.spread(Protocol::Tcp, vip(Family::V4, PORT), count, 1);
        spread.unwrap().all().unwrap()
    };
    let affine = with("affinity = { source = true, timeout = \"3s\" }");
    let daemon = Daemon::start(&topology.lb, &affine).unwrap();
    let first = ask(40);
    assert_eq!(first.len(), 1, "{first:?}");
    let holder = first.into_keys().next().unwrap();

    // Not while it takes no new flows.
    daemon.ask(&["drain", &format!("web/{holder}")]).unwrap();
    let second = ask(40);
    assert_eq!(second.len(), 1, "{second:?}");
    assert!(!second.contains_key(&holder), "{second:?}");
    daemon.ask(&["ready", &format!("web/{holder}")]).unwrap();

    // It is forgotten some time, and by turns the next one has it.
    let others: Vec<_> = (0..2)
        .map(|_| {
            thread::sleep(Duration::from_secs(5));
            ask(1).into_keys().next().unwrap()
        })
        .collect();
    assert_ne!(others[0], others[1]);
}

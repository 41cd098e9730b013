//! The hosts, servers and clients that other tests stand on, without a load balancer between them.

use std::{
    fs, panic,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use shunt_tests::{
    Family, Protocol,
    app::App,
    client::{
        Client,
        session::Sessions,
        traffic::{Question, Traffic, summary},
    },
    needs,
    netns::Netns,
    process::Process,
    scratch::Scratch,
    server::Server,
    stale::{self, Leftovers},
    topology::{Shape, Topology, vip},
    wait::wait_for,
};

fn exists(netns: &str) -> bool {
    Path::new("/run/netns").join(netns).exists()
}

#[test]
fn a_client_reaches_every_backend_in_every_shape() {
    for shape in Shape::ALL {
        let topology = Topology::new(shape, 3).unwrap();
        let client = Client::new(&topology.client);
        for protocol in Protocol::BOTH {
            let _servers = topology.serve(protocol).unwrap();
            for backend in &topology.backends {
                for address in backend.addresses() {
                    let name = client.ask(protocol, address).unwrap();
                    assert_eq!(name, backend.name, "{shape:?} {address}/{protocol}");
                }
            }
        }
    }
}

/// Whatever answers at the VIP later on is the datapath's doing.
#[test]
fn nobody_answers_at_the_vip() {
    for shape in Shape::ALL {
        let topology = Topology::new(shape, 1).unwrap();
        let _servers = topology.serve(Protocol::Tcp).unwrap();
        let client = Client::new(&topology.client).patience(Duration::from_millis(500));
        for family in Family::BOTH {
            let refused = client.ask(Protocol::Tcp, vip(family, 80)).unwrap_err();
            assert!(
                format!("{refused:#}").contains("refused"),
                "{shape:?}: {refused:#}"
            );
        }
        topology.remove_vips().unwrap();
        for family in Family::BOTH {
            client.ask(Protocol::Tcp, vip(family, 80)).unwrap_err();
        }
    }
}

#[test]
fn a_spread_counts_every_answer() {
    let topology = Topology::new(Shape::Gateway, 1).unwrap();
    let client = Client::new(&topology.client);
    let address = topology.backends[0].address(Family::V6);
    for protocol in Protocol::BOTH {
        let server = topology.backends[0].serve(protocol).unwrap();
        let spread = client.spread(protocol, address, 500, 4).unwrap();
        assert_eq!(spread.retries, 0, "{spread:?}");
        assert_eq!(spread.all().unwrap(), [("b1".to_owned(), 500)].into());
        assert_eq!(server.taken(), 500);
    }
    let spread = client.spread(Protocol::Tcp, address, 10, 2).unwrap();
    assert_eq!((spread.answered(), spread.failed()), (0, 10), "{spread:?}");
}

#[test]
fn sessions_notice_that_their_server_ended() {
    let topology = Topology::new(Shape::Local, 2).unwrap();
    let client = Client::new(&topology.client);
    let pause = Duration::from_millis(5);
    let mut servers = topology.serve(Protocol::Tcp).unwrap();
    let [first, second] = [0, 1].map(|i| {
        let address = topology.backends[i].address(Family::V4);
        Sessions::open(&client, address, 10, pause).unwrap()
    });
    servers.pop();
    let first = first.finish().unwrap();
    assert_eq!(
        (first.alive.len(), first.broken.len()),
        (10, 0),
        "{first:?}"
    );
    assert!(first.pings >= 10);
    let second = second.finish().unwrap();
    assert_eq!(
        (second.alive.len(), second.broken.len()),
        (0, 10),
        "{second:?}"
    );
}

#[test]
fn traffic_shows_when_a_server_ended() {
    let topology = Topology::new(Shape::Bridge, 1).unwrap();
    let client = Client::new(&topology.client);
    let server = topology.backends[0].serve(Protocol::Tcp).unwrap();
    let question = Question::Name(Protocol::Tcp);
    let address = topology.backends[0].address(Family::V4);
    let traffic = Traffic::start(&client, question, address, 2, Duration::from_millis(1));
    let grows = |by: u64| {
        let target = traffic.asked() + by;
        wait_for("requests", Duration::from_secs(10), || {
            anyhow::ensure!(traffic.asked() >= target, "{} of {target}", traffic.asked());
            Ok(())
        })
        .unwrap();
    };
    grows(20);
    drop(server);
    let ended = Instant::now();
    grows(20);
    let (before, after): (Vec<_>, Vec<_>) = traffic
        .finish()
        .unwrap()
        .into_iter()
        .partition(|sample| sample.start < ended);
    assert!(summary(before).of("b1") >= 20);
    let after = summary(after);
    assert_eq!(after.answered(), 0);
    assert!(after.failed() >= 18, "{after:?}");
}

#[test]
fn the_application_answers_and_fails_on_request() {
    needs!(needs::fastapi());
    let topology = Topology::new(Shape::Local, 1).unwrap();
    let client = Client::new(&topology.client);
    let logs = Scratch::new("logs").unwrap();
    let backend = &topology.backends[0];
    let mut app = App::start(&backend.netns, "api1", &backend.addresses(), logs.path()).unwrap();
    app.wait_ready(&client).unwrap();
    for family in Family::BOTH {
        let address = backend.address(family);
        let spread = client.spread_http(address, 50, 2).unwrap();
        assert_eq!(spread.all().unwrap(), [("api1".to_owned(), 50)].into());
        let seen = client.get(address, "/").unwrap().json().unwrap();
        let own = match family {
            Family::V4 => "10.1.0.2",
            Family::V6 => "fd00:1::2",
        };
        assert_eq!(seen["client"], own);
    }
    let address = backend.address(Family::V4);
    let health = || client.get(address, "/health").unwrap().status;
    assert_eq!(health(), 200);
    client.post(address, "/health/fail").unwrap();
    assert_eq!(health(), 503);
    client.post(address, "/health/pass").unwrap();
    assert_eq!(health(), 200);

    let n = 200_000;
    let body = client.get(address, &format!("/bytes?n={n}")).unwrap().body;
    let file = logs.join("body");
    fs::write(&file, &body).unwrap();
    let sum = Command::new("sha256sum")
        .arg(&file)
        .output()
        .unwrap()
        .stdout;
    let expected = client.get(address, &format!("/sha256?n={n}")).unwrap();
    let expected = expected.json().unwrap()["sha256"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(body.len(), n);
    assert!(sum.starts_with(expected.as_bytes()));

    app.process().kill().unwrap();
    client.get(address, "/").unwrap_err();
}

#[test]
fn everything_goes_also_when_a_test_panics() {
    let mut names = Vec::new();
    let mut directory = None;
    let result = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let topology = Topology::new(Shape::Gateway, 1).unwrap();
        let mut scratch = Scratch::new("scratch").unwrap();
        let pins = scratch.mount_bpffs().unwrap();
        fs::create_dir(pins.join("shunt")).unwrap();
        let mut sleep = topology.lb.command("sleep");
        sleep.arg("3600");
        let sleep = Process::spawn("sleep", sleep, scratch.path()).unwrap();
        names.extend([&topology.client, &topology.lb].map(|netns| netns.name().to_owned()));
        names.push(topology.backends[0].netns.name().to_owned());
        directory = Some((sleep.pid(), scratch.path().to_path_buf()));
        assert!(names.iter().all(|name| exists(name)));
        panic!("on purpose");
    }));
    result.unwrap_err();
    assert!(!names.iter().any(|name| exists(name)), "{names:?}");
    let (pid, path) = directory.unwrap();
    assert!(!Path::new("/proc").join(pid.to_string()).exists());
    assert!(!path.exists());
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    assert!(!mounts.contains(&*path.to_string_lossy()), "{mounts}");
}

/// What a killed run leaves has the names of a process that is dead.
#[test]
fn what_a_killed_run_left_is_removed() {
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let name = format!("shunt-{}-0-lost", ended.id());
    let alive = Netns::new("alive").unwrap();
    let directory = std::env::temp_dir().join(&name);
    fs::create_dir(&directory).unwrap();
    assert!(
        Command::new("ip")
            .args(["netns", "add", &name])
            .status()
            .unwrap()
            .success()
    );
    let mut inside = Command::new("ip")
        .args(["netns", "exec", &name, "sleep", "3600"])
        .spawn()
        .unwrap();
    wait_for("the process is inside", Duration::from_secs(5), || {
        let output = Command::new("ip").args(["netns", "pids", &name]).output()?;
        anyhow::ensure!(!output.stdout.is_empty(), "nobody is");
        Ok(())
    })
    .unwrap();

    let marker = directory.with_file_name(format!("shunt-{}-1-kept", ended.id()));
    fs::create_dir(&marker).unwrap();
    stale::remove(Leftovers::Lost).unwrap();
    assert!(exists(&name), "removed though it is marked as kept");
    fs::remove_dir(&marker).unwrap();

    stale::remove(Leftovers::Lost).unwrap();
    assert!(!exists(&name) && !directory.exists());
    assert!(exists(alive.name()));
    assert!(!inside.wait().unwrap().success());
}

#[test]
fn a_program_that_fails_says_why() {
    let scratch = Scratch::new("logs").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "echo it burns >&2; exit 3"]);
    let mut process = Process::spawn("oven", command, scratch.path()).unwrap();
    let error = wait_for::<()>("warmth", Duration::from_secs(10), || {
        process.expect_running()?;
        anyhow::bail!("still cold")
    })
    .unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("oven has ended: exit status: 3"), "{text}");
    assert!(text.contains("it burns"), "{text}");
}

#[test]
fn work_inside_a_namespace_panics_outside() {
    let netns = Netns::new("lone").unwrap();
    let inside = netns
        .enter(|| Ok(fs::read_link("/proc/thread-self/ns/net")?))
        .unwrap();
    let outside = fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_ne!(inside, outside);
    let panicked = thread::scope(|scope| {
        scope
            .spawn(|| netns.enter(|| -> anyhow::Result<()> { panic!("on purpose") }))
            .join()
    });
    panicked.unwrap_err();
    let error = Server::start(
        &netns,
        Protocol::Tcp,
        "b1",
        &["10.9.9.9:80".parse().unwrap()],
    );
    let text = format!("{:#}", error.unwrap_err());
    assert!(text.contains("listening at 10.9.9.9:80/tcp"), "{text}");
}

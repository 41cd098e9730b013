//! Who gets a port that several services listen on, and which port of a backend is checked.

use std::collections::BTreeMap;

use super::*;
use crate::dataplane::PoolId;

/// A service with backends of its own, which have no port.
fn service(name: &str, listen: &[&str]) -> ServiceSettings {
    let mut service = desired(&[(&format!("{name}-a"), 1, false)])
        .services
        .remove(0);
    service.name = name.into();
    service.listen = listen.iter().map(|text| text.parse().unwrap()).collect();
    service.backends[0].address.port = None;
    service.health.port = Some(9000);
    service
}

fn of(services: &[ServiceSettings]) -> Desired {
    Desired {
        services: services.to_vec(),
        ..desired(&[])
    }
}

/// The pool of each listener, by its address.
fn pools(daemon: &Daemon) -> BTreeMap<String, PoolId> {
    let listeners = &daemon.writer.applied().listeners;
    listeners
        .iter()
        .map(|(listener, &pool)| (listener.address.to_string(), pool))
        .collect()
}

#[test]
fn the_most_specific_listener_gets_a_port() {
    let range = service("range", &["192.0.2.10:8000-8003", "192.0.2.11:80"]);
    let one = service("one", &["192.0.2.10:8001"]);
    let whole = service("whole", &["192.0.2.10", "[2001:db8::10]"]);
    for services in [
        [&range, &one, &whole],
        [&whole, &one, &range],
        [&one, &range, &whole],
    ] {
        let daemon = Daemon::start(of(&services.map(Clone::clone)), FakeDataplane::default());
        let pool = |name, family| daemon.state.pools.get(name, family).unwrap();
        let [range, one] = ["range", "one"].map(|name| pool(name, Family::V4));
        let expected = [
            ("192.0.2.10", pool("whole", Family::V4)),
            ("192.0.2.10:8000", range),
            ("192.0.2.10:8001", one),
            ("192.0.2.10:8002", range),
            ("192.0.2.10:8003", range),
            ("192.0.2.11:80", range),
            ("[2001:db8::10]", pool("whole", Family::V6)),
        ];
        let expected = expected.map(|(address, pool)| (address.to_owned(), pool));
        assert_eq!(pools(&daemon), BTreeMap::from(expected));
    }
}

/// Nothing but the maps says to the next daemon whose pool it was.
#[test]
fn the_next_daemon_gives_a_port_away_and_the_pool_stays() {
    let range = service("range", &["192.0.2.10:8000-8001"]);
    let mut daemon = Daemon::start(of(std::slice::from_ref(&range)), FakeDataplane::default());
    daemon.check("range-a", PASS);
    daemon.come_to_rest();
    let (before, a) = (daemon.writer.applied().clone(), daemon.id("range-a"));

    let left = FakeDataplane {
        applied: before.clone(),
        ..FakeDataplane::default()
    };
    let one = service("one", &["192.0.2.10:8000"]);
    let next = Daemon::start(of(&[one, range]), left);
    assert_eq!(next.id("range-a"), a);
    let pool = before.pools.keys().next().unwrap();
    assert_eq!(pools(&next)["192.0.2.10:8001"], *pool);
    assert_ne!(pools(&next)["192.0.2.10:8000"], *pool);
    assert_eq!(next.writer.applied().pools[pool], before.pools[pool]);
}

#[test]
fn the_port_that_is_checked() {
    let checked = |change: fn(&mut ServiceSettings)| {
        let mut service = service("web", &["192.0.2.10"]);
        change(&mut service);
        let daemon = Daemon::start(of(&[service]), FakeDataplane::default());
        let address = daemon.state.members().next().unwrap().check_address();
        address.map(|address| address.to_string())
    };
    assert_eq!(checked(|_| {}).as_deref(), Some("10.0.0.1:9000"));
    let both = checked(|service| service.backends[0].address.port = Some(8001));
    assert_eq!(both.as_deref(), Some("10.0.0.1:9000"));
    let its_own = checked(|service| {
        service.backends[0].address.port = Some(8001);
        service.health.port = None;
    });
    assert_eq!(its_own.as_deref(), Some("10.0.0.1:8001"));
    assert_eq!(checked(|service| service.health.check = Check::None), None);
}

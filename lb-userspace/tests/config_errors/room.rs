//! More than the datapath has room for.

use lb_common::{layout, service};
use lb_userspace::config;

const DAEMON: &str = "[daemon]\ninterfaces = [\"eth0\"]\n";

/// The key, what was found and what was expected, of each mistake.
fn mistakes(text: &str) -> Vec<[String; 3]> {
    let errors = config::parse("shunt.toml", text).err();
    let errors = errors.map(|errors| errors.0).unwrap_or_default();
    let facts = errors
        .into_iter()
        .map(|error| [error.key, error.found, error.expected]);
    facts.collect()
}

fn beyond(key: &str, found: String, capacity: u32) -> Vec<[String; 3]> {
    vec![[key.to_owned(), found, format!("at most {capacity}")]]
}

fn one_service(listeners: u32, backends: u32) -> String {
    let listener = |index| format!("\"192.0.2.{}:{}\",\n", index >> 14, (index & 0x3fff) + 1);
    let backend = |index: u32| {
        let [_, b, c, d] = index.to_be_bytes();
        format!("{{ address = \"10.{b}.{c}.{d}:80\" }},\n")
    };
    let listen: String = (0..listeners).map(listener).collect();
    let backend: String = (0..backends).map(backend).collect();
    format!("{DAEMON}[[service]]\nname = \"web\"\nlisten = [\n{listen}]\nbackend = [\n{backend}]\n")
}

#[test]
fn listeners_of_a_family() {
    let most = service::LISTENERS;
    assert!(mistakes(&one_service(most, 1)).is_empty());
    assert_eq!(
        mistakes(&one_service(most + 1, 1)),
        beyond(
            &format!("service[web].listen[#{}]", most + 1),
            format!("{} IPv4 listeners", most + 1),
            most
        )
    );
}

/// A range takes a place for each port, a whole address takes one, and a port of a range has its place already.
#[test]
fn ports_of_ranges() {
    let most = service::LISTENERS;
    let listen = |listen: &str| {
        let text = one_service(1, 1);
        mistakes(&text.replace("listen = [", &format!("listen = [{listen}, ")))
    };
    let range = |last: u32| format!("\"192.0.2.9:1-{last}\"");
    assert!(listen(&range(most - 1)).is_empty());
    let full = range(most - 2) + ", \"192.0.2.9\", \"192.0.2.9:7\"";
    assert!(listen(&full).is_empty());
    assert_eq!(
        listen(&range(most)),
        beyond(
            "service[web].listen[#2]",
            format!("{} IPv4 listeners", most + 1),
            most
        )
    );
    assert_eq!(
        listen("\"192.0.2.9:1-65535\""),
        beyond(
            "service[web].listen[#1]",
            "65536 IPv4 listeners".to_owned(),
            most
        )
    );
}

#[test]
fn backends() {
    let most = layout::BACKENDS_CAPACITY - 1;
    assert!(mistakes(&one_service(1, most)).is_empty());
    assert_eq!(
        mistakes(&one_service(1, most + 2)),
        beyond(
            "service[web].backend[10.0.255.255:80].address",
            format!("{} backends", most + 2),
            most
        )
    );
}

/// Each family has a table of its own.
#[test]
fn slots_of_a_table() {
    let sized = |backends| {
        let text = one_service(1, backends);
        mistakes(&text.replace("backend = [", "table_size = 251\nbackend = ["))
    };
    assert!(sized(251).is_empty());
    let found = [
        "service[web].table_size",
        "251 slots",
        "a slot for each of 252 IPv4 backends",
    ];
    assert_eq!(sized(252), [found.map(str::to_owned)]);
}

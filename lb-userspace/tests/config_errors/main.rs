//! Wrong configurations and all that is said about them: each row edits one that is right.

mod backend;
mod daemon;
mod files;
mod health;
mod ports;
mod room;
mod service;
mod syntax;

use lb_userspace::config;

const BASE: &str = r#"[daemon]
interfaces = ["eth0"]

[[service]]
name = "web"
listen = ["192.0.2.10:80", "[2001:db8::10]:80"]

[service.health]
type = "http"
path = "/health"

[[service.backend]]
name = "api1"
address = "10.0.0.11:8001"
weight = 3

[[service.backend]]
name = "api2"
address = "[2001:db8:1::11]:8001"

[[service]]
name = "dns"
listen = ["192.0.2.53:53"]
protocol = "udp"

[[service.backend]]
address = "10.0.0.53:53"
"#;

/// (description, edits, the whole message)
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

fn says(rows: &[Row]) {
    for (description, edits, message) in rows {
        let text = edits.iter().fold(BASE.to_owned(), |text, (from, to)| {
            assert_eq!(text.matches(from).count(), 1, "{description}: {from}");
            text.replace(from, to)
        });
        match config::parse("shunt.toml", &text) {
            Ok(_) => panic!("{description}: taken for right"),
            Err(errors) => assert_eq!(errors.to_string(), *message, "{description}"),
        }
    }
}

#[test]
fn what_the_rows_edit_is_right() {
    assert_eq!(config::parse("shunt.toml", BASE).map(|_| ()), Ok(()));
}

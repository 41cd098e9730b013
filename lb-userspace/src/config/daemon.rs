//! `[daemon]`, `[daemon.timeouts]` and `[daemon.tables]`.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use super::{duration, field::Field, on_change, report::Mistake, section::Section, snat, text};
use crate::desired::{DaemonSettings, OnChange, Redirect, Tables, Timeouts, XdpMode};

const SOCKET: &str = "/run/shunt/shunt.sock";
const PIN_DIR: &str = "/sys/fs/bpf/shunt";
const STATE_DIR: &str = "/var/lib/shunt";
const INTERFACES: &str = r#"a list of interface names, such as ["eth0"]"#;
const BRIDGES: &str = r#"a list of bridges, such as ["docker0"]"#;

const HOUR: Duration = Duration::from_secs(3600);
const TIMEOUTS: Timeouts = Timeouts {
    transition: HOUR,
    tcp: HOUR,
    half_open: Duration::from_secs(10),
    udp: Duration::from_secs(60),
};
/// The datapath's clock ticks about once a second; a flow idle for a month is gone in any network.
const TABLE_SIZES: RangeInclusive<u32> = 1024..=1 << 24;
const TIMEOUT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 3600);

pub(super) fn read(root: &mut Section) -> DaemonSettings {
    let Some(field) = root.optional("daemon") else {
        root.missing("daemon.interfaces", INTERFACES);
        return defaults();
    };
    let Some(mut daemon) = field.section() else {
        return defaults();
    };
    let settings = settings(&mut daemon);
    daemon.finish();
    settings
}

fn settings(daemon: &mut Section) -> DaemonSettings {
    let default = defaults();
    let local_clients = daemon
        .optional("local_clients")
        .and_then(|field| field.flag())
        .unwrap_or(default.local_clients);
    DaemonSettings {
        interfaces: interfaces(daemon),
        xdp_mode: daemon
            .optional("xdp_mode")
            .and_then(|field| xdp_mode(&field))
            .unwrap_or(default.xdp_mode),
        redirect: daemon
            .optional("redirect")
            .and_then(|field| redirect(&field))
            .unwrap_or(default.redirect),
        local_clients,
        bridges: bridges(daemon, local_clients),
        socket: daemon
            .optional("socket")
            .and_then(|field| text::socket(&field))
            .unwrap_or(default.socket),
        http: daemon.optional("http").and_then(|field| http(&field)),
        pin_dir: daemon
            .optional("pin_dir")
            .and_then(|field| text::directory(&field))
            .unwrap_or(default.pin_dir),
        state_dir: daemon
            .optional("state_dir")
            .and_then(|field| text::directory(&field))
            .unwrap_or(default.state_dir),
        seed: daemon
            .optional("seed")
            .and_then(|field| field.whole(0..=u64::MAX))
            .unwrap_or(default.seed),
        snat_addresses: snat::addresses(daemon),
        timeouts: timeouts(daemon),
        tables: tables(daemon),
        on_change: on_change::read(daemon),
    }
}

fn defaults() -> DaemonSettings {
    DaemonSettings {
        interfaces: Vec::new(),
        xdp_mode: XdpMode::Auto,
        redirect: Redirect::Auto,
        local_clients: true,
        bridges: Vec::new(),
        socket: PathBuf::from(SOCKET),
        http: None,
        pin_dir: PathBuf::from(PIN_DIR),
        state_dir: PathBuf::from(STATE_DIR),
        seed: 0,
        timeouts: TIMEOUTS,
        tables: Tables::default(),
        on_change: OnChange::default(),
        snat_addresses: Vec::new(),
    }
}

fn interfaces(daemon: &mut Section) -> Vec<String> {
    let field = daemon.required("interfaces", INTERFACES);
    field
        .map(|field| names(&field, INTERFACES))
        .unwrap_or_default()
}

/// Clients behind them are balanced by the same programs as those on the host.
fn bridges(daemon: &mut Section, local_clients: bool) -> Vec<String> {
    let Some(field) = daemon.optional("bridges") else {
        return Vec::new();
    };
    if !local_clients {
        let found = format!("{} with local_clients = false", field.found());
        field.wrong(Mistake::new(found, "no bridges, or local_clients = true"));
    }
    names(&field, BRIDGES)
}

fn names(field: &Field, expected: &str) -> Vec<String> {
    let Some(fields) = field.elements(expected) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for field in fields {
        let Some(name) = text::interface(&field) else {
            continue;
        };
        if names.contains(&name) {
            let found = format!("{} for the second time", field.found());
            field.wrong(Mistake::new(found, "each interface once"));
        }
        names.push(name);
    }
    names
}

fn xdp_mode(field: &Field) -> Option<XdpMode> {
    let words = [
        ("auto", XdpMode::Auto),
        ("native", XdpMode::Native),
        ("generic", XdpMode::Generic),
    ];
    field.word(&words, &[])
}

fn redirect(field: &Field) -> Option<Redirect> {
    let words = [
        ("auto", Redirect::Auto),
        ("always", Redirect::Always),
        ("never", Redirect::Never),
    ];
    field.word(&words, &[])
}

/// Where the daemon itself listens: unlike a service it may do so on loopback or on every address.
fn http(field: &Field) -> Option<SocketAddr> {
    let expected = r#"an IP address with a port, such as "127.0.0.1:9470""#;
    let address = field.text(expected)?.parse::<SocketAddr>();
    match address {
        Ok(address) if address.port() != 0 => Some(address),
        _ => {
            field.unlike(expected);
            None
        }
    }
}

fn timeouts(daemon: &mut Section) -> Timeouts {
    let Some(mut section) = daemon.section("timeouts") else {
        return TIMEOUTS;
    };
    let mut read = |key, default| duration::read(&mut section, key, default, TIMEOUT_RANGE);
    let timeouts = Timeouts {
        transition: read("transition", TIMEOUTS.transition),
        tcp: read("tcp", TIMEOUTS.tcp),
        half_open: read("half_open", TIMEOUTS.half_open),
        udp: read("udp", TIMEOUTS.udp),
    };
    section.finish();
    timeouts
}

fn tables(daemon: &mut Section) -> Tables {
    let default = Tables::default();
    let Some(mut section) = daemon.section("tables") else {
        return default;
    };
    let mut read = |key, default| {
        let field = section.optional(key);
        field
            .and_then(|field| field.whole(TABLE_SIZES))
            .unwrap_or(default)
    };
    let tables = Tables {
        recorded: read("recorded", default.recorded),
        replies: read("replies", default.replies),
        translations: read("translations", default.translations),
    };
    section.finish();
    tables
}

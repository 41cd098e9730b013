//! `[service.health]`.

use std::{ops::RangeInclusive, time::Duration};

use super::{duration, field::Field, report::Mistake, section::Section};
use crate::desired::{Check, HealthSettings, Protocol};

/// HAProxy's defaults of `inter`, `rise` and `fall`; it has none for `timeout check`.
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const RISE: u32 = 2;
const FALL: u32 = 3;
const PATH: &str = "/";

const DURATIONS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
const COUNTS: RangeInclusive<u32> = 1..=1000;

#[derive(Clone, Copy, Debug)]
enum Kind {
    None,
    Tcp,
    Http,
}

pub(super) fn read(service: &mut Section, protocol: Protocol) -> HealthSettings {
    // A UDP server need not answer what it does not understand: there is nothing to check by default.
    let (default, check, origin) = match protocol {
        Protocol::Tcp => (Kind::Tcp, Check::Tcp, ", the default of a TCP service"),
        Protocol::Udp => (Kind::None, Check::None, ", the default of a UDP service"),
    };
    let Some(mut section) = service.section("health") else {
        return settings(check);
    };
    let (kind, origin) = match section.optional("type") {
        // A wrong type is reported; the other keys are then read as if all were of use.
        Some(field) => (kind(&field).unwrap_or(Kind::Http), ""),
        None => (default, origin),
    };
    refuse_unused(&mut section, kind, origin);
    let settings = match kind {
        Kind::None => settings(Check::None),
        Kind::Tcp => timed(&mut section, Check::Tcp),
        Kind::Http => {
            let check = http(&mut section);
            timed(&mut section, check)
        }
    };
    section.finish();
    settings
}

fn kind(field: &Field) -> Option<Kind> {
    let words = [
        ("tcp", Kind::Tcp),
        ("http", Kind::Http),
        ("none", Kind::None),
    ];
    field.word(&words, &["https", "grpc", "dns", "udp"])
}

fn settings(check: Check) -> HealthSettings {
    HealthSettings {
        check,
        port: None,
        interval: INTERVAL,
        timeout: TIMEOUT,
        rise: RISE,
        fall: FALL,
        starts_up: false,
    }
}

/// A key without effect is a misunderstanding, better told than ignored.
fn refuse_unused(section: &mut Section, kind: Kind, origin: &str) {
    let (unused, name, other): (&[_], _, _) = match kind {
        Kind::Http => return,
        Kind::Tcp => (&["path", "host"], "tcp", r#""http""#),
        Kind::None => (
            &[
                "path", "host", "port", "interval", "timeout", "rise", "fall", "initial",
            ],
            "none",
            r#""tcp" or "http""#,
        ),
    };
    for key in unused {
        let Some(field) = section.optional(key) else {
            continue;
        };
        let expected = format!("no such key with type = \"{name}\"{origin}");
        let help = format!("remove the key, or write type = {other}");
        field.wrong(Mistake::new(field.found(), expected).help(help));
    }
}

fn http(section: &mut Section) -> Check {
    let path = section.optional("path").and_then(|field| path(&field));
    Check::Http {
        path: path.unwrap_or_else(|| PATH.to_owned()),
        host: section.optional("host").and_then(|field| host(&field)),
    }
}

fn path(field: &Field) -> Option<String> {
    let expected = r#"a path as in a URL, such as "/health""#;
    let text = field.text(expected)?;
    let fits = text.starts_with('/')
        && !text.contains('#')
        && text.parse::<hyper::http::uri::PathAndQuery>().is_ok();
    if !fits {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

/// What the `Host` header says.
fn host(field: &Field) -> Option<String> {
    let expected = r#"a host name, with a port or without, such as "app.example""#;
    let text = field.text(expected)?;
    if text.contains('@') || text.parse::<hyper::http::uri::Authority>().is_err() {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

fn timed(section: &mut Section, check: Check) -> HealthSettings {
    HealthSettings {
        check,
        port: section
            .optional("port")
            .and_then(|field| field.whole(1..=u16::MAX)),
        interval: duration::read(section, "interval", INTERVAL, DURATIONS),
        timeout: duration::read(section, "timeout", TIMEOUT, DURATIONS),
        rise: count(section, "rise", RISE),
        fall: count(section, "fall", FALL),
        starts_up: starts_up(section),
    }
}

/// What a new backend is taken for.
fn starts_up(section: &mut Section) -> bool {
    section
        .optional("initial")
        .and_then(|field| field.word(&[("down", false), ("up", true)], &[]))
        .unwrap_or(false)
}

fn count(section: &mut Section, key: &'static str, default: u32) -> u32 {
    section
        .optional(key)
        .and_then(|field| field.whole(COUNTS))
        .unwrap_or(default)
}

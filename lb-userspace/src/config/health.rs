//! `[service.health]`.

use std::{ops::RangeInclusive, time::Duration};

use hyper::http::{
    HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use super::{
    duration,
    field::{Field, quote},
    report::Mistake,
    section::Section,
};
use crate::{
    desired::{Check, HealthSettings, HttpCheck, Protocol},
    health::schedule::Intervals,
    statuses::{NotStatuses, Statuses},
};

/// HAProxy's defaults of `inter`, `rise` and `fall`; it has none for `timeout check`.
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const RISE: u32 = 2;
const FALL: u32 = 3;
const PATH: &str = "/";

const DURATIONS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
const COUNTS: RangeInclusive<u32> = 1..=1000;

/// Keys of an `http` check, and those that any check has.
const HTTP_ONLY: [&str; 5] = ["path", "host", "headers", "status", "body"];
const NO_CHECK: [&str; 13] = [
    "path",
    "host",
    "headers",
    "status",
    "body",
    "port",
    "interval",
    "timeout",
    "rise",
    "fall",
    "initial",
    "fast_interval",
    "down_interval",
];

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
        intervals: Intervals {
            steady: INTERVAL,
            fast: INTERVAL,
            down: INTERVAL,
        },
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
        Kind::Tcp => (&HTTP_ONLY, "tcp", r#""http""#),
        Kind::None => (&NO_CHECK, "none", r#""tcp" or "http""#),
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
    let statuses = section
        .optional("status")
        .and_then(|field| statuses(&field));
    let headers = section
        .optional("headers")
        .and_then(|field| headers(&field));
    Check::Http(HttpCheck {
        path: path.unwrap_or_else(|| PATH.to_owned()),
        host: section.optional("host").and_then(|field| host(&field)),
        headers: headers.unwrap_or_default(),
        statuses: statuses.unwrap_or_default(),
        body: section.optional("body").and_then(|field| body(&field)),
    })
}

fn statuses(field: &Field) -> Option<Statuses> {
    let expected = r#"statuses and ranges of them, such as "200-299,401""#;
    let statuses = field.text(expected)?.parse();
    if let Err(error) = &statuses {
        let help = NotStatuses::to_string(error);
        field.wrong(Mistake::new(field.found(), expected).help(help));
    }
    statuses.ok()
}

fn body(field: &Field) -> Option<String> {
    let expected = "what the body has to contain, at least one byte";
    let text = field.text(expected)?;
    if text.is_empty() {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

fn headers(field: &Field) -> Option<Vec<(String, String)>> {
    let expected = r#"a table of headers, such as { Authorization = "Bearer secret" }"#;
    let entries = field.entries(expected)?;
    let headers = entries.iter().map(|(name, value)| header(name, value));
    headers.collect()
}

fn header(name: &str, value: &Field) -> Option<(String, String)> {
    let expected = "a header that a request may have";
    let refuse = |help: &str| value.wrong(Mistake::new(quote(name), expected).help(help));
    let Ok(parsed) = HeaderName::try_from(name) else {
        refuse("a name has letters, digits and dashes");
        return None;
    };
    if parsed == HOST {
        refuse("the key `host` says what this header does");
        return None;
    }
    if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&parsed) {
        refuse("shunt sets it itself");
        return None;
    }
    let text = value.text("a header's value")?;
    if HeaderValue::try_from(text).is_err() {
        value.unlike("a header's value, without control characters");
        return None;
    }
    Some((name.to_owned(), text.to_owned()))
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
        intervals: intervals(section),
        timeout: duration::read(section, "timeout", TIMEOUT, DURATIONS),
        rise: count(section, "rise", RISE),
        fall: count(section, "fall", FALL),
        starts_up: starts_up(section),
    }
}

fn intervals(section: &mut Section) -> Intervals {
    let steady = duration::read(section, "interval", INTERVAL, DURATIONS);
    Intervals {
        steady,
        fast: duration::read(section, "fast_interval", steady, DURATIONS),
        down: duration::read(section, "down_interval", steady, DURATIONS),
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

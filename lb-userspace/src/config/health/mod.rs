//! `[service.health]`.
//!
//! | module | question it answers |
//! |---|---|
//! | `keys` | which keys does a type of check have? |
//! | `http`, `tls`, `grpc`, `dns`, `udp` | what do the keys of one type mean? |

mod dns;
mod grpc;
mod http;
mod keys;
mod tls;
mod udp;

use std::{ops::RangeInclusive, time::Duration};

use self::keys::Kind;
use super::{address, duration, section::Section};
use crate::{
    desired::{Check, HealthSettings, Protocol},
    health::schedule::Intervals,
};

/// HAProxy's defaults of `inter`, `rise` and `fall`; it has none for `timeout check`.
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const RISE: u32 = 2;
const FALL: u32 = 3;

const DURATIONS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
const FLAP_WINDOWS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(24 * 3600);
const COUNTS: RangeInclusive<u32> = 1..=1000;

/// `protocol`: the service's.
pub(super) fn read(service: &mut Section, protocol: Protocol) -> HealthSettings {
    // A UDP server need not answer what it does not understand: there is nothing to check by default.
    let (default, origin) = match protocol {
        Protocol::Tcp => (Kind::Tcp, ", the default of a TCP service"),
        Protocol::Udp => (Kind::None, ", the default of a UDP service"),
    };
    let Some(mut section) = service.section("health") else {
        return settings(match default {
            Kind::Tcp => Check::Tcp,
            _ => Check::None,
        });
    };
    let (kind, origin) = match section.optional("type") {
        None => (Some(default), origin),
        Some(field) => (
            field.word(&Kind::ALL.map(|kind| (kind.name(), kind)), &[]),
            "",
        ),
    };
    // A wrong type is reported; the other keys are then read as if all were of use.
    match kind {
        Some(kind) => keys::refuse_unused(&mut section, kind, origin),
        None => keys::take_all(&mut section),
    }
    let check = match kind {
        None | Some(Kind::None) => Check::None,
        Some(Kind::Tcp) => Check::Tcp,
        Some(Kind::Http) => http::read(&mut section, None),
        Some(Kind::Https) => {
            let tls = tls::read(&mut section);
            http::read(&mut section, tls)
        }
        Some(Kind::Grpc) => grpc::read(&mut section),
        Some(Kind::Dns) => dns::read(&mut section, protocol),
        Some(Kind::Udp) => udp::read(&mut section),
    };
    let settings = match kind {
        Some(Kind::None) => settings(check),
        _ => timed(&mut section, check),
    };
    section.finish();
    settings
}

fn settings(check: Check) -> HealthSettings {
    HealthSettings {
        check,
        address: None,
        port: None,
        intervals: Intervals {
            steady: INTERVAL,
            fast: INTERVAL,
            down: INTERVAL,
        },
        timeout: TIMEOUT,
        rise: RISE,
        fall: FALL,
        flap_window: Duration::ZERO,
        starts_up: false,
    }
}

fn timed(section: &mut Section, check: Check) -> HealthSettings {
    HealthSettings {
        check,
        address: section
            .optional("address")
            .and_then(|field| address::checked(&field)),
        port: section
            .optional("port")
            .and_then(|field| field.whole(1..=u16::MAX)),
        intervals: intervals(section),
        timeout: duration::read(section, "timeout", TIMEOUT, DURATIONS),
        rise: count(section, "rise", RISE),
        fall: count(section, "fall", FALL),
        flap_window: duration::read(section, "flap_window", Duration::ZERO, FLAP_WINDOWS),
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

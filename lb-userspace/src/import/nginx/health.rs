//! `health_check` of the commercial nginx, and the `match` blocks that it names.

use std::collections::HashMap;

use super::{Module, tree::Directive};
use crate::import::{
    check::{Check, GrpcCheck, HttpCheck, Kind, Tls},
    duration,
    notes::Notes,
};

/// What nginx does without the parameters, where shunt does something else.
const INTERVAL: &str = "5s";
const FAILS: u32 = 1;
const PASSES: u32 = 1;
/// What shunt takes for `rise` and `fall`.
const COUNTS: std::ops::RangeInclusive<u32> = 1..=1000;

pub(super) fn read(
    directive: &Directive,
    module: Module,
    encrypted: bool,
    matches: &HashMap<&str, &Directive>,
    notes: &mut Notes,
) -> Check {
    let mut check = Check {
        interval: duration::nginx(INTERVAL),
        rise: Some(PASSES),
        fall: Some(FAILS),
        ..Check::default()
    };
    let tls = encrypted.then(Tls::default);
    let mut http = HttpCheck::default();
    http.tls.clone_from(&tls);
    let mut grpc = GrpcCheck { service: None, tls };
    let mut is_grpc = false;
    for parameter in &directive.arguments {
        let said = directive.part(parameter);
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let count = value.parse().ok().filter(|count| COUNTS.contains(count));
        match name {
            "interval" => {
                let time = duration::nginx(value);
                check.interval = duration::within(time, &duration::CHECKS, &said, notes);
            }
            "fails" if count.is_some() => check.fall = count,
            "passes" if count.is_some() => check.rise = count,
            "port" => check.port = value.parse().ok().filter(|port| *port != 0),
            "uri" => {
                if let Err(why) = http.set_path(value) {
                    notes.add(&said, why);
                }
            }
            "match" => match matches.get(value) {
                Some(block) => expect(block, &mut http, notes),
                None => notes.add(&said, "no such `match` block"),
            },
            // That is what shunt does.
            "mandatory" => {}
            "type" if value == "grpc" => is_grpc = true,
            "grpc_service" => grpc.service = Some(value.to_owned()),
            "jitter" => notes.add(&said, "not needed: checks are spread over the interval"),
            _ => notes.add(&said, "no counterpart: left out"),
        }
    }
    check.kind = match module {
        Module::Stream => Kind::Tcp,
        Module::Http if is_grpc => Kind::Grpc(grpc),
        Module::Http => Kind::Http(http),
    };
    check
}

fn expect(block: &Directive, http: &mut HttpCheck, notes: &mut Notes) {
    for inner in block.inner() {
        let arguments: Vec<_> = inner.arguments.iter().map(String::as_str).collect();
        let taken = match (inner.name.as_str(), &arguments[..]) {
            ("status", ["!", ..]) => Err("only statuses that pass can be named"),
            ("status", statuses) => http.set_statuses(&statuses.join(",")),
            ("body", ["~", text]) if is_plain(text) => http.set_body(text),
            ("body", _) => Err("the body is searched for a text, not for a regular expression"),
            ("header", _) => Err("headers of the answer are not looked at"),
            _ => Err("no counterpart: left out"),
        };
        if let Err(why) = taken {
            notes.add(&inner.excerpt(), why);
        }
    }
}

/// Whether a regular expression stands for itself.
fn is_plain(text: &str) -> bool {
    !text.contains(|letter: char| r".*+?()[]{}|^$\".contains(letter))
}

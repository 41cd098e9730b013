//! `upstream`: how is one of its servers chosen?

use std::time::Duration;

use super::{Module, backend, tree::Directive};
use crate::import::{
    address::Local, counterpart::Method, draft::Backend, notes::Notes, place::Excerpt,
};

#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) origin: Excerpt,
    pub(super) method: Method,
    pub(super) slow_start: Option<Duration>,
    pub(super) backends: Vec<Backend>,
}

pub(super) fn read(
    directive: &Directive,
    module: Module,
    local: Local,
    notes: &mut Notes,
) -> Upstream {
    let origin = directive.excerpt();
    let mut upstream = Upstream {
        name: directive.argument().to_owned(),
        origin,
        method: Method::RoundRobin,
        slow_start: None,
        backends: Vec::new(),
    };
    for inner in directive.inner() {
        match inner.name.as_str() {
            "server" => {
                let backend = backend::read(inner, module, local, &mut upstream.slow_start, notes);
                upstream.backends.push(backend);
            }
            "least_conn" | "least_time" | "ip_hash" | "hash" | "random" => {
                upstream.method = method(inner, notes);
            }
            name => notes.add(&inner.excerpt(), leftover(name)),
        }
    }
    if upstream.backends.iter().filter(|one| one.backup).count() > 1 {
        let why = "nginx uses all backups at once, shunt one after the other: `min_active` says how many are wanted";
        notes.add(&upstream.origin, why);
    }
    upstream
}

fn method(directive: &Directive, notes: &mut Notes) -> Method {
    let arguments: Vec<_> = directive.arguments.iter().map(String::as_str).collect();
    match (directive.name.as_str(), &arguments[..]) {
        ("least_conn", _) | ("random", ["two"] | ["two", "least_conn"]) => Method::LeastConnections,
        ("random", []) => Method::Random,
        ("ip_hash", _) => Method::SourceHash,
        ("hash", ["$remote_addr" | "$binary_remote_addr", ..]) => Method::SourceHash,
        (
            "hash",
            [
                "$remote_addr$remote_port" | "$binary_remote_addr$remote_port",
                ..,
            ],
        ) => Method::FlowHash,
        ("hash", _) => {
            let why = "only addresses and ports are seen at layer 4: `maglev` hashes them instead";
            notes.add(&directive.excerpt(), why);
            Method::FlowHash
        }
        _ => {
            let why = "response times are not measured: `maglev` chooses by a hash of addresses and ports";
            notes.add(&directive.excerpt(), why);
            Method::FlowHash
        }
    }
}

fn leftover(name: &str) -> &'static str {
    match name {
        "zone" => "not needed: shunt has no worker processes that would share it",
        "keepalive" | "keepalive_requests" | "keepalive_timeout" | "keepalive_time" | "ntlm" => {
            "not needed: a connection is the client's own, all the way to the backend"
        }
        "sticky" | "sticky_cookie_insert" => {
            "cookies are not seen at layer 4: a connection stays with its backend, a client need not"
        }
        "resolver" | "resolver_timeout" => "names are not resolved",
        "state" => "servers are read from the configuration alone",
        "queue" => "no queue: a connection goes to a backend at once",
        "check" | "check_http_send" | "check_http_expect_alive" => {
            "no directive of nginx itself: say in [service.health] what is to be checked"
        }
        _ => "no counterpart: left out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{files::Disk, nginx::tree, place::Source};

    fn upstream(text: &str) -> (Upstream, usize) {
        let text = format!("upstream u {{ {text} }}");
        let source = Source::new("f", text.as_bytes());
        let mut notes = Notes::default();
        let root = tree::parse(&source, &Disk::absolute(), &mut notes).unwrap();
        let upstream = read(&root[0], Module::Stream, Local(&[]), &mut notes);
        (upstream, notes.finish().len())
    }

    #[test]
    fn methods() {
        // text, method, how much is said of it
        for (text, method, said) in [
            ("", Method::RoundRobin, 0),
            ("least_conn;", Method::LeastConnections, 0),
            ("random;", Method::Random, 0),
            ("random two;", Method::LeastConnections, 0),
            ("random two least_time=header;", Method::FlowHash, 1),
            ("ip_hash;", Method::SourceHash, 0),
            ("hash $remote_addr;", Method::SourceHash, 0),
            (
                "hash $binary_remote_addr consistent;",
                Method::SourceHash,
                0,
            ),
            (
                "hash $remote_addr$remote_port consistent;",
                Method::FlowHash,
                0,
            ),
            ("hash $request_uri consistent;", Method::FlowHash, 1),
            ("least_time header;", Method::FlowHash, 1),
        ] {
            let (upstream, notes) = upstream(text);
            assert_eq!((upstream.method, notes), (method, said), "{text}");
        }
    }
}

//! What else stands in a server that passes connections to an upstream.

use std::ptr;

use super::{
    Module,
    passes::{Pass, is_pass},
    tree::Directive,
};
use crate::import::notes::Notes;

/// Logs, buffers and other means of nginx alone: nothing of them could be missed.
const SILENT: &[&str] = &[
    "access_log",
    "error_log",
    "gzip",
    "log_",
    "open_log",
    "client_body_buffer",
    "client_body_temp",
    "client_header_buffer",
    "large_client_header",
    "preread_",
    "proxy_buffer",
    "proxy_busy",
    "proxy_http_version",
    "proxy_max_temp",
    "proxy_temp",
    "proxy_request_buffering",
    "resolver",
    "sendfile",
    "server_names_hash",
    "server_tokens",
    "tcp_no",
    "types_hash",
];

/// Beginnings of names, and why such a directive has no counterpart; the first that fits.
const REASONS: &[(&str, &str)] = &[
    (
        "server_name",
        "host names are not seen at layer 4: all who come to the address and port are served",
    ),
    (
        "ssl_preread",
        "TLS is passed through, but the name in it is not looked at",
    ),
    (
        "ssl",
        "TLS is passed through: certificates belong to the backends",
    ),
    (
        "proxy_ssl",
        "TLS is passed through: clients speak it with the backends",
    ),
    ("http2", "clients and backends agree on HTTP/2 themselves"),
    ("http3", "clients and backends agree on HTTP/3 themselves"),
    (
        "proxy_protocol",
        "no PROXY protocol: forward = \"nat\" shows backends the client's own address",
    ),
    (
        "proxy_bind",
        "not needed: forward = \"nat\" shows backends the client's own address",
    ),
    (
        "set_real_ip_from",
        "not needed: forward = \"nat\" shows backends the client's own address",
    ),
    (
        "proxy_next_upstream",
        "nothing is sent twice: a connection that fails is the client's to open anew",
    ),
    (
        "proxy_connect_timeout",
        "connections are opened by clients: their own timeout counts",
    ),
    (
        "proxy_responses",
        "answers are not counted: a UDP flow ends when it is idle, [daemon.timeouts] udp",
    ),
    (
        "proxy_timeout",
        "idle flows are forgotten after [daemon.timeouts] tcp or udp, the same for all services",
    ),
    (
        "proxy_read_timeout",
        "idle flows are forgotten after [daemon.timeouts] tcp, the same for all services",
    ),
    (
        "proxy_send_timeout",
        "idle flows are forgotten after [daemon.timeouts] tcp, the same for all services",
    ),
    (
        "keepalive",
        "connections stay open as long as client and backend like",
    ),
    ("allow", "no access lists: use the firewall of the host"),
    ("deny", "no access lists: use the firewall of the host"),
    ("limit_", "no limits for clients: set them in the backends"),
    (
        "proxy_download_rate",
        "no limits for clients: set them in the backends",
    ),
    (
        "proxy_upload_rate",
        "no limits for clients: set them in the backends",
    ),
];

const HTTP: &str = "HTTP is not looked into: do it in the backends";
const STREAM: &str = "no counterpart: left out";

/// Says it, line by line.
pub(super) fn of_server(server: &Directive, module: Module, passes: &[Pass], notes: &mut Notes) {
    let leads = |location: &Directive| {
        passes
            .iter()
            .filter_map(|pass| pass.location)
            .any(|other| ptr::eq(other, location) || is_within(other, location))
    };
    for pass in passes.iter().filter(|pass| pass.changes_paths(module)) {
        notes.add(
            &pass.directive.excerpt(),
            "paths are not changed: backends see those of the clients",
        );
    }
    of_block(server.inner(), module, &leads, notes);
}

fn is_within(inner: &Directive, outer: &Directive) -> bool {
    let mut blocks = outer.inner().iter();
    blocks.any(|block| ptr::eq(block, inner) || is_within(inner, block))
}

fn of_block(
    directives: &[Directive],
    module: Module,
    leads: &dyn Fn(&Directive) -> bool,
    notes: &mut Notes,
) {
    for directive in directives {
        let name = directive.name.as_str();
        match name {
            "listen" | "health_check" => {}
            "location" if leads(directive) && directive.arguments == ["/"] => {}
            "location" if leads(directive) => {
                let why = "paths are not seen at layer 4: a connection goes to one service, with all its requests";
                notes.add(&directive.excerpt(), why);
            }
            "location" => {
                let why = "not answered by nginx any more: all that comes to the port goes to the backends";
                notes.add(&directive.excerpt(), why);
            }
            "server_name" if directive.arguments == ["_"] => {}
            _ if is_pass(name) || SILENT.iter().any(|start| name.starts_with(start)) => {}
            _ => {
                let fits = |(start, _): &&(&str, &str)| name.starts_with(start);
                let other = if module == Module::Http { HTTP } else { STREAM };
                let why = REASONS.iter().find(fits).map_or(other, |(_, why)| why);
                notes.add(&directive.excerpt(), why);
            }
        }
        if name == "location" && leads(directive) {
            of_block(directive.inner(), module, leads, notes);
        }
    }
}

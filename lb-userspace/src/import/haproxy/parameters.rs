//! Parameters of servers that have no counterpart.

/// Parameters, how many words follow each, and why it is left out; nothing is missed where there is no reason.
const PARAMETERS: &[(&[&str], usize, Option<&str>)] = &[
    (
        &[
            "weight",
            "inter",
            "fastinter",
            "downinter",
            "rise",
            "fall",
            "port",
            "addr",
            "check-sni",
            "slowstart",
            "maxconn",
        ],
        1,
        None,
    ),
    (
        &["id", "guid", "pool-conn-name", "log-bufsize", "shard"],
        1,
        None,
    ),
    (
        &[
            "stick",
            "no-stick",
            "no-agent-check",
            "no-send-proxy",
            "no-send-proxy-v2",
            "no-check-ssl",
        ],
        0,
        None,
    ),
    (
        &["cookie"],
        1,
        Some(
            "cookies are not seen at layer 4: a connection stays with its backend, a client need not",
        ),
    ),
    (
        &[
            "send-proxy",
            "send-proxy-v2",
            "send-proxy-v2-ssl",
            "send-proxy-v2-ssl-cn",
            "check-send-proxy",
        ],
        0,
        Some("no PROXY protocol: forward = \"nat\" shows backends the client's own address"),
    ),
    (
        &["proxy-v2-options"],
        1,
        Some("no PROXY protocol: forward = \"nat\" shows backends the client's own address"),
    ),
    (
        &[
            "alpn",
            "ca-file",
            "ciphers",
            "ciphersuites",
            "client-sigalgs",
            "crl-file",
            "crt",
            "curves",
            "npn",
            "sigalgs",
            "sni",
            "ssl-max-ver",
            "ssl-min-ver",
            "verify",
            "verifyhost",
        ],
        1,
        Some("TLS is passed through: clients speak it with the backends"),
    ),
    (
        &[
            "allow-0rtt",
            "force-sslv3",
            "force-tlsv10",
            "force-tlsv11",
            "force-tlsv12",
            "force-tlsv13",
            "no-ssl-reuse",
            "no-sslv3",
            "no-tls-tickets",
            "no-tlsv10",
            "no-tlsv11",
            "no-tlsv12",
            "no-tlsv13",
            "no-verifyhost",
            "ssl-reuse",
            "tls-tickets",
        ],
        0,
        Some("TLS is passed through: clients speak it with the backends"),
    ),
    (
        &["check-alpn", "check-proto"],
        1,
        Some("checks speak HTTP/1.1"),
    ),
    (
        &["check-reuse-pool", "check-via-socks4"],
        0,
        Some("checks connect to the backend each time"),
    ),
    (
        &["agent-check"],
        0,
        Some("no agents: `shunt weight` and `shunt drain` are orders to a running shunt"),
    ),
    (
        &["agent-addr", "agent-inter", "agent-port", "agent-send"],
        1,
        Some("no agents: `shunt weight` and `shunt drain` are orders to a running shunt"),
    ),
    (
        &["error-limit", "observe", "on-error"],
        1,
        Some("failures of connections are not counted: checks find them, see [service.health]"),
    ),
    (
        &["on-marked-down", "on-marked-up"],
        1,
        Some("connections of a backend that is down go to others by themselves"),
    ),
    (&["track"], 1, Some("each service checks its own backends")),
    (
        &["minconn", "maxqueue"],
        1,
        Some("no queue: a connection goes to a backend at once"),
    ),
    (
        &[
            "init-addr",
            "resolve-net",
            "resolve-opts",
            "resolve-prefer",
            "resolvers",
        ],
        1,
        Some("names are not resolved"),
    ),
    (
        &["init-state"],
        1,
        Some("[service.health] initial says it for all backends"),
    ),
    (&["redir"], 1, Some("HTTP is not looked into")),
    (
        &["source", "usesrc"],
        1,
        Some(
            "which address backends see: forward = \"nat\" the client's, \"fullnat\" one of [daemon] snat_addresses",
        ),
    ),
    (
        &[
            "idle-ping",
            "max-reuse",
            "pool-low-conn",
            "pool-max-conn",
            "pool-purge-delay",
            "ws",
        ],
        1,
        Some("not needed: a connection is the client's own, all the way to the backend"),
    ),
    (
        &["hash-key"],
        1,
        Some("tables hash the name of a backend, which is kept"),
    ),
    (
        &[
            "interface",
            "log-proto",
            "namespace",
            "proto",
            "quic-cc-algo",
            "socks4",
            "tcp-md5sig",
            "tcp-ut",
        ],
        1,
        Some("no counterpart: left out"),
    ),
];

/// How many words follow it.
pub(super) fn values(name: &str) -> usize {
    find(name).map_or(0, |(_, values, _)| *values)
}

/// Why it is not taken over.
pub(super) fn leftover(name: &str) -> Option<&'static str> {
    match find(name) {
        Some((_, _, why)) => *why,
        None => Some("no counterpart: left out"),
    }
}

fn find(name: &str) -> Option<&'static (&'static [&'static str], usize, Option<&'static str>)> {
    PARAMETERS
        .iter()
        .find(|(names, _, _)| names.contains(&name))
}

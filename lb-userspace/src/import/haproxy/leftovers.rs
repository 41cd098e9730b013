//! Lines of a proxy that have no counterpart.

/// Logs, errors and other means of HAProxy alone: nothing of them could be missed.
const SILENT: &[&str] = &[
    "acl",
    "backlog",
    "bind-process",
    "description",
    "enabled",
    "errorfile",
    "errorfiles",
    "guid",
    "id",
    "log",
    "log-format",
    "log-format-sd",
    "log-tag",
    "error-log-format",
    "option clitcpka",
    "option contstats",
    "option dontlog-normal",
    "option dontlognull",
    "option http-buffer-request",
    "option httplog",
    "option httpslog",
    "option log-health-checks",
    "option log-separate-errors",
    "option logasap",
    "option socket-stats",
    "option splice-auto",
    "option splice-request",
    "option splice-response",
    "option srvtcpka",
    "option tcp-smart-accept",
    "option tcp-smart-connect",
    "option tcpka",
    "option tcplog",
    "mode tcp",
    "unique-id-format",
    "unique-id-header",
];

const HTTP: &str = "HTTP is not looked into: do it in the backends";
const WHOLE: &str =
    "HTTP is not looked into: a connection goes to one backend, with all its requests";
const COOKIES: &str =
    "cookies are not seen at layer 4: a connection stays with its backend, a client need not";
const IDLE: &str =
    "idle flows are forgotten after [daemon.timeouts] tcp, the same for all services";
const OWN: &str = "connections are opened by clients: their own timeout counts";
const AGAIN: &str = "nothing is sent twice: a connection that fails is the client's to open anew";
const QUEUE: &str = "no queue: a connection goes to a backend at once";
const TLS_CHECK: &str = "no checks of this protocol: connections are checked";
const LIMITS: &str = "no limits for clients: set them in the backends";

/// Beginnings of lines, and why they have no counterpart; the first that fits.
const REASONS: &[(&str, &str)] = &[
    ("mode http", WHOLE),
    (
        "mode",
        "TCP is balanced, and nothing else of it is looked into",
    ),
    ("cookie", COOKIES),
    ("appsession", COOKIES),
    ("dynamic-cookie-key", COOKIES),
    ("option persist", COOKIES),
    ("force-persist", COOKIES),
    ("ignore-persist", COOKIES),
    (
        "stick",
        "no stick tables: a connection stays with its backend, a client need not",
    ),
    ("hash-type consistent", ""),
    (
        "hash-type",
        "tables are always consistent: few connections move when backends change",
    ),
    ("hash-balance-factor", "open connections are not compared"),
    ("timeout client", IDLE),
    ("timeout server", IDLE),
    ("timeout tunnel", IDLE),
    ("timeout connect", OWN),
    ("timeout queue", QUEUE),
    ("timeout", HTTP),
    (
        "option allbackups",
        "backups are used one after the other: `min_active` says how many are wanted",
    ),
    (
        "option forwardfor",
        "HTTP is not looked into; forward = \"nat\" shows backends the client's own address",
    ),
    ("option originalto", "HTTP is not looked into"),
    ("option redispatch", AGAIN),
    ("retries", AGAIN),
    ("retry-on", AGAIN),
    (
        "option transparent",
        "which address backends see: forward = \"nat\" the client's",
    ),
    (
        "source",
        "which address backends see: forward = \"nat\" the client's, \"fullnat\" one of [daemon] snat_addresses",
    ),
    ("option abortonclose", QUEUE),
    ("fullconn", QUEUE),
    ("maxconn", LIMITS),
    ("rate-limit", LIMITS),
    ("max-session-srv-conns", LIMITS),
    ("tcp-check", TLS_CHECK),
    ("external-check", TLS_CHECK),
    ("option external-check", TLS_CHECK),
    ("use-server", "servers are chosen by the scheduler alone"),
    (
        "server-template",
        "names are not resolved: write each server",
    ),
    (
        "tcp-request",
        "no rules for connections: use the firewall of the host",
    ),
    (
        "tcp-response",
        "no rules for connections: use the firewall of the host",
    ),
    (
        "email-alert",
        "[daemon.on_change] tells of backends that change",
    ),
    (
        "load-server-state-from-file",
        "not needed: orders are kept in [daemon] state_dir",
    ),
    ("stats", "`shunt status` shows what `stats` did"),
    ("dispatch", "no server to balance: left out"),
    ("http-", HTTP),
    ("option http", HTTP),
    ("redirect", HTTP),
    ("capture", HTTP),
    ("compression", HTTP),
    ("filter", HTTP),
    ("monitor", HTTP),
    ("req", HTTP),
    ("rsp", HTTP),
];

/// Why a line is not taken over, where that could be missed.
pub(super) fn why(line: &str) -> Option<&'static str> {
    let begins = |start: &str| {
        let rest = line.strip_prefix(start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    if SILENT.iter().any(|start| begins(start)) {
        return None;
    }
    let reason = REASONS.iter().find(|(start, _)| line.starts_with(start));
    let why = reason.map_or("no counterpart: left out", |(_, why)| *why);
    (!why.is_empty()).then_some(why)
}

//! `bind`: where do clients connect to?

use super::{address, sections::Line};
use crate::{
    address::Ports,
    import::{draft::Ip, notes::Notes, place::Excerpt},
};

#[derive(Clone, Debug)]
pub(super) struct Bind {
    pub(super) ip: Ip,
    pub(super) ports: Ports,
    pub(super) encrypted: bool,
    pub(super) said: Excerpt,
}

/// Of nothing but the sockets and threads of HAProxy.
const SILENT: &[&str] = &[
    "backlog",
    "gid",
    "group",
    "guid-prefix",
    "id",
    "level",
    "maxconn",
    "mode",
    "mss",
    "name",
    "nbconn",
    "nice",
    "process",
    "severity-output",
    "shards",
    "tcp-ut",
    "thread",
    "uid",
    "user",
];
/// Of TLS, each with a word behind.
const TLS: &[&str] = &[
    "alpn",
    "ca-file",
    "ca-ignore-err",
    "ca-sign-file",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "crl-file",
    "crt",
    "crt-ignore-err",
    "crt-list",
    "curves",
    "default-crt",
    "ecdhe",
    "npn",
    "ocsp-update",
    "sigalgs",
    "ssl-max-ver",
    "ssl-min-ver",
    "tls-ticket-keys",
    "verify",
];

/// `bind ADDRESS[,ADDRESS] …`
pub(super) fn read(line: &Line, notes: &mut Notes) -> Vec<Bind> {
    let [_, addresses, rest @ ..] = &line.words[..] else {
        notes.add(&line.excerpt(), "no address to listen on: left out");
        return Vec::new();
    };
    let encrypted = rest.iter().any(|word| word == "ssl");
    let mut binds = Vec::new();
    for text in addresses.split(',') {
        match address::bind(text) {
            Ok((ip, ports)) => {
                let bind = Bind {
                    ip,
                    ports,
                    encrypted,
                    said: line.excerpt(),
                };
                if ip == Ip::AnyV6 && rest.iter().any(|word| word == "v4v6") {
                    binds.push(Bind {
                        ip: Ip::AnyV4,
                        ..bind.clone()
                    });
                }
                binds.push(bind);
            }
            Err(why) => notes.add(&line.part(&["bind".to_owned(), text.to_owned()]), why),
        }
    }
    parameters(line, rest, notes);
    binds
}

fn parameters(line: &Line, words: &[String], notes: &mut Notes) {
    let mut rest = words;
    while let [name, behind @ ..] = rest {
        let name = name.as_str();
        let is_tls = TLS.contains(&name);
        let takes = usize::from(is_tls || SILENT.contains(&name) || name == "interface");
        let why = match name {
            "accept-proxy" | "accept-netscaler-cip" => {
                Some("the PROXY protocol is not read: it is passed on to the backends")
            }
            // What becomes of TLS is said of the whole line.
            "ssl" | "v4v6" | "v6only" => None,
            _ if is_tls || SILENT.contains(&name) => None,
            "interface" => Some("[daemon] interfaces says where packets come in, for all services"),
            "transparent" => Some("not needed: the VIP need not be an address of the host"),
            "tfo" | "defer-accept" => Some("not needed: it tunes the sockets of HAProxy"),
            _ if name.starts_with("no-") || name.starts_with("force-") => None,
            _ => Some("no counterpart: left out"),
        };
        let takes = takes.min(behind.len());
        if let Some(why) = why {
            notes.add(&line.part(&rest[..=takes]), why);
        }
        rest = &behind[takes..];
    }
}

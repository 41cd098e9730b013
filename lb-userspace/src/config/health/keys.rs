//! Which types of checks there are, and the keys that each has.

use crate::config::{report::Mistake, section::Section, suggest};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Tcp,
    Http,
    Https,
    Grpc,
    Dns,
    Udp,
    None,
}

const OF_ALL: &[&str] = &[
    "address",
    "port",
    "interval",
    "timeout",
    "rise",
    "fall",
    "flap_window",
    "initial",
    "fast_interval",
    "down_interval",
];
const OF_HTTP: &[&str] = &["path", "host", "headers", "status", "body"];
pub(super) const OF_TLS: &[&str] = &["sni", "ca_file", "insecure"];
const OF_GRPC: &[&str] = &["service", "tls"];
const OF_DNS: &[&str] = &["query", "record", "must_resolve"];
const OF_UDP: &[&str] = &["send", "send_binary", "expect", "expect_binary"];

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Tcp,
        Self::Http,
        Self::Https,
        Self::Grpc,
        Self::Dns,
        Self::Udp,
        Self::None,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Dns => "dns",
            Self::Udp => "udp",
            Self::None => "none",
        }
    }

    fn has(self, key: &str) -> bool {
        let groups: &[&[&str]] = match self {
            Self::Tcp => &[OF_ALL],
            Self::Http => &[OF_HTTP, OF_ALL],
            Self::Https => &[OF_HTTP, OF_TLS, OF_ALL],
            Self::Grpc => &[OF_GRPC, OF_TLS, OF_ALL],
            Self::Dns => &[OF_DNS, OF_ALL],
            Self::Udp => &[OF_UDP, OF_ALL],
            Self::None => &[],
        };
        groups.iter().any(|group| group.contains(&key))
    }
}

fn all() -> impl Iterator<Item = &'static str> {
    let groups = [OF_HTTP, OF_TLS, OF_GRPC, OF_DNS, OF_UDP, OF_ALL];
    groups.into_iter().flatten().copied()
}

/// A key without effect is a misunderstanding, better told than ignored. `origin`: where the type comes from, if it
/// was not written.
pub(super) fn refuse_unused(section: &mut Section, kind: Kind, origin: &str) {
    for key in all().filter(|key| !kind.has(key)) {
        // Asked for only where it is: what is asked for is listed as known.
        if !section.has(key) {
            continue;
        }
        let Some(field) = section.optional(key) else {
            continue;
        };
        let name = kind.name();
        let expected = format!("no such key with type = \"{name}\"{origin}");
        let others: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|other| other.has(key))
            .map(Kind::name)
            .collect();
        let help = format!(
            "remove the key, or write type = {}",
            suggest::alternatives(&others)
        );
        field.wrong(Mistake::new(field.found(), expected).help(help));
    }
}

/// Where nobody knows which keys are of use, none of them is unknown.
pub(super) fn take_all(section: &mut Section) {
    for key in all() {
        section.optional(key);
    }
}

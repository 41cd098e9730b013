//! `balance`: how is a server chosen?

use crate::import::counterpart::Method;

/// The method of `balance`, and why it is another than named.
pub(super) fn named(method: &str) -> (Method, Option<&'static str>) {
    match method.split('(').next().unwrap_or(method) {
        "roundrobin" | "static-rr" => (Method::RoundRobin, None),
        "leastconn" => (Method::LeastConnections, None),
        "source" => (Method::SourceHash, None),
        "random" if method == "random(1)" => (Method::Random, None),
        // Of two candidates, the one with fewer connections.
        "random" => (Method::LeastConnections, None),
        "first" => (
            Method::FlowHash,
            Some(
                "backends are not filled one after the other: `maglev` chooses by a hash of addresses and ports",
            ),
        ),
        _ => (
            Method::FlowHash,
            Some("only addresses and ports are seen at layer 4: `maglev` hashes them instead"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        for (text, method, is_another) in [
            ("roundrobin", Method::RoundRobin, false),
            ("static-rr", Method::RoundRobin, false),
            ("leastconn", Method::LeastConnections, false),
            ("source", Method::SourceHash, false),
            ("random", Method::LeastConnections, false),
            ("random(3)", Method::LeastConnections, false),
            ("random(1)", Method::Random, false),
            ("first", Method::FlowHash, true),
            ("uri", Method::FlowHash, true),
            ("hdr(host)", Method::FlowHash, true),
        ] {
            let (found, instead) = named(text);
            assert_eq!((found, instead.is_some()), (method, is_another), "{text}");
        }
    }
}

//! What shunt has for the ways of others to choose a server, and for their bounds on one.
//!
//! Whatever shunt learns to do changes one line here.

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Method {
    RoundRobin,
    LeastConnections,
    /// By the client's address.
    SourceHash,
    /// By the client's address and port.
    FlowHash,
    Random,
}

/// A value of `scheduler`.
pub(super) const fn scheduler(method: Method) -> &'static str {
    match method {
        Method::RoundRobin => "round-robin",
        Method::LeastConnections => "least-conn",
        Method::SourceHash => "source-hash",
        Method::FlowHash => "maglev",
        Method::Random => "random",
    }
}

/// What bounds the use of one server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Bound {
    MaxFails,
    FailTimeout,
    MaxConnections,
}

/// A key of `[[service.backend]]`.
pub(super) const fn key(bound: Bound) -> &'static str {
    match bound {
        Bound::MaxFails => "max_fails",
        Bound::FailTimeout => "fail_timeout",
        Bound::MaxConnections => "max_conns",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_configuration_takes_each_scheduler() {
        for method in [
            Method::RoundRobin,
            Method::LeastConnections,
            Method::SourceHash,
            Method::FlowHash,
            Method::Random,
        ] {
            let scheduler = scheduler(method);
            let text = format!(
                r#"
                daemon.interfaces = ["eth0"]
                [[service]]
                name = "web"
                listen = ["192.0.2.10:80"]
                scheduler = "{scheduler}"
                backend = [{{ address = "10.0.0.1:80" }}]
                "#
            );
            assert!(config::parse("", &text).is_ok(), "{method:?}");
        }
    }
}

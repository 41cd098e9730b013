//! How backends are checked.

use std::time::Duration;

use hyper::http::{
    HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    uri::{Authority, PathAndQuery},
};

use tokio_rustls::rustls::pki_types::DnsName;

use crate::statuses::Statuses;

/// What is not given is left to shunt's defaults.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Check {
    pub(super) kind: Kind,
    pub(super) port: Option<u16>,
    pub(super) interval: Option<Duration>,
    pub(super) fast_interval: Option<Duration>,
    pub(super) down_interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) rise: Option<u32>,
    pub(super) fall: Option<u32>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Kind {
    /// Whether a connection is accepted.
    #[default]
    Tcp,
    Http(HttpCheck),
    Grpc(GrpcCheck),
    None,
}

/// Certificates are not verified: which authorities are believed is for this host to say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Tls {
    pub(super) sni: Option<String>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct GrpcCheck {
    pub(super) service: Option<String>,
    pub(super) tls: Option<Tls>,
}

/// A request, of values that a configuration takes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct HttpCheck {
    path: Option<String>,
    host: Option<String>,
    headers: Vec<(String, String)>,
    statuses: Option<String>,
    body: Option<String>,
    pub(super) tls: Option<Tls>,
}

/// Whether a value was taken.
type Taken = Result<(), &'static str>;

impl Tls {
    pub(super) fn set_sni(&mut self, name: &str) -> Taken {
        if DnsName::try_from(name).is_err() {
            return Err("no name of a server: none is asked for");
        }
        self.sni = Some(name.to_owned());
        Ok(())
    }
}

impl HttpCheck {
    pub(super) fn set_path(&mut self, path: &str) -> Taken {
        let fits =
            path.starts_with('/') && !path.contains('#') && path.parse::<PathAndQuery>().is_ok();
        if !fits {
            return Err("no path such as `/health`: `/` is asked for");
        }
        self.path = Some(path.to_owned());
        Ok(())
    }

    pub(super) fn set_host(&mut self, host: &str) -> Taken {
        if host.contains('@') || host.parse::<Authority>().is_err() {
            return Err("no host name: the backend's address is sent");
        }
        self.host = Some(host.to_owned());
        Ok(())
    }

    pub(super) fn add_header(&mut self, name: &str, value: &str) -> Taken {
        let Ok(parsed) = HeaderName::try_from(name) else {
            return Err("no name of a header: left out");
        };
        if parsed == HOST {
            return self.set_host(value);
        }
        if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&parsed) {
            return Err("shunt sets this header itself");
        }
        if value.contains("%[") {
            return Err("expressions are not evaluated: the header is left out");
        }
        if HeaderValue::try_from(value).is_err() {
            return Err("no value of a header: left out");
        }
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    pub(super) fn set_statuses(&mut self, statuses: &str) -> Taken {
        if statuses.parse::<Statuses>().is_err() {
            return Err("no list of statuses: 200-399 pass");
        }
        self.statuses = Some(statuses.to_owned());
        Ok(())
    }

    pub(super) fn set_body(&mut self, body: &str) -> Taken {
        if body.is_empty() {
            return Err("empty: the body is not looked at");
        }
        self.body = Some(body.to_owned());
        Ok(())
    }

    /// With what another one says beside or instead.
    pub(super) fn with(mut self, other: Self) -> Self {
        for (name, _) in &other.headers {
            self.headers
                .retain(|(own, _)| !own.eq_ignore_ascii_case(name));
        }
        self.headers.extend(other.headers);
        Self {
            path: other.path.or(self.path),
            host: other.host.or(self.host),
            headers: self.headers,
            statuses: other.statuses.or(self.statuses),
            body: other.body.or(self.body),
            tls: other.tls.or(self.tls),
        }
    }

    /// Keys of `[service.health]` and their values.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let texts = [
            ("path", &self.path),
            ("host", &self.host),
            ("status", &self.statuses),
            ("body", &self.body),
        ];
        texts
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }

    pub(super) fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

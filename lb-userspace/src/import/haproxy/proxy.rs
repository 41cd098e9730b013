//! What one section says, with its defaults.

use super::{
    bind::{self, Bind},
    check::Request,
    leftovers, method,
    sections::Line,
    server::{self, Parameters, Server},
};
use crate::import::{
    address::Local,
    check::{Check, Kind},
    counterpart::Method,
    draft::Backend,
    duration,
    notes::Notes,
    place::Excerpt,
};

/// HAProxy's own, where nothing is said.
const INTERVAL: &str = "2s";

#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) binds: Vec<Bind>,
    pub(super) uses: Vec<Use>,
    pub(super) method: Method,
    pub(super) balance: Excerpt,
    pub(super) servers: Vec<Server>,
    pub(super) is_disabled: bool,
    /// Why the method is not the one that was named.
    instead: Option<&'static str>,
    defaults: Parameters,
    request: Request,
    timeout: Option<std::time::Duration>,
}

/// Which connections go to another section.
#[derive(Clone, Debug)]
pub(super) struct Use {
    pub(super) backend: String,
    pub(super) is_conditional: bool,
    pub(super) said: Excerpt,
}

impl Proxy {
    pub(super) fn read(header: &Line, lines: &[&Line], local: Local, notes: &mut Notes) -> Self {
        let mut proxy = Self {
            binds: Vec::new(),
            uses: Vec::new(),
            method: Method::RoundRobin,
            balance: header.excerpt(),
            servers: Vec::new(),
            is_disabled: false,
            instead: None,
            defaults: Parameters::default(),
            request: Request::default(),
            timeout: None,
        };
        for line in lines {
            proxy.line(line, local, notes);
        }
        if let Some(why) = proxy.instead {
            notes.add(&proxy.balance, why);
        }
        proxy
    }

    fn line(&mut self, line: &Line, local: Local, notes: &mut Notes) {
        match &line.texts()[..] {
            ["bind", ..] => self.binds.extend(bind::read(line, notes)),
            ["default_backend", backend, ..] => self.goes_to(backend, false, line),
            ["use_backend", backend, condition @ ..] => {
                self.goes_to(backend, !condition.is_empty(), line);
            }
            ["balance", method, ..] => {
                (self.method, self.instead) = method::named(method);
                self.balance = line.excerpt();
            }
            ["default-server", ..] => self.defaults.read(&line.words[1..], line, notes),
            ["server", ..] => {
                let server = server::read(line, &self.defaults, local, notes);
                self.servers.extend(server);
            }
            ["option", "httpchk", ..] => self.request.httpchk(line, notes),
            ["http-check", ..] => self.request.http_check(line, notes),
            ["option", kind, ..] if is_other_check(kind) => {
                self.request.forget();
                if *kind != "tcp-check" {
                    let why = "no checks of this protocol: connections are checked";
                    notes.add(&line.excerpt(), why);
                }
            }
            ["no", "option", "httpchk"] => self.request.forget(),
            // There is nothing to turn off.
            ["no", ..] => {}
            ["timeout", "check", time, ..] => {
                let time = duration::haproxy(time);
                self.timeout = duration::within(time, &duration::CHECKS, &line.excerpt(), notes);
            }
            ["disabled"] => self.is_disabled = true,
            _ => {
                if let Some(why) = leftovers::why(&line.words.join(" ")) {
                    notes.add(&line.excerpt(), why);
                }
            }
        }
    }

    /// The last default counts, and every rule before it.
    fn goes_to(&mut self, backend: &str, is_conditional: bool, line: &Line) {
        let is_default = line.words[0] == "default_backend";
        if is_default {
            self.uses
                .retain(|one| !one.said.text.starts_with("default_backend "));
        }
        self.uses.push(Use {
            backend: backend.to_owned(),
            is_conditional,
            said: line.excerpt(),
        });
    }

    /// That of the first server that is checked; what others say is said to be lost.
    pub(super) fn check(&self, notes: &mut Notes) -> Check {
        let mut check = Check::default();
        let Some(first) = self.checked().next() else {
            self.request.clone().ask(&mut check, notes);
            return check;
        };
        check.clone_from(&first.parameters.check);
        for server in &self.servers {
            let parameters = &server.parameters;
            if server.backend.endpoint().is_none() {
                continue;
            }
            if !parameters.is_checked {
                let why = "checked, too: a service has one check for all of its backends";
                notes.add(&server.backend.said, why);
            } else if parameters.check != check
                || parameters.checks_encrypted() != first.parameters.checks_encrypted()
            {
                let why = "a service has one check, that of its first server";
                notes.add(&server.backend.said, why);
            }
        }
        // A check has all of the interval, where nothing else is said.
        let all = check.interval.or_else(|| duration::haproxy(INTERVAL));
        check.timeout = self.timeout.or(all);
        self.request.clone().ask(&mut check, notes);
        if first.parameters.checks_encrypted() {
            encrypt(&mut check, first, notes);
        }
        check.port = self.common_port().or(check.port);
        check
    }

    /// Where all are checked at the same port of their own, the service says so instead of each of them.
    fn common_port(&self) -> Option<u16> {
        let ports = self
            .servers
            .iter()
            .map(|one| one.parameters.own_check_port());
        let mut ports = ports.collect::<Option<Vec<_>>>()?.into_iter();
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }

    pub(super) fn backends(&self) -> Vec<Backend> {
        let mut backends: Vec<_> = self.servers.iter().map(|one| one.backend.clone()).collect();
        if self.common_port().is_some() {
            for backend in &mut backends {
                backend.check_at = None;
            }
        }
        backends
    }

    pub(super) fn is_checked(&self) -> bool {
        self.checked().next().is_some()
    }

    fn checked(&self) -> impl Iterator<Item = &Server> {
        let servers = self.servers.iter();
        servers.filter(|server| server.parameters.is_checked)
    }

    /// Whether the servers are spoken to with TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.servers
            .iter()
            .any(|server| server.parameters.encrypted)
    }
}

fn encrypt(check: &mut Check, server: &Server, notes: &mut Notes) {
    let said = &server.backend.said;
    match &mut check.kind {
        Kind::Http(http) => {
            http.tls = Some(server.parameters.tls.clone());
            if !server.parameters.trusts_anybody {
                let why = "checks do not verify certificates: [service.health] ca_file, instead of insecure, makes them";
                notes.add(said, why);
            }
        }
        _ => notes.add(
            said,
            "whether connections are accepted is checked, without TLS",
        ),
    }
}

fn is_other_check(kind: &str) -> bool {
    kind.ends_with("-check") && kind != "external-check"
        || ["smtpchk", "ssl-hello-chk", "spop-check"].contains(&kind)
}

//! `option httpchk`, `http-check` and the checks of other protocols.

#[cfg(test)]
mod tests;

use super::sections::Line;
use crate::import::{
    check::{Check, HttpCheck, Kind},
    error::quote,
    notes::Notes,
    place::Excerpt,
};

/// What is asked, of whichever server is checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    http: Option<HttpCheck>,
    /// `http-check` lines count only with `option httpchk`, wherever that stands.
    rules: HttpCheck,
    port: Option<u16>,
    has_expectation: bool,
    /// What is asked with, where it is not what shunt asks with.
    method: Option<Excerpt>,
}

impl Request {
    /// Puts it into a check.
    pub(super) fn ask(self, check: &mut Check, notes: &mut Notes) {
        check.port = check.port.or(self.port);
        if let Some(http) = self.http {
            if let Some(said) = self.method {
                notes.add(&said, "checks ask with GET");
            }
            check.kind = Kind::Http(http.with(self.rules));
        }
    }

    /// `no option httpchk`, or a check of another protocol.
    pub(super) fn forget(&mut self) {
        self.http = None;
    }

    /// `option httpchk [METHOD] [PATH] [VERSION]`
    pub(super) fn httpchk(&mut self, line: &Line, notes: &mut Notes) {
        let words = line.texts();
        let (method, path, version) = match words.get(2..).unwrap_or_default() {
            [] => ("OPTIONS", "/", ""),
            [path] => ("OPTIONS", *path, ""),
            [method, path, version @ ..] => {
                (*method, *path, version.first().copied().unwrap_or(""))
            }
        };
        let mut http = HttpCheck::default();
        self.set_method(method, line);
        take(http.set_path(path), line, notes);
        // Headers were written behind the version once.
        for header in version.lines().skip(1) {
            let Some((name, value)) = header.split_once(':') else {
                continue;
            };
            take(http.add_header(name.trim(), value.trim()), line, notes);
        }
        self.http = Some(http);
    }

    /// `http-check …`
    pub(super) fn http_check(&mut self, line: &Line, notes: &mut Notes) {
        let words = line.texts();
        match words.get(1).copied() {
            Some("send") => self.send(line, notes),
            Some("expect") => self.expect(line, notes),
            Some("connect") => self.connect(line, notes),
            // It says itself that nothing is done.
            Some("comment") => {}
            _ => notes.add(&line.excerpt(), "no counterpart: left out"),
        }
    }

    fn set_method(&mut self, method: &str, line: &Line) {
        self.method = (method != "GET").then(|| line.excerpt());
    }

    fn send(&mut self, line: &Line, notes: &mut Notes) {
        let words = line.texts();
        let mut rest = words.get(2..).unwrap_or_default();
        loop {
            rest = match rest {
                [] => return,
                ["meth", method, rest @ ..] => {
                    self.set_method(method, line);
                    rest
                }
                ["uri", path, rest @ ..] => {
                    take(self.rules.set_path(path), line, notes);
                    rest
                }
                ["ver", _, rest @ ..] => rest,
                ["hdr", name, value, rest @ ..] => {
                    take(self.rules.add_header(name, value), line, notes);
                    rest
                }
                _ => {
                    let why = format!("{}: no counterpart: left out", quote(&rest.join(" ")));
                    notes.add(&line.excerpt(), why);
                    return;
                }
            };
        }
    }

    fn expect(&mut self, line: &Line, notes: &mut Notes) {
        let words = line.texts();
        let mut rest = words.get(2..).unwrap_or_default();
        while let [
            "comment" | "min-recv" | "ok-status" | "error-status" | "tout-status" | "on-success"
            | "on-error" | "status-code",
            _,
            behind @ ..,
        ] = rest
        {
            rest = behind;
        }
        let taken = match rest {
            _ if self.has_expectation => Err("an answer is judged by one rule, the first"),
            ["status", statuses] => self.rules.set_statuses(statuses),
            ["string", text] => {
                notes.add(&line.excerpt(), "the status has to be 2xx or 3xx, too");
                self.rules.set_body(text)
            }
            ["!", ..] => Err("only what passes can be named: 200-399 pass"),
            ["rstatus" | "rstring", ..] => Err("no regular expressions: 200-399 pass"),
            _ => Err("no counterpart: 200-399 pass"),
        };
        self.has_expectation |= taken.is_ok();
        take(taken, line, notes);
    }

    fn connect(&mut self, line: &Line, notes: &mut Notes) {
        let words = line.texts();
        let mut rest = words.get(2..).unwrap_or_default();
        loop {
            rest = match rest {
                [] => return,
                ["default", rest @ ..] => rest,
                ["port", port, rest @ ..] => {
                    self.port = port.parse().ok().filter(|port| *port != 0);
                    rest
                }
                ["comment", _, rest @ ..] => rest,
                _ => {
                    let why = format!("{}: no counterpart: left out", quote(&rest.join(" ")));
                    notes.add(&line.excerpt(), why);
                    return;
                }
            };
        }
    }
}

fn take(taken: Result<(), &'static str>, line: &Line, notes: &mut Notes) {
    if let Err(why) = taken {
        notes.add(&line.excerpt(), why);
    }
}

//! What HAProxy is told to balance: `backend` and `listen` sections, and `frontend` sections that use them.

mod address;
mod bind;
mod check;
mod leftovers;
mod method;
mod parameters;
mod proxy;
mod sections;
mod server;
mod words;

use self::{
    proxy::{Proxy, Use},
    sections::{Kind, Section},
};
use super::{
    Options, SyntaxError,
    address::Local,
    draft::{Draft, Listener},
    notes::Notes,
    place::Source,
    tls,
};
use crate::{address::Ports, desired::Protocol};

/// A section and what it says.
struct Read<'a> {
    section: &'a Section,
    proxy: Proxy,
}

impl Read<'_> {
    fn is_backend(&self) -> bool {
        self.section.kind != Kind::Frontend && !self.proxy.servers.is_empty()
    }
}

pub(super) fn read(
    source: &Source,
    options: &Options,
    notes: &mut Notes,
) -> Result<Vec<Draft>, SyntaxError> {
    let sections = sections::parse(source, notes)?;
    let all: Vec<_> = sections
        .iter()
        .filter(|section| !matches!(section.kind, Kind::Defaults | Kind::Other))
        .map(|section| {
            let lines = sections::all_lines(section, &sections);
            let local = Local(&options.locals);
            let proxy = Proxy::read(&section.header, &lines, local, notes);
            Read { section, proxy }
        })
        .collect();
    unused(&all, notes);
    let backends = all.iter().filter(|read| read.is_backend());
    Ok(backends.map(|read| draft(read, &all, notes)).collect())
}

/// Says which sections and rules lead to no servers.
fn unused(all: &[Read], notes: &mut Notes) {
    for Read { section, proxy } in all {
        for one in &proxy.uses {
            if all.iter().any(|other| is_used(one, other)) {
                continue;
            }
            let why = if one.backend.contains("%[") {
                "expressions are not evaluated: no service listens for it"
            } else {
                "no section of this name has servers: left out"
            };
            notes.add(&one.said, why);
        }
        if proxy.servers.is_empty() && proxy.uses.is_empty() {
            let why = "nothing to balance: left out";
            notes.add(&section.header.excerpt(), why);
        }
    }
}

fn is_used(one: &Use, other: &Read) -> bool {
    other.is_backend() && other.section.name == one.backend
}

fn draft(backend: &Read, all: &[Read], notes: &mut Notes) -> Draft {
    let Read { section, proxy } = backend;
    let mut listeners = Vec::new();
    let mut port = None;
    let mut listen = |front: &Read, rank, notes: &mut Notes| {
        for bind in &front.proxy.binds {
            port.get_or_insert(bind.ports);
            if tls::matches(bind.encrypted, proxy.is_encrypted(), &bind.said, notes) {
                listeners.push(Listener {
                    ip: bind.ip,
                    ports: bind.ports,
                    rank,
                    said: bind.said.clone(),
                });
            }
        }
    };
    listen(backend, 0, notes);
    for front in all {
        for one in &front.proxy.uses {
            if is_used(one, backend) && !front.proxy.is_disabled {
                if one.is_conditional {
                    let why = "conditions are not evaluated: a connection goes to the service that has its address and port";
                    notes.add(&one.said, why);
                }
                listen(front, u8::from(one.is_conditional), notes);
            }
        }
    }
    let slow_start = proxy
        .servers
        .iter()
        .find_map(|one| one.parameters.slow_start);
    Draft {
        name: section.name.clone(),
        origin: section.header.excerpt(),
        protocol: Protocol::Tcp,
        port: port.unwrap_or(Ports::One(80)),
        listeners,
        method: proxy.method,
        slow_start,
        check: proxy.check(notes),
        is_checked: proxy.is_checked(),
        backends: proxy.backends(),
        off: proxy.is_disabled.then_some("it is disabled"),
    }
}

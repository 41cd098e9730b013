//! What nginx is told to balance: `upstream` blocks, and `server` blocks that pass connections to them.

mod backend;
mod health;
mod leftovers;
mod listen;
mod passes;
mod server;
mod tree;
mod upstream;
mod words;

use std::collections::HashMap;

use self::{
    server::{Server, Use},
    tree::Directive,
    upstream::Upstream,
};
use super::{
    Options, SyntaxError, address::Local, draft::Draft, files::Files, notes::Notes, place::Source,
};
use crate::{address::Ports, desired::Protocol};

/// Where an upstream is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Module {
    Http,
    Stream,
}

pub(super) fn read(
    source: &Source,
    files: &dyn Files,
    options: &Options,
    notes: &mut Notes,
) -> Result<Vec<Draft>, SyntaxError> {
    let root = tree::parse(source, files, notes)?;
    let mut drafts = Vec::new();
    for module in [Module::Http, Module::Stream] {
        drafts.extend(drafts_of(module, &root, options, notes));
    }
    for mail in tree::named(&root, "mail") {
        notes.add(&mail.excerpt(), "shunt reads no mail protocols: left out");
    }
    Ok(drafts)
}

fn drafts_of(
    module: Module,
    root: &[Directive],
    options: &Options,
    notes: &mut Notes,
) -> Vec<Draft> {
    let directives = directives_of(module, root);
    let is_named = |name: &'static str| {
        let directives = directives.iter().copied();
        directives.filter(move |directive| directive.name == name)
    };
    let mut upstreams: Vec<Upstream> = Vec::new();
    for directive in is_named("upstream") {
        let name = directive.argument();
        if upstreams.iter().any(|upstream| upstream.name == name) {
            let why = "a second upstream of this name, which nginx refuses: left out";
            notes.add(&directive.excerpt(), why);
            continue;
        }
        upstreams.push(upstream::read(
            directive,
            module,
            Local(&options.locals),
            notes,
        ));
    }
    let names: Vec<_> = upstreams
        .iter()
        .map(|upstream| upstream.name.as_str())
        .collect();
    let matches: HashMap<_, _> = is_named("match")
        .map(|directive| (directive.argument(), directive))
        .collect();
    let mut uses = Vec::new();
    for directive in is_named("server") {
        let server = Server {
            directive,
            module,
            upstreams: &names,
            matches: &matches,
        };
        uses.extend(server.uses(notes));
    }
    upstreams
        .iter()
        .flat_map(|upstream| services(upstream, &uses))
        .collect()
}

/// Files of `conf.d` stand for themselves: they belong into `http`.
fn directives_of(module: Module, root: &[Directive]) -> Vec<&Directive> {
    let (name, bare) = match module {
        Module::Http => ("http", root),
        Module::Stream => ("stream", &[][..]),
    };
    let blocks = tree::named(root, name).flat_map(Directive::inner);
    bare.iter().chain(blocks).collect()
}

/// One for each protocol that it is used with; TCP where it is not used.
fn services(upstream: &Upstream, uses: &[Use]) -> Vec<Draft> {
    let of_upstream: Vec<_> = uses
        .iter()
        .filter(|one| one.upstream == upstream.name)
        .collect();
    let protocols = [Protocol::Tcp, Protocol::Udp].into_iter();
    let protocols: Vec<_> = protocols
        .filter(|protocol| of_upstream.iter().any(|one| one.protocol == *protocol))
        .collect();
    let protocols = if protocols.is_empty() {
        vec![Protocol::Tcp]
    } else {
        protocols
    };
    let draft = |protocol| {
        let uses = of_upstream.iter().filter(|one| one.protocol == protocol);
        let listeners = uses.clone().flat_map(|one| one.listeners.iter().cloned());
        let mut ports = uses.clone().flat_map(|one| one.ports);
        let check = uses.filter_map(|one| one.check.clone()).next();
        Draft {
            name: upstream.name.clone(),
            origin: upstream.origin.clone(),
            protocol,
            listeners: listeners.collect(),
            port: ports.next().unwrap_or(Ports::One(80)),
            method: upstream.method,
            slow_start: upstream.slow_start,
            // Without one it learns of failures from connections: to be told of checks instead is enough.
            is_checked: true,
            check: check.unwrap_or_default(),
            backends: upstream.backends.clone(),
            off: None,
        }
    };
    protocols.into_iter().map(draft).collect()
}

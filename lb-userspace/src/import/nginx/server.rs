//! `server`: which connections go to which upstream?

use std::collections::HashMap;

use super::{
    Module, health, leftovers,
    listen::{self, Listen},
    passes::{self, Goal, Pass},
    tree::Directive,
};
use crate::{
    address::Ports,
    desired::Protocol,
    import::{check::Check, draft::Listener, notes::Notes, tls},
};

pub(super) struct Server<'a> {
    pub(super) directive: &'a Directive,
    pub(super) module: Module,
    pub(super) upstreams: &'a [&'a str],
    pub(super) matches: &'a HashMap<&'a str, &'a Directive>,
}

/// What comes in somewhere and goes to an upstream.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) upstream: String,
    pub(super) protocol: Protocol,
    pub(super) listeners: Vec<Listener>,
    /// Also of a listener that is left out.
    pub(super) ports: Option<Ports>,
    pub(super) check: Option<Check>,
}

impl Server<'_> {
    /// What is not taken over is said, unless nothing is.
    pub(super) fn uses(&self, notes: &mut Notes) -> Vec<Use> {
        let mut all = Vec::new();
        passes::find(self.directive.inner(), None, &mut all);
        let mut goals: Vec<(Pass, Goal)> = Vec::new();
        for pass in all {
            if let Some(goal) = pass.goal(self.module, self.upstreams, notes) {
                goals.push((pass, goal));
            }
        }
        if goals.is_empty() {
            return Vec::new();
        }
        let listens = listen::all(self.directive, self.module, notes);
        let mut uses = Vec::new();
        for (pass, goal) in &goals {
            let check = self.check(*pass, *goal, notes);
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let listens = listens.iter().filter(|one| one.protocol == protocol);
                let listens: Vec<_> = listens.collect();
                if let Some(first) = listens.first() {
                    uses.push(Use {
                        upstream: goal.upstream.to_owned(),
                        protocol,
                        ports: Some(first.ports),
                        listeners: listeners(*pass, *goal, &listens, notes),
                        check: check.clone(),
                    });
                }
            }
        }
        let passes: Vec<_> = goals.iter().map(|(pass, _)| *pass).collect();
        leftovers::of_server(self.directive, self.module, &passes, notes);
        uses
    }

    fn check(&self, pass: Pass, goal: Goal, notes: &mut Notes) -> Option<Check> {
        let mut directives = pass.health_checks();
        let first = directives.next()?;
        for other in directives {
            notes.add(&other.excerpt(), "a service has one check, the first");
        }
        let Self {
            module, matches, ..
        } = *self;
        Some(health::read(first, module, goal.encrypted, matches, notes))
    }
}

/// Where clients speak as the backends do.
fn listeners(pass: Pass, goal: Goal, listens: &[&Listen], notes: &mut Notes) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for listen in listens {
        if !tls::matches(listen.encrypted, goal.encrypted, &listen.said, notes) {
            continue;
        }
        listeners.extend(listen.ips.iter().map(|&ip| Listener {
            ip,
            ports: listen.ports,
            rank: 2 * u8::from(!listen.is_default) + u8::from(!pass.is_root()),
            said: listen.said.clone(),
        }));
    }
    listeners
}

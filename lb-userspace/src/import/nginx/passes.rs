//! Where a server passes connections to.

use super::{
    Module,
    tree::{Directive, named},
};
use crate::import::notes::Notes;

/// A directive that passes connections, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a> {
    pub(super) directive: &'a Directive,
    /// The innermost; none in `stream`.
    pub(super) location: Option<&'a Directive>,
    siblings: &'a [Directive],
}

/// An upstream, and whether it is spoken to with TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Goal<'a> {
    pub(super) upstream: &'a str,
    pub(super) encrypted: bool,
}

pub(super) fn is_pass(name: &str) -> bool {
    name.ends_with("_pass")
}

/// All below a block, in file order.
pub(super) fn find<'a>(
    directives: &'a [Directive],
    location: Option<&'a Directive>,
    passes: &mut Vec<Pass<'a>>,
) {
    for directive in directives {
        if is_pass(&directive.name) {
            passes.push(Pass {
                directive,
                location,
                siblings: directives,
            });
        }
        let inner = match directive.name.as_str() {
            "location" => Some(directive),
            _ => location,
        };
        find(directive.inner(), inner, passes);
    }
}

impl<'a> Pass<'a> {
    /// Whether it takes what no other location does.
    pub(super) fn is_root(&self) -> bool {
        self.location
            .is_none_or(|location| location.arguments == ["/"])
    }

    pub(super) fn health_checks(&self) -> impl Iterator<Item = &'a Directive> {
        named(self.siblings, "health_check")
    }

    /// Which upstream it goes to, if it can be told; else why not is said.
    pub(super) fn goal(
        &self,
        module: Module,
        upstreams: &[&str],
        notes: &mut Notes,
    ) -> Option<Goal<'a>> {
        let goal = self.known(module, upstreams);
        if let Err(why) = goal {
            notes.add(&self.directive.excerpt(), why);
        }
        goal.ok()
    }

    fn known(&self, module: Module, upstreams: &[&str]) -> Result<Goal<'a>, &'static str> {
        let argument = self.directive.argument();
        let (scheme, rest) = match (self.directive.name.as_str(), module) {
            ("proxy_pass", Module::Stream) => ("", argument),
            ("proxy_pass" | "grpc_pass", Module::Http) => {
                argument.split_once("://").unwrap_or(("", argument))
            }
            _ => {
                return Err(
                    "nginx speaks another protocol with the backends than with clients; shunt passes on what clients say",
                );
            }
        };
        if rest.contains('$') {
            return Err("what a variable stands for is not known: no service listens for it");
        }
        let upstream = rest.split('/').next().unwrap_or(rest);
        if !upstreams.contains(&upstream) {
            return Err("no upstream, but one server: there is nothing to balance");
        }
        let tells = |directive: &Directive| directive.argument() == "on";
        let encrypted = match module {
            Module::Http => scheme.ends_with('s'),
            Module::Stream => named(self.siblings, "proxy_ssl").any(tells),
        };
        Ok(Goal {
            upstream,
            encrypted,
        })
    }

    /// What it does to requests, beside passing them.
    pub(super) fn changes_paths(&self, module: Module) -> bool {
        let argument = self.directive.argument();
        let rest = argument
            .split_once("://")
            .map_or(argument, |(_, rest)| rest);
        module == Module::Http && rest.trim_end_matches('/').contains('/')
    }
}

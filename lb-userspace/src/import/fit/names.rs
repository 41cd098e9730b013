//! Names that a service or backend may have.

use std::collections::HashSet;

use super::Fitted;
use crate::{
    desired::Protocol,
    import::{notes::Notes, place::clip},
};

/// Of shunt, in bytes.
const LONGEST: usize = 128;

pub(super) fn make_unique(services: &mut [Fitted], notes: &mut Notes) {
    let mut taken = HashSet::new();
    for service in services {
        let draft = &mut service.draft;
        let name = unique(&usable(&draft.name), draft.protocol, &taken);
        if name != draft.name {
            let why = format!("the service is called `{}`", clip(&name));
            notes.add(&draft.origin, why);
            draft.name.clone_from(&name);
        }
        taken.insert(name);
        let mut of_backends = HashSet::new();
        for backend in &mut draft.backends {
            let name = backend.name.take().map(|name| usable(&name));
            // The address is a name, too.
            backend.name = name.filter(|name| of_backends.insert(name.clone()));
        }
    }
}

/// Without what shunt refuses in a name.
fn usable(name: &str) -> String {
    let is_refused = |letter: char| letter == '/' || letter.is_whitespace() || letter.is_control();
    let mut usable = String::new();
    for letter in name.chars() {
        // Leaves room for a suffix.
        if usable.len() + letter.len_utf8() > LONGEST - 16 {
            break;
        }
        usable.push(if is_refused(letter) { '-' } else { letter });
    }
    if usable.is_empty() {
        "unnamed".to_owned()
    } else {
        usable
    }
}

fn unique(name: &str, protocol: Protocol, taken: &HashSet<String>) -> String {
    if !taken.contains(name) {
        return name.to_owned();
    }
    let with_protocol = format!("{name}-{}", protocol.name());
    let mut numbered = (2..).map(|number: u64| format!("{name}-{number}"));
    let is_free = |name: &String| !taken.contains(name);
    if is_free(&with_protocol) {
        return with_protocol;
    }
    // One of them is free, as `taken` has an end.
    numbered.find(is_free).unwrap_or(with_protocol)
}

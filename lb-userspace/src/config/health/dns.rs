//! Keys of `type = "dns"`.

use domain::base::{Name, Rtype};

use crate::{
    config::{field::Field, section::Section},
    desired::{Check, DnsCheck, Protocol},
};

/// Every server has something to say about the root, and it is short.
const RECORD: Rtype = Rtype::NS;

/// `protocol`: the service's.
pub(super) fn read(section: &mut Section, protocol: Protocol) -> Check {
    let name = section.optional("query").and_then(|field| name(&field));
    let record = section.optional("record").and_then(|field| record(&field));
    let must_resolve = section.optional("must_resolve");
    Check::Dns(DnsCheck {
        protocol,
        name: name.unwrap_or_else(Name::root_vec),
        record: record.unwrap_or(RECORD),
        must_resolve: must_resolve.and_then(|field| field.flag()).unwrap_or(false),
    })
}

fn name(field: &Field) -> Option<Name<Vec<u8>>> {
    let expected = r#"a domain name, such as "example.com""#;
    let name = field.text(expected)?.parse();
    if name.is_err() {
        field.unlike(expected);
    }
    name.ok()
}

fn record(field: &Field) -> Option<Rtype> {
    let expected = r#"a type of record, such as "A", "AAAA" or "NS""#;
    let record = field.text(expected)?.parse();
    if record.is_err() {
        field.unlike(expected);
    }
    record.ok()
}

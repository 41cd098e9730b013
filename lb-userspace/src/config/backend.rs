//! `[[service.backend]]`.

use std::{ops::RangeInclusive, time::Duration};

use super::{
    address, duration,
    report::{At, Place},
    section::Section,
    text,
};
use crate::{
    desired::{BackendSettings, HEAVIEST},
    health::passive,
};

const WEIGHT: u16 = 1;
const FAIL_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const ADDRESS: &str = r#"its address, such as "10.0.0.11:8001""#;

/// A backend and where its parts were written.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) settings: BackendSettings,
    /// Of its name, or of the address that is its name.
    pub(super) name: Place,
    pub(super) address: Place,
    pub(super) max_fails: Option<Place>,
}

/// One backend, if it has a usable address.
pub(super) fn read(mut section: Section) -> Option<Backend> {
    let name = section.optional("name");
    let name = name.and_then(|field| Some(field.at(text::name(&field)?)));
    let weight = section.optional("weight");
    let weight = weight.and_then(|field| field.whole(0..=HEAVIEST));
    let backup = section.optional("backup");
    let backup = backup.and_then(|field| field.flag());
    let max_conns = section.optional("max_conns");
    let max_conns = max_conns.and_then(|field| field.whole(0..=u32::MAX));
    let none = passive::Limits::default();
    let max_fails = section.optional("max_fails").map(|field| {
        let fails = field.whole(0..=u32::MAX);
        field.at(fails.unwrap_or(none.max_fails))
    });
    let fail_timeout = duration::read(
        &mut section,
        "fail_timeout",
        none.fail_timeout,
        FAIL_TIMEOUTS,
    );
    let check_address = section.optional("check_address");
    let check_address = check_address.and_then(|field| address::check(&field));
    let field = section.required("address", ADDRESS);
    section.finish();

    let address = field?;
    let address = address.at(address::backend(&address)?);
    let name = name.unwrap_or_else(|| At {
        value: address.value.to_string(),
        place: address.place.clone(),
    });
    Some(Backend {
        settings: BackendSettings {
            name: name.value,
            address: address.value,
            check_address,
            weight: weight.unwrap_or(WEIGHT),
            backup: backup.unwrap_or(false),
            max_conns: max_conns.unwrap_or(0),
            passive: passive::Limits {
                max_fails: max_fails.as_ref().map_or(none.max_fails, |at| at.value),
                fail_timeout,
            },
        },
        max_fails: max_fails.map(|at| at.place),
        name: name.place,
        address: address.place,
    })
}

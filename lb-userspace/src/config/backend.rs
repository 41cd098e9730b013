//! `[[service.backend]]`.

use super::{
    address::{self, Role},
    report::At,
    section::Section,
    text,
};
use crate::desired::BackendSettings;

const WEIGHT: u16 = 1;
const HEAVIEST: u16 = 256;
const ADDRESS: &str = r#"its address and port, such as "10.0.0.11:8001""#;

/// One backend, at the place of its address; `None` if it has no usable address.
pub(super) fn read(mut section: Section) -> Option<At<BackendSettings>> {
    let name = section.optional("name");
    let name = name.and_then(|field| text::name(&field));
    let weight = section.optional("weight");
    let weight = weight.and_then(|field| field.whole(0..=HEAVIEST));
    let backup = section.optional("backup");
    let backup = backup.and_then(|field| field.flag());
    let field = section.required("address", ADDRESS);
    section.finish();

    let field = field?;
    let address = address::endpoint(&field, Role::Backend)?;
    Some(field.at(BackendSettings {
        name: name.unwrap_or_else(|| address.to_string()),
        address,
        weight: weight.unwrap_or(WEIGHT),
        backup: backup.unwrap_or(false),
    }))
}

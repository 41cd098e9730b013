//! Keys of `type = "grpc"`.

use super::{keys, tls};
use crate::{
    config::{report::Mistake, section::Section},
    desired::{Check, GrpcCheck},
};

pub(super) fn read(section: &mut Section) -> Check {
    let service = section.optional("service");
    let service =
        service.and_then(|field| field.text("the name of a gRPC service").map(str::to_owned));
    let is_encrypted = section.optional("tls").and_then(|field| field.flag());
    let tls = if is_encrypted == Some(true) {
        tls::read(section)
    } else {
        for &key in keys::OF_TLS {
            if let Some(field) = section.optional(key) {
                let expected = "no such key without tls = true";
                let help = "remove the key, or write tls = true";
                field.wrong(Mistake::new(field.found(), expected).help(help));
            }
        }
        None
    };
    Check::Grpc(GrpcCheck {
        service: service.unwrap_or_default(),
        tls,
    })
}

//! Whom a check believes: `sni`, `ca_file`, `insecure`.

use std::fs;

use tokio_rustls::rustls::pki_types::DnsName;

use crate::{
    config::{field::Field, report::Mistake, section::Section, text},
    desired::Tls,
    trust::{Distrust, Trust},
};

/// `None` where something is wrong.
pub(super) fn read(section: &mut Section) -> Option<Tls> {
    let name = section.optional("sni");
    let file = section.optional("ca_file");
    let insecure = section.optional("insecure");
    let name = match name {
        None => None,
        Some(field) => Some(server_name(&field)?),
    };
    let is_blind = insecure.as_ref().and_then(Field::flag).unwrap_or(false);
    let trust = match (file, insecure) {
        (Some(_), Some(insecure)) if is_blind => {
            let help = "remove one of the two";
            let mistake = Mistake::new("true", "no such key next to `ca_file`").help(help);
            insecure.wrong(mistake);
            return None;
        }
        (Some(file), _) => authorities(&file)?,
        (None, _) if is_blind => Trust::everything(),
        (None, _) => system(section)?,
    };
    Some(Tls { name, trust })
}

fn server_name(field: &Field) -> Option<String> {
    let expected = r#"a server's name, such as "app.example""#;
    let name = field.text(expected)?;
    if DnsName::try_from(name).is_err() {
        field.unlike(expected);
        return None;
    }
    Some(name.to_owned())
}

fn authorities(field: &Field) -> Option<Trust> {
    let expected = "a file with CA certificates in PEM";
    let path = text::file(field, expected)?;
    let refuse = |why: String| field.wrong(Mistake::new(field.found(), expected).help(why));
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) => {
            refuse(format!("it cannot be read: {error}"));
            return None;
        }
    };
    match Trust::pem(&text) {
        Ok(trust) => Some(trust),
        Err(error) => {
            refuse(error.to_string());
            None
        }
    }
}

fn system(section: &Section) -> Option<Trust> {
    match Trust::system() {
        Ok(trust) => Some(trust),
        Err(error) => {
            let help = "install them (`ca-certificates`), name a file, or write insecure = true";
            let mistake = Mistake::new(Distrust::to_string(&error), "`ca_file`").help(help);
            section.report().add(section.place(), mistake);
            None
        }
    }
}

//! Keys of `type = "http"` and `"https"`.

use hyper::http::{
    HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use crate::{
    config::{
        field::{Field, quote},
        report::Mistake,
        section::Section,
    },
    desired::{Check, HttpCheck, Tls},
    statuses::{NotStatuses, Statuses},
};

const PATH: &str = "/";

/// `tls`: how it is encrypted, if it is.
pub(super) fn read(section: &mut Section, tls: Option<Tls>) -> Check {
    let path = section.optional("path").and_then(|field| path(&field));
    let statuses = section
        .optional("status")
        .and_then(|field| statuses(&field));
    let headers = section
        .optional("headers")
        .and_then(|field| headers(&field));
    Check::Http(HttpCheck {
        path: path.unwrap_or_else(|| PATH.to_owned()),
        host: section.optional("host").and_then(|field| host(&field)),
        headers: headers.unwrap_or_default(),
        statuses: statuses.unwrap_or_default(),
        body: section.optional("body").and_then(|field| body(&field)),
        tls,
    })
}

fn statuses(field: &Field) -> Option<Statuses> {
    let expected = r#"statuses and ranges of them, such as "200-299,401""#;
    let statuses = field.text(expected)?.parse();
    if let Err(error) = &statuses {
        let help = NotStatuses::to_string(error);
        field.wrong(Mistake::new(field.found(), expected).help(help));
    }
    statuses.ok()
}

fn body(field: &Field) -> Option<String> {
    let expected = "what the body has to contain, at least one byte";
    let text = field.text(expected)?;
    if text.is_empty() {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

fn headers(field: &Field) -> Option<Vec<(String, String)>> {
    let expected = r#"a table of headers, such as { Authorization = "Bearer secret" }"#;
    let entries = field.entries(expected)?;
    let headers = entries.iter().map(|(name, value)| header(name, value));
    headers.collect()
}

fn header(name: &str, value: &Field) -> Option<(String, String)> {
    let expected = "a header that a request may have";
    let refuse = |help: &str| value.wrong(Mistake::new(quote(name), expected).help(help));
    let Ok(parsed) = HeaderName::try_from(name) else {
        refuse("a name has letters, digits and dashes");
        return None;
    };
    if parsed == HOST {
        refuse("the key `host` says what this header does");
        return None;
    }
    if [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&parsed) {
        refuse("shunt sets it itself");
        return None;
    }
    let text = value.text("a header's value")?;
    if HeaderValue::try_from(text).is_err() {
        value.unlike("a header's value, without control characters");
        return None;
    }
    Some((name.to_owned(), text.to_owned()))
}

fn path(field: &Field) -> Option<String> {
    let expected = r#"a path as in a URL, such as "/health""#;
    let text = field.text(expected)?;
    let fits = text.starts_with('/')
        && !text.contains('#')
        && text.parse::<hyper::http::uri::PathAndQuery>().is_ok();
    if !fits {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

/// What the `Host` header says.
fn host(field: &Field) -> Option<String> {
    let expected = r#"a host name, with a port or without, such as "app.example""#;
    let text = field.text(expected)?;
    if text.contains('@') || text.parse::<hyper::http::uri::Authority>().is_err() {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

//! Why a text is no TOML.

use super::{
    error::ConfigErrors,
    field,
    report::{Mistake, Place, Report},
};

/// A file's bytes as text.
///
/// # Errors
/// The first byte that is not UTF-8, which TOML requires.
pub(super) fn decode<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, ConfigErrors> {
    let error = match str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let (valid, rest) = bytes.split_at(error.valid_up_to());
    let valid = String::from_utf8_lossy(valid);
    let report = Report::new(file, &valid);
    let found = match rest.first() {
        Some(byte) => format!("byte 0x{byte:02x}"),
        None => "the end of the file".to_owned(),
    };
    report.add(
        &anywhere(valid.len()),
        Mistake::new(found, "UTF-8 text").help("save the file as UTF-8"),
    );
    Err(report.into_errors())
}

/// The parser's error, in the words of all others.
pub(super) fn explain(report: Report, error: &toml::de::Error) -> ConfigErrors {
    let text = report.text();
    let span = error.span().unwrap_or(text.len()..text.len());
    let (problem, expected) = parts(error.message());
    let found = format!("{} ({problem})", token(text, span.start, span.end));
    report.add(&anywhere(span.start), Mistake::new(found, expected));
    report.into_errors()
}

/// The parser says `problem[, expected this]`.
fn parts(message: &str) -> (&str, &str) {
    /// Problems with what the parser took for some kind of value by its first letter.
    const VALUES: &[&str] = &[
        "string values",
        "invalid boolean",
        "invalid date",
        "invalid float",
        "invalid integer",
    ];
    let (problem, expected) = match message.split_once(", expected ") {
        Some((problem, "nothing")) => (problem, "valid TOML"),
        Some(parts) => parts,
        None if message == "duplicate key" => ("again", "each key and table once"),
        None => (message, "valid TOML"),
    };
    if VALUES.iter().any(|start| problem.starts_with(start)) {
        return (problem, "text in quotes, a number, true or false");
    }
    (problem, expected)
}

/// What stands at a place, as far as it fits into a message.
fn token(text: &str, start: usize, end: usize) -> String {
    let rest = text.get(start..).unwrap_or_default();
    let Some(first) = rest.chars().next() else {
        return "the end of the file".to_owned();
    };
    if first == '\n' || first == '\r' {
        return "the end of the line".to_owned();
    }
    let token = text.get(start..end).unwrap_or_default();
    let token = token.lines().next().unwrap_or_default();
    if token.is_empty() {
        format!("`{}`", first.escape_debug())
    } else {
        format!("`{}`", field::clip(token))
    }
}

fn anywhere(offset: usize) -> Place {
    Place {
        offset,
        key: String::new(),
    }
}

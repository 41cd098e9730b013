//! Texts with rules of their own: names, interfaces, paths.

use std::path::PathBuf;

use super::{field::Field, report::Mistake};

/// Longest name of a service or backend, in bytes.
const LONGEST_NAME: usize = 128;
/// Longest name of an interface, in bytes: `IFNAMSIZ` of linux/if.h without its terminator.
const LONGEST_INTERFACE: usize = 15;
/// Longest path of a socket, in bytes: `sun_path` of unix(7) without its terminator.
const LONGEST_SOCKET: usize = 107;

/// The name of a service or backend: it has to be typed in a shell as SERVICE/BACKEND.
pub(super) fn name(field: &Field) -> Option<String> {
    let expected = format!("a name of 1 to {LONGEST_NAME} bytes without blanks and `/`");
    let text = field.text(&expected)?;
    let fits = (1..=LONGEST_NAME).contains(&text.len()) && !text.contains(is_separator);
    if !fits {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

/// The name of a network interface, by the rules of the kernel (`dev_valid_name` in net/core/dev.c).
pub(super) fn interface(field: &Field) -> Option<String> {
    let expected =
        format!("an interface name of 1 to {LONGEST_INTERFACE} bytes without blanks, `/` and `:`");
    let text = field.text(&expected)?;
    let fits = (1..=LONGEST_INTERFACE).contains(&text.len())
        && !text.contains(is_separator)
        && !text.contains(':')
        && ![".", ".."].contains(&text);
    if !fits {
        field.unlike(expected);
        return None;
    }
    Some(text.to_owned())
}

pub(super) fn socket(field: &Field) -> Option<PathBuf> {
    let expected = format!("an absolute path of at most {LONGEST_SOCKET} bytes");
    path(field, LONGEST_SOCKET, &expected)
}

pub(super) fn directory(field: &Field) -> Option<PathBuf> {
    path(field, usize::MAX, "an absolute path")
}

/// `expected`: what it has to be a file of.
pub(super) fn file(field: &Field, expected: &str) -> Option<PathBuf> {
    let text = field.text(expected)?;
    if !text.starts_with('/') || text.contains('\0') {
        let help = "write its absolute path";
        field.wrong(Mistake::new(field.found(), expected).help(help));
        return None;
    }
    Some(PathBuf::from(text))
}

fn path(field: &Field, longest: usize, expected: &str) -> Option<PathBuf> {
    let text = field.text(expected)?;
    if !text.starts_with('/') || text.len() > longest || text.contains('\0') {
        field.unlike(expected);
        return None;
    }
    Some(PathBuf::from(text))
}

fn is_separator(character: char) -> bool {
    character == '/' || character.is_whitespace() || character.is_control()
}

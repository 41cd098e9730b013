//! The words of a line, by the rules of HAProxy.

use std::{iter::Peekable, str::Chars};

/// Up to a comment.
///
/// # Errors
/// What was found, and what was expected.
pub(super) fn split(line: &str) -> Result<Vec<String>, (&'static str, &'static str)> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut text = line.chars().peekable();
    while let Some(letter) = text.next() {
        match letter {
            '#' => break,
            ' ' | '\t' | '\r' => words.extend(word.take()),
            '"' | '\'' => quoted(letter, &mut text, word.get_or_insert_default())?,
            '\\' => escaped(&mut text, word.get_or_insert_default()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

/// To behind the mark that ends it. Only double quotes have escapes.
fn quoted(
    mark: char,
    text: &mut Peekable<Chars>,
    word: &mut String,
) -> Result<(), (&'static str, &'static str)> {
    while let Some(letter) = text.next() {
        match letter {
            '\\' if mark == '"' => escaped(text, word),
            _ if letter == mark => return Ok(()),
            _ => word.push(letter),
        }
    }
    let expected = if mark == '"' { "`\"`" } else { "`'`" };
    Err(("a quote without an end", expected))
}

/// What stands behind a backslash, which stays where it has no meaning to HAProxy.
fn escaped(text: &mut Peekable<Chars>, word: &mut String) {
    match text.next() {
        Some(letter @ (' ' | '#' | '\\' | '"' | '\'')) => word.push(letter),
        Some('n') => word.push('\n'),
        Some('r') => word.push('\r'),
        Some('t') => word.push('\t'),
        Some('x') => {
            let digits: String = text.clone().take(2).collect();
            match u8::from_str_radix(&digits, 16) {
                Ok(byte) if digits.len() == 2 && byte.is_ascii() => {
                    text.next();
                    text.next();
                    word.push(char::from(byte));
                }
                _ => word.push_str("\\x"),
            }
        }
        Some(letter) => word.extend(['\\', letter]),
        None => word.push('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_haproxy_splits_them() {
        let rows: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  # comment", &[]),
            ("\tserver a 10.0.0.1:80#x", &["server", "a", "10.0.0.1:80"]),
            (r#"a "b # c" 'd "\n'"#, &["a", "b # c", r#"d "\n"#]),
            (r"a\ b \# \q \x41 \xzz", &["a b", "#", r"\q", "A", r"\xzz"]),
            (r#"x"y"'z' """#, &["xyz", ""]),
            (r"HTTP/1.1\r\nHost:\ www", &["HTTP/1.1\r\nHost: www"]),
            ("a\\", &["a\\"]),
            ("a b\r", &["a", "b"]),
        ];
        for (text, words) in rows {
            let words = words.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(split(text), Ok(words), "{text}");
        }
        assert_eq!(split("a 'b"), Err(("a quote without an end", "`'`")));
    }
}

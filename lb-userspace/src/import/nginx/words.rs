//! The words of a configuration, by the rules of nginx (`ngx_conf_read_token`).

use std::{iter::Peekable, str::Chars};

use crate::import::{
    error::{SyntaxError, quote},
    place::{Place, Source},
};

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
    End,
}

pub(super) struct Words<'a> {
    source: &'a Source,
    text: Peekable<Chars<'a>>,
    line: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self {
            source,
            text: source.text.chars().peekable(),
            line: 1,
        }
    }

    /// Of what is read next.
    pub(super) fn place(&self) -> Place {
        self.source.place(self.line)
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(Token, Place), SyntaxError> {
        self.skip_blanks();
        let place = self.place();
        let Some(&first) = self.text.peek() else {
            return Ok((Token::End, place));
        };
        let token = match first {
            ';' => Token::Semicolon,
            '{' => Token::Open,
            '}' => Token::Close,
            '"' | '\'' => {
                self.step();
                return Ok((Token::Word(self.quoted(first, &place)?), place));
            }
            _ => return Ok((Token::Word(self.bare(&place)?), place)),
        };
        self.step();
        Ok((token, place))
    }

    /// Passes over the Lua code of a block, to behind the brace that ends it.
    pub(super) fn skip_lua(&mut self) -> Result<(), SyntaxError> {
        let place = self.place();
        let mut depth = 1;
        let mut last = ' ';
        while let Some(letter) = self.step() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                '"' | '\'' => {
                    self.quoted_text(letter, &place)?;
                }
                '-' if last == '-' => self.skip_line(),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
            last = letter;
        }
        Err(SyntaxError::new(place, "Lua code without an end", "`}`"))
    }

    fn step(&mut self) -> Option<char> {
        let letter = self.text.next()?;
        self.line += usize::from(letter == '\n');
        Some(letter)
    }

    fn skip_line(&mut self) {
        while self.text.peek().is_some_and(|&letter| letter != '\n') {
            self.step();
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(&letter) = self.text.peek() {
            match letter {
                '#' => self.skip_line(),
                _ if is_blank(letter) => {
                    self.step();
                }
                _ => return,
            }
        }
    }

    /// A word in quotes, which something has to part from the next one.
    fn quoted(&mut self, mark: char, place: &Place) -> Result<String, SyntaxError> {
        let word = self.quoted_text(mark, place)?;
        match self.text.peek() {
            Some(&next) if !is_blank(next) && !";{)".contains(next) => Err(SyntaxError::new(
                self.place(),
                format!("{} after the quote", quote(&next.to_string())),
                "a blank, `;` or `{`",
            )),
            _ => Ok(word),
        }
    }

    /// To behind the mark that ends it.
    fn quoted_text(&mut self, mark: char, place: &Place) -> Result<String, SyntaxError> {
        let mut word = String::new();
        while let Some(letter) = self.step() {
            match letter {
                '\\' => self.escaped(&mut word),
                _ if letter == mark => return Ok(word),
                _ => word.push(letter),
            }
        }
        let found = "a quote without an end";
        Err(SyntaxError::new(place.clone(), found, format!("`{mark}`")))
    }

    fn bare(&mut self, place: &Place) -> Result<String, SyntaxError> {
        let mut word = String::new();
        while let Some(&letter) = self.text.peek() {
            let begins_block = letter == '{' && !word.ends_with('$');
            if is_blank(letter) || letter == ';' || begins_block {
                break;
            }
            self.step();
            match letter {
                '\\' if self.text.peek().is_none() => {
                    let found = "`\\` at the end of the file";
                    return Err(SyntaxError::new(place.clone(), found, "`;` or `{`"));
                }
                '\\' => self.escaped(&mut word),
                _ => word.push(letter),
            }
        }
        Ok(word)
    }

    /// What stands behind a backslash, which stays where it has no meaning to nginx.
    fn escaped(&mut self, word: &mut String) {
        match self.step() {
            Some(letter @ ('"' | '\'' | '\\')) => word.push(letter),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(letter) => word.extend(['\\', letter]),
            None => {}
        }
    }
}

const fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<(usize, Token)>, String> {
        let source = Source::new("f", text.as_bytes());
        let mut words = Words::new(&source);
        let mut all = Vec::new();
        loop {
            match words.next() {
                Ok((Token::End, _)) => return Ok(all),
                Ok((token, place)) => all.push((place.line, token)),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn word(text: &str) -> Token {
        Token::Word(text.to_owned())
    }

    #[test]
    fn as_nginx_splits_them() {
        let rows: &[(&str, &[(usize, Token)])] = &[
            ("", &[]),
            (
                "a b;",
                &[(1, word("a")), (1, word("b")), (1, Token::Semicolon)],
            ),
            ("a#b # c\nd", &[(1, word("a#b")), (2, word("d"))]),
            (
                "a{}",
                &[(1, word("a")), (1, Token::Open), (1, Token::Close)],
            ),
            ("${a}b c}", &[(1, word("${a}b")), (1, word("c}"))]),
            (r#""a;\"{" 'b"'"#, &[(1, word("a;\"{")), (1, word("b\""))]),
            (
                r"a\ b \.php\t",
                &[(1, word(r"a\ b")), (1, word("\\.php\t"))],
            ),
            ("a\r\n\r\nb", &[(1, word("a")), (3, word("b"))]),
            ("\"a\nb\" c", &[(1, word("a\nb")), (2, word("c"))]),
        ];
        for (text, tokens) in rows {
            assert_eq!(words(text).as_deref(), Ok(*tokens), "{text:?}");
        }
    }

    #[test]
    fn what_nginx_refuses_has_a_place() {
        let rows = [
            ("a\n\"b", "f:2: found a quote without an end, expected `\"`"),
            (
                "'a'b",
                "f:1: found `b` after the quote, expected a blank, `;` or `{`",
            ),
            (
                "a\\",
                "f:1: found `\\` at the end of the file, expected `;` or `{`",
            ),
        ];
        for (text, error) in rows {
            assert_eq!(words(text), Err(error.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn lua_ends_with_its_own_brace() {
        let source = Source::new("f", b" a = {'}'} -- }\n } b");
        let mut words = Words::new(&source);
        assert_eq!(words.skip_lua(), Ok(()));
        assert_eq!(words.next().map(|(token, _)| token), Ok(word("b")));
    }
}

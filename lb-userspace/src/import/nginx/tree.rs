//! Directives in blocks, with the files that they include.

use super::words::{Token, Words};
use crate::import::{
    error::{SyntaxError, quote},
    files::Files,
    notes::Notes,
    place::{Excerpt, Place, Source},
};

/// Of blocks and includes in each other, beyond what any configuration needs.
const DEEPEST: usize = 64;
/// Files and includes that name none, so that files that include each other come to an end.
const MOST_INCLUDES: usize = 1000;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) place: Place,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    pub(super) fn excerpt(&self) -> Excerpt {
        let mut text = self.name.clone();
        for argument in &self.arguments {
            text.push(' ');
            text.push_str(argument);
        }
        Excerpt::new(&self.place, &text)
    }

    /// One of its arguments.
    pub(super) fn part(&self, text: &str) -> Excerpt {
        Excerpt::new(&self.place, text)
    }

    /// The first argument, or nothing.
    pub(super) fn argument(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// The directives in its block.
    pub(super) fn inner(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// All directives of a name.
pub(super) fn named<'a>(
    directives: &'a [Directive],
    name: &'a str,
) -> impl Iterator<Item = &'a Directive> {
    directives
        .iter()
        .filter(move |directive| directive.name == name)
}

pub(super) fn parse(
    source: &Source,
    files: &dyn Files,
    notes: &mut Notes,
) -> Result<Vec<Directive>, SyntaxError> {
    let mut reader = Reader {
        files,
        notes,
        includes: 0,
    };
    reader.file(source, 0)
}

struct Reader<'a> {
    files: &'a dyn Files,
    notes: &'a mut Notes,
    includes: usize,
}

impl Reader<'_> {
    fn file(&mut self, source: &Source, depth: usize) -> Result<Vec<Directive>, SyntaxError> {
        let mut words = Words::new(source);
        let (directives, end) = self.directives(&mut words, depth)?;
        match end {
            (Token::Close, place) => Err(SyntaxError::new(place, "`}`", "a directive")),
            _ => Ok(directives),
        }
    }

    /// All up to the end of the block or file, and that.
    fn directives(
        &mut self,
        words: &mut Words,
        depth: usize,
    ) -> Result<(Vec<Directive>, (Token, Place)), SyntaxError> {
        let mut directives = Vec::new();
        loop {
            let (token, place) = words.next()?;
            let name = match token {
                Token::Word(name) => name,
                Token::Close | Token::End => return Ok((directives, (token, place))),
                Token::Semicolon => return Err(SyntaxError::new(place, "`;`", "a directive")),
                Token::Open => return Err(SyntaxError::new(place, "`{`", "a directive")),
            };
            let directive = self.directive(name, place, words, depth)?;
            let includes = directive.name == "include" && directive.block.is_none();
            if includes {
                self.include(&directive, depth, &mut directives)?;
            } else {
                directives.push(directive);
            }
        }
    }

    fn directive(
        &mut self,
        name: String,
        place: Place,
        words: &mut Words,
        depth: usize,
    ) -> Result<Directive, SyntaxError> {
        let mut arguments = Vec::new();
        let block = loop {
            match words.next()? {
                (Token::Word(word), _) => arguments.push(word),
                (Token::Semicolon, _) => break None,
                (Token::Open, _) => break Some(self.block(&name, &place, words, depth)?),
                (token, at) => {
                    let found = match token {
                        Token::Close => format!("`}}` after {}", quote(&name)),
                        _ => format!("the end of the file after {}", quote(&name)),
                    };
                    return Err(SyntaxError::new(at, found, "`;` or `{`"));
                }
            }
        };
        Ok(Directive {
            name,
            arguments,
            place,
            block,
        })
    }

    fn block(
        &mut self,
        name: &str,
        place: &Place,
        words: &mut Words,
        depth: usize,
    ) -> Result<Vec<Directive>, SyntaxError> {
        if name.ends_with("_by_lua_block") {
            words.skip_lua()?;
            return Ok(Vec::new());
        }
        let (block, end) = self.directives(words, deeper(depth, place)?)?;
        if end.0 == Token::Close {
            return Ok(block);
        }
        let found = format!(
            "the end of the file in {} of line {}",
            quote(name),
            place.line
        );
        Err(SyntaxError::new(end.1, found, "`}`"))
    }

    /// Puts what files say in the place of the directive.
    fn include(
        &mut self,
        directive: &Directive,
        depth: usize,
        directives: &mut Vec<Directive>,
    ) -> Result<(), SyntaxError> {
        let depth = deeper(depth, &directive.place)?;
        let sources = match self.files.matching(directive.argument()) {
            Ok(sources) => sources,
            Err(why) => {
                self.notes.add(&directive.excerpt(), why);
                Vec::new()
            }
        };
        self.includes += sources.len().max(1);
        if self.includes > MOST_INCLUDES {
            let found = format!("more than {MOST_INCLUDES} included files");
            let expected = "files that do not include each other";
            return Err(SyntaxError::new(directive.place.clone(), found, expected));
        }
        for source in sources {
            directives.extend(self.file(&source, depth)?);
        }
        Ok(())
    }
}

fn deeper(depth: usize, place: &Place) -> Result<usize, SyntaxError> {
    if depth == DEEPEST {
        let found = "blocks and includes in each other";
        let expected = format!("at most {DEEPEST}");
        return Err(SyntaxError::new(place.clone(), found, expected));
    }
    Ok(depth + 1)
}

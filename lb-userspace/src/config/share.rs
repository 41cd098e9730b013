//! Shares, which carry their sign: `"50%"`.

use super::{field::Field, report::Mistake, section::Section};

const EXPECTED: &str = r#"a share from 0% to 100%, such as "50%""#;

/// Percent; 0 where the key is missing.
pub(super) fn read(section: &mut Section, key: &'static str) -> u8 {
    let share = section.optional(key).and_then(|field| parse(&field));
    share.unwrap_or(0)
}

fn parse(field: &Field) -> Option<u8> {
    if field.is_number() {
        let found = format!("{}, a number without a percent sign", field.found());
        let help = format!(r#"write "{}%" if percent are meant"#, field.found());
        field.wrong(Mistake::new(found, EXPECTED).help(help));
        return None;
    }
    let number = field.text(EXPECTED)?.strip_suffix('%');
    let percent = number.and_then(|number| number.trim().parse().ok());
    let percent = percent.filter(|percent| *percent <= 100);
    if percent.is_none() {
        field.unlike(EXPECTED);
    }
    percent
}

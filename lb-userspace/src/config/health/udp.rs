//! Keys of `type = "udp"`.

use crate::{
    config::{field::Field, report::Mistake, section::Section},
    desired::{Check, UdpCheck},
};

/// Larger datagrams would be fragmented on the way.
const LONGEST: usize = 1200;

pub(super) fn read(section: &mut Section) -> Check {
    Check::Udp(UdpCheck {
        send: bytes(section, "send", "send_binary").unwrap_or_default(),
        expect: bytes(section, "expect", "expect_binary"),
    })
}

/// What stands under one of two keys: as it is, or in hexadecimal.
fn bytes(section: &mut Section, plain: &'static str, binary: &'static str) -> Option<Vec<u8>> {
    let (text, digits) = (section.optional(plain), section.optional(binary));
    if let (Some(_), Some(digits)) = (&text, &digits) {
        let expected = format!("no such key next to `{plain}`");
        let mistake = Mistake::new(digits.found(), expected).help("remove one of the two");
        digits.wrong(mistake);
        return None;
    }
    let (field, bytes) = match (text, digits) {
        (Some(field), _) => {
            let bytes = field.text("what a datagram has")?.as_bytes().to_vec();
            (field, bytes)
        }
        (None, Some(field)) => {
            let bytes = hexadecimal(&field)?;
            (field, bytes)
        }
        (None, None) => return None,
    };
    if bytes.len() > LONGEST {
        field.unlike(format!("at most {LONGEST} bytes"));
        return None;
    }
    Some(bytes)
}

fn hexadecimal(field: &Field) -> Option<Vec<u8>> {
    let expected = r#"pairs of hexadecimal digits, such as "1b00ff""#;
    let digits = field.text(expected)?;
    let bytes = hex::decode(digits);
    if let Err(error) = &bytes {
        field
            .wrong(Mistake::new(field.found(), expected).help(hex::FromHexError::to_string(error)));
    }
    bytes.ok()
}

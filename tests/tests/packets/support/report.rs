//! Two frames side by side.

use std::fmt::Write as _;

const WIDTH: usize = 16;

/// Hex dumps of both; `^^` below the bytes that differ.
pub fn difference(expected: &[u8], found: &[u8]) -> String {
    let mut text = format!(
        "  expected {} bytes, found {}\n",
        expected.len(),
        found.len()
    );
    for start in (0..expected.len().max(found.len())).step_by(WIDTH) {
        let (wanted, got) = (line(expected, start), line(found, start));
        let _ = writeln!(text, "  {start:04x} expected {}", hex(wanted));
        if wanted == got {
            continue;
        }
        let _ = writeln!(text, "       found    {}", hex(got));
        let marks: Vec<_> = (0..WIDTH)
            .map(|i| {
                if wanted.get(i) == got.get(i) {
                    "  "
                } else {
                    "^^"
                }
            })
            .collect();
        let _ = writeln!(text, "                {}", marks.join(" ").trim_end());
    }
    text
}

fn line(bytes: &[u8], start: usize) -> &[u8] {
    let end = bytes.len().min(start + WIDTH);
    bytes.get(start..end).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

#[test]
fn the_bytes_that_differ_are_marked() {
    let mut found: Vec<u8> = (0..20).collect();
    found[17] = 0xff;
    let text = difference(&(0..19).collect::<Vec<u8>>(), &found);
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            "  expected 19 bytes, found 20",
            "  0000 expected 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f",
            "  0010 expected 10 11 12",
            "       found    10 ff 12 13",
            "                   ^^    ^^",
        ]
    );
}

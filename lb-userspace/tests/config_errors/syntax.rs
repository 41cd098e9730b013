//! Texts that are no TOML.

use crate::{BASE, says};

#[test]
fn each_says_where_and_what() {
    says(&[
        (
            "an unquoted address",
            &[(r#""192.0.2.10:80""#, "192.0.2.10:80")],
            "shunt.toml:6:16: found `.2.10:80` (invalid float), expected text in quotes, a number, true or false",
        ),
        (
            "an unquoted word",
            &[(r#"["eth0"]"#, "[eth0]")],
            "shunt.toml:2:15: found `eth0` (string values must be quoted), expected text in quotes, a number, true or false",
        ),
        (
            "a string left open",
            &[(r#""dns""#, r#""dns"#)],
            r#"shunt.toml:22:12: found the end of the line (invalid basic string), expected `"`"#,
        ),
        (
            "a key twice",
            &[(
                "weight = 3",
                r"weight = 3
weight = 4",
            )],
            "shunt.toml:16:1: found `weight` (again), expected each key and table once",
        ),
        (
            "a table twice",
            &[(
                r#"[[service]]
name = "dns""#,
                r#"[daemon]
[[service]]
name = "dns""#,
            )],
            "shunt.toml:21:2: found `daemon` (again), expected each key and table once",
        ),
        (
            "a check's duration without quotes",
            &[(r#"path = "/health""#, "interval = 2s")],
            "shunt.toml:10:12: found `2s` (string values must be quoted), expected text in quotes, a number, true or false",
        ),
        (
            "a list left open",
            &[(r#"["eth0"]"#, r#"["eth0""#)],
            "shunt.toml:4:1: found `[` (missing comma between array elements), expected `,`",
        ),
        (
            "nothing but a name",
            &[(BASE, "shunt")],
            "shunt.toml:1:6: found the end of the file (key with no value), expected `=`",
        ),
    ]);
}

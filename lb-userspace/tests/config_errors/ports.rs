//! Mistakes in which ports a service listens on, and which ones its backends have.

use lb_userspace::config;

use crate::{BASE, says};

const DNS: &str = r#"["192.0.2.53:53"]"#;
const PROTOCOL: &str = r#"protocol = "udp""#;
const BACKEND: &str = r#"address = "10.0.0.53:53""#;

#[test]
fn each_says_where_and_what() {
    let expected = r#"expected an IP address with a port, a range of ports or neither, such as "192.0.2.10:80", "[2001:db8::10]:8000-8099" or "192.0.2.10""#;
    let unreadable = |description, listen: &str, help: &str| {
        let message =
            format!("shunt.toml:23:11: service[dns].listen[#1]: found {listen}, {expected}{help}");
        says(&[(description, &[(DNS, &format!("[{listen}]"))], &message)]);
    };
    unreadable(
        "a range that ends before it begins",
        r#""192.0.2.53:5399-5300""#,
        "\n  help: write the lower port first",
    );
    unreadable(
        "a range beyond the last port",
        r#""192.0.2.53:65530-65540""#,
        "\n  help: a port is at most 65535",
    );
    unreadable(
        "a name without a port",
        r#""app.example""#,
        "\n  help: names are not resolved: write the IP address",
    );
    unreadable("a range without an end", r#""192.0.2.53:5300-""#, "");
    unreadable("no port behind the colon", r#""192.0.2.53:""#, "");
    says(&[
        (
            "a range that begins with 0",
            &[(DNS, r#"["192.0.2.53:0-53"]"#)],
            r#"shunt.toml:23:11: service[dns].listen[#1]: found "192.0.2.53:0-53", port 0, expected a port from 1 to 65535"#,
        ),
        (
            "every port of every address",
            &[(DNS, r#"["[::]"]"#)],
            r"shunt.toml:23:11: service[dns].listen[#1]: found [::], no particular address, expected one address
  help: list each address that clients use",
        ),
        (
            "two ranges that share a port",
            &[(DNS, r#"["192.0.2.53:50-53", "192.0.2.53:53-60"]"#)],
            r"shunt.toml:23:31: service[dns].listen[#2]: found 192.0.2.53:53-60, where service[dns] listens already, expected ports of its own
  help: 192.0.2.53:50-53 is on line 23",
        ),
        (
            "a range inside of another service's",
            &[
                (r#""192.0.2.10:80""#, r#""192.0.2.10:80-99""#),
                (DNS, r#"["192.0.2.10:85-86"]"#),
                (PROTOCOL, ""),
            ],
            r"shunt.toml:23:11: service[dns].listen[#1]: found 192.0.2.10:85-86, where service[web] listens already, expected ports of its own
  help: 192.0.2.10:80-99 is on line 6",
        ),
        (
            "a whole address twice",
            &[
                (r#""[2001:db8::10]:80""#, r#""[2001:db8::10]""#),
                (DNS, r#"["192.0.2.53:53", "[2001:db8::10]"]"#),
                (
                    PROTOCOL,
                    r#"backend = [{ address = "10.0.0.53:53" }, { address = "[2001:db8::53]:53" }]"#,
                ),
                (
                    r#"
[[service.backend]]
address = "10.0.0.53:53"
"#,
                    "",
                ),
            ],
            r"shunt.toml:23:28: service[dns].listen[#2]: found [2001:db8::10], where service[web] listens already, expected an address of its own
  help: [2001:db8::10] is on line 6",
        ),
        (
            "a backend with a range",
            &[(BACKEND, r#"address = "10.0.0.53:53-54""#)],
            r#"shunt.toml:27:11: service[dns].backend[10.0.0.53:53-54].address: found "10.0.0.53:53-54", expected an IP address with a port or without, such as "10.0.0.11:8001", "[2001:db8:1::11]:8001" or "10.0.0.11"
  help: a backend has one port; without any, packets keep the port that their client sent them to"#,
        ),
        (
            "an IPv6 backend without brackets",
            &[(BACKEND, r#"address = "2001:db8::53""#)],
            r#"shunt.toml:27:11: service[dns].backend[2001:db8::53].address: found "2001:db8::53", expected an IP address with a port or without, such as "10.0.0.11:8001", "[2001:db8:1::11]:8001" or "10.0.0.11"
  help: an IPv6 address stands in brackets, with its port behind them"#,
        ),
        (
            "a backend with a port where several are kept",
            &[
                (DNS, r#"["192.0.2.53:53-54"]"#),
                (
                    PROTOCOL,
                    r#"protocol = "udp"
forward = "ipip""#,
                ),
            ],
            r#"shunt.toml:28:11: service[dns].backend[10.0.0.53:53].address: found port 53, expected none, as `listen` has more than one
  help: forward = "ipip" does not change ports"#,
        ),
        (
            "a backend with a port of a whole address",
            &[
                (DNS, r#"["192.0.2.53"]"#),
                (BACKEND, r#"address = "192.0.2.53:5353""#),
            ],
            r"shunt.toml:27:11: service[dns].backend[192.0.2.53:5353].address: found 192.0.2.53:5353, where service[dns] listens, expected the address of a server
  help: it listens on 192.0.2.53 since line 23; one service cannot be the backend of another",
        ),
        (
            "a backend that would keep a listener's port",
            &[
                (DNS, r#"["192.0.2.53:70-90"]"#),
                (PROTOCOL, r#"health.type = "none""#),
                (BACKEND, r#"address = "192.0.2.10""#),
            ],
            r"shunt.toml:27:11: service[dns].backend[192.0.2.10].address: found 192.0.2.10, where service[web] listens, expected the address of a server
  help: it listens on 192.0.2.10:80 since line 6; one service cannot be the backend of another",
        ),
    ]);
}

#[test]
fn ports_of_another_precedence_or_protocol_are_no_mistake() {
    for listen in [
        r#"["192.0.2.10"]"#,
        r#"["192.0.2.10:1-80"]"#,
        r#"["192.0.2.10:80-99", "192.0.2.10:81", "192.0.2.10"]"#,
    ] {
        for protocol in ["tcp", "udp"] {
            let text = BASE
                .replace(DNS, listen)
                .replace(PROTOCOL, &format!("protocol = {protocol:?}"));
            assert_eq!(config::parse("", &text).map(|_| ()), Ok(()), "{listen}");
        }
    }
}

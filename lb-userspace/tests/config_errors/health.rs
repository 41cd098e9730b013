//! Mistakes in `[service.health]`.

use crate::says;

#[test]
fn each_says_where_and_what() {
    says(&[
        (
            "an unknown key of the check",
            &[(r#"path = "/health""#, r#"paht = "/health""#)],
            r"shunt.toml:10:1: service[web].health.paht: found an unknown key, expected one of address, body, down_interval, fall, fast_interval, flap_window, headers, host, initial, interval, path, port, rise, status, timeout, type
  help: did you mean `path`?",
        ),
        (
            "an unknown check",
            &[(r#"type = "http""#, r#"type = "htttp""#)],
            r#"shunt.toml:9:8: service[web].health.type: found "htttp", expected "tcp", "http", "https", "grpc", "dns", "udp" or "none"
  help: did you mean "http"?"#,
        ),
        (
            "a path with a tcp check",
            &[(r#"type = "http""#, r#"type = "tcp""#)],
            r#"shunt.toml:10:8: service[web].health.path: found "/health", expected no such key with type = "tcp"
  help: remove the key, or write type = "http" or "https""#,
        ),
        (
            "an interval with no check",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
health.interval = "1s""#,
            )],
            r#"shunt.toml:25:19: service[dns].health.interval: found "1s", expected no such key with type = "none", the default of a UDP service
  help: remove the key, or write type = "tcp", "http", "https", "grpc", "dns" or "udp""#,
        ),
        (
            "an unknown initial state",
            &[(r#"path = "/health""#, r#"initial = "ready""#)],
            r#"shunt.toml:10:11: service[web].health.initial: found "ready", expected "down" or "up""#,
        ),
        (
            "a status that is none",
            &[(r#"path = "/health""#, r#"status = "2xx""#)],
            r#"shunt.toml:10:10: service[web].health.status: found "2xx", expected statuses and ranges of them, such as "200-299,401"
  help: `2xx` is no status from 100 to 999, and no range of them"#,
        ),
        (
            "an empty body",
            &[(r#"path = "/health""#, r#"body = """#)],
            r#"shunt.toml:10:8: service[web].health.body: found "", expected what the body has to contain, at least one byte"#,
        ),
        (
            "a header that has a key of its own",
            &[(r#"path = "/health""#, r#"headers = { Host = "x" }"#)],
            r#"shunt.toml:10:20: service[web].health.headers.Host: found "Host", expected a header that a request may have
  help: the key `host` says what this header does"#,
        ),
        (
            "a header's name with a blank",
            &[(r#"path = "/health""#, r#"headers = { "X Y" = "x" }"#)],
            r#"shunt.toml:10:21: service[web].health.headers.X Y: found "X Y", expected a header that a request may have
  help: a name has letters, digits and dashes"#,
        ),
        (
            "a relative path",
            &[(r#"path = "/health""#, r#"path = "health""#)],
            r#"shunt.toml:10:8: service[web].health.path: found "health", expected a path as in a URL, such as "/health""#,
        ),
        (
            "a path with a blank",
            &[(r#"path = "/health""#, r#"path = "/he alth""#)],
            r#"shunt.toml:10:8: service[web].health.path: found "/he alth", expected a path as in a URL, such as "/health""#,
        ),
        (
            "a host that is none",
            &[(r#"path = "/health""#, r#"host = "app example""#)],
            r#"shunt.toml:10:8: service[web].health.host: found "app example", expected a host name, with a port or without, such as "app.example""#,
        ),
        (
            "an interval without a unit",
            &[(r#"path = "/health""#, "interval = 2")],
            r#"shunt.toml:10:12: service[web].health.interval: found 2, a number without a unit, expected a duration from 1ms to 1day, such as "500ms", "2s" or "1h"
  help: write "2s" if seconds are meant"#,
        ),
        (
            "a timeout of nothing",
            &[(r#"path = "/health""#, r#"timeout = "0ms""#)],
            r#"shunt.toml:10:11: service[web].health.timeout: found "0ms", expected a duration from 1ms to 1day, such as "500ms", "2s" or "1h""#,
        ),
        (
            "a port that there is not",
            &[(r#"path = "/health""#, "port = 0")],
            "shunt.toml:10:8: service[web].health.port: found 0, expected a whole number from 1 to 65535",
        ),
        (
            "a port with no check",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
health.port = 53"#,
            )],
            r#"shunt.toml:25:15: service[dns].health.port: found 53, expected no such key with type = "none", the default of a UDP service
  help: remove the key, or write type = "tcp", "http", "https", "grpc", "dns" or "udp""#,
        ),
        (
            "a backend without a port, and a check",
            &[(r#""10.0.0.11:8001""#, r#""10.0.0.11""#)],
            r#"shunt.toml:14:11: service[web].backend[api1].address: found 10.0.0.11, without a port, expected a port to check
  help: write which one in [service.health]: port = N; or check nothing there: type = "none""#,
        ),
        (
            "rise 0",
            &[(r#"path = "/health""#, "rise = 0")],
            "shunt.toml:10:8: service[web].health.rise: found 0, expected a whole number from 1 to 1000",
        ),
        (
            "a fraction of a fall",
            &[(r#"path = "/health""#, "fall = 2.5")],
            "shunt.toml:10:8: service[web].health.fall: found 2.5, expected a whole number from 1 to 1000",
        ),
        (
            "an address that is none",
            &[(r#"path = "/health""#, r#"address = "10.0.0.9:80""#)],
            r#"shunt.toml:10:11: service[web].health.address: found "10.0.0.9:80", expected an IP address, such as "10.0.0.9" or "2001:db8::9""#,
        ),
        (
            "an address to check that is no particular one",
            &[(
                r#"name = "api1""#,
                r#"name = "api1"
check_address = "0.0.0.0:80""#,
            )],
            r#"shunt.toml:14:17: service[web].backend[api1].check_address: found 0.0.0.0:80, no particular address, expected one address
  help: write the address that the server can be reached at"#,
        ),
    ]);
}

#[test]
fn keys_of_encrypted_checks() {
    says(&[
        (
            "a name without encryption",
            &[(r#"path = "/health""#, r#"sni = "app.example""#)],
            r#"shunt.toml:10:7: service[web].health.sni: found "app.example", expected no such key with type = "http"
  help: remove the key, or write type = "https" or "grpc""#,
        ),
        (
            "a name that cannot be asked for",
            &[
                (r#"type = "http""#, r#"type = "https""#),
                (r#"path = "/health""#, "insecure = true\nsni = \"10.0.0.1\""),
            ],
            r#"shunt.toml:11:7: service[web].health.sni: found "10.0.0.1", expected a server's name, such as "app.example""#,
        ),
        (
            "a file that is not there",
            &[
                (r#"type = "http""#, r#"type = "https""#),
                (r#"path = "/health""#, r#"ca_file = "/no/ca.pem""#),
            ],
            r#"shunt.toml:10:11: service[web].health.ca_file: found "/no/ca.pem", expected a file with CA certificates in PEM
  help: it cannot be read: No such file or directory (os error 2)"#,
        ),
        (
            "a file without certificates",
            &[
                (r#"type = "http""#, r#"type = "https""#),
                (r#"path = "/health""#, r#"ca_file = "/dev/null""#),
            ],
            r#"shunt.toml:10:11: service[web].health.ca_file: found "/dev/null", expected a file with CA certificates in PEM
  help: no certificate in it"#,
        ),
        (
            "a relative file",
            &[
                (r#"type = "http""#, r#"type = "https""#),
                (r#"path = "/health""#, r#"ca_file = "ca.pem""#),
            ],
            r#"shunt.toml:10:11: service[web].health.ca_file: found "ca.pem", expected a file with CA certificates in PEM
  help: write its absolute path"#,
        ),
        (
            "authorities, and no look at them",
            &[
                (r#"type = "http""#, r#"type = "https""#),
                (
                    r#"path = "/health""#,
                    "ca_file = \"/dev/null\"\ninsecure = true",
                ),
            ],
            r"shunt.toml:11:12: service[web].health.insecure: found true, expected no such key next to `ca_file`
  help: remove one of the two",
        ),
        (
            "an authority of gRPC in the clear",
            &[
                (r#"type = "http""#, r#"type = "grpc""#),
                (r#"path = "/health""#, r#"ca_file = "/dev/null""#),
            ],
            r#"shunt.toml:10:11: service[web].health.ca_file: found "/dev/null", expected no such key without tls = true
  help: remove the key, or write tls = true"#,
        ),
    ]);
}

#[test]
fn keys_of_checks_by_datagrams() {
    let udp = |key: &str| format!("protocol = \"udp\"\nhealth.type = \"udp\"\nhealth.{key}");
    let dns = |key: &str| format!("protocol = \"udp\"\nhealth.type = \"dns\"\nhealth.{key}");
    let rows = [
        (
            udp("send_binary = \"abc\""),
            r#"shunt.toml:26:22: service[dns].health.send_binary: found "abc", expected pairs of hexadecimal digits, such as "1b00ff"
  help: Odd number of digits"#,
        ),
        (
            udp("send = \"a\"\nhealth.send_binary = \"00\""),
            r#"shunt.toml:27:22: service[dns].health.send_binary: found "00", expected no such key next to `send`
  help: remove one of the two"#,
        ),
        (
            udp(&format!("send = \"{}\"", "a".repeat(1201))),
            r#"shunt.toml:26:15: service[dns].health.send: found "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…", expected at most 1200 bytes"#,
        ),
        (
            dns("query = \"a..b\""),
            r#"shunt.toml:26:16: service[dns].health.query: found "a..b", expected a domain name, such as "example.com""#,
        ),
        (
            dns("record = \"X\""),
            r#"shunt.toml:26:17: service[dns].health.record: found "X", expected a type of record, such as "A", "AAAA" or "NS""#,
        ),
    ];
    for (keys, message) in rows {
        says(&[("datagrams", &[(r#"protocol = "udp""#, &keys)], message)]);
    }
}

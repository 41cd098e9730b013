//! Mistakes in `[daemon]`.

use crate::{BASE, says};

#[test]
fn each_says_where_and_what() {
    says(&[
        (
            "an empty file",
            &[(BASE, "")],
            r#"shunt.toml:1:1: daemon.interfaces: found nothing, expected a list of interface names, such as ["eth0"]
shunt.toml:1:1: service: found nothing, expected one or more tables `[[service]]`"#,
        ),
        (
            "an unknown key of the daemon",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
interface = "eth1""#,
            )],
            r"shunt.toml:3:1: daemon.interface: found an unknown key, expected one of bridges, http, interfaces, local_clients, on_change, pin_dir, redirect, seed, snat_addresses, socket, state_dir, tables, timeouts, xdp_mode
  help: did you mean `interfaces`?",
        ),
        (
            "a hook by TLS",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
on_change.url = "https://hooks.example/x""#,
            )],
            r#"shunt.toml:3:17: daemon.on_change.url: found "https://hooks.example/x", expected a URL such as "http://127.0.0.1:9000/changes"
  help: run a command, such as curl, where TLS is needed"#,
        ),
        (
            "a hook in one word",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
on_change.command = "notify""#,
            )],
            r#"shunt.toml:3:21: daemon.on_change.command: found "notify", expected a program and its arguments, such as ["/usr/local/bin/notify", "--loud"]
  help: write ["notify"]"#,
        ),
        (
            "an unknown timeout",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
timeouts.tpc = "1s""#,
            )],
            r"shunt.toml:3:10: daemon.timeouts.tpc: found an unknown key, expected one of half_open, tcp, transition, udp
  help: did you mean `tcp`?",
        ),
        (
            "local clients that are neither on nor off",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
local_clients = "false""#,
            )],
            r#"shunt.toml:3:17: daemon.local_clients: found "false", expected true or false
  help: write it without quotes"#,
        ),
        (
            "bridges without local clients",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
local_clients = false
bridges = ["docker0"]"#,
            )],
            r#"shunt.toml:4:11: daemon.bridges: found a list with local_clients = false, expected no bridges, or local_clients = true"#,
        ),
        (
            "a bridge twice",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
bridges = ["docker0", "docker0"]"#,
            )],
            r#"shunt.toml:3:23: daemon.bridges[#2]: found "docker0" for the second time, expected each interface once"#,
        ),
        (
            "no bridge",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
bridges = []"#,
            )],
            r#"shunt.toml:3:11: daemon.bridges: found an empty list, expected a list of bridges, such as ["docker0"]"#,
        ),
        (
            "no interfaces",
            &[(
                r#"interfaces = ["eth0"]
"#,
                "",
            )],
            r#"shunt.toml:1:1: daemon.interfaces: found nothing, expected a list of interface names, such as ["eth0"]"#,
        ),
        (
            "an empty list of interfaces",
            &[(r#"["eth0"]"#, "[]")],
            r#"shunt.toml:2:14: daemon.interfaces: found an empty list, expected a list of interface names, such as ["eth0"]"#,
        ),
        (
            "interfaces that are no list",
            &[(r#"["eth0"]"#, r#""eth0""#)],
            r#"shunt.toml:2:14: daemon.interfaces: found "eth0", expected a list of interface names, such as ["eth0"]
  help: write ["eth0"]"#,
        ),
        (
            "an interface that is no string",
            &[(r#"["eth0"]"#, r#"["eth0", 1]"#)],
            r"shunt.toml:2:23: daemon.interfaces[#2]: found 1, expected an interface name of 1 to 15 bytes without blanks, `/` and `:`
  help: write it in quotes",
        ),
        (
            "an interface twice",
            &[(r#"["eth0"]"#, r#"["eth0", "eth0"]"#)],
            r#"shunt.toml:2:23: daemon.interfaces[#2]: found "eth0" for the second time, expected each interface once"#,
        ),
        (
            "source addresses that are no list",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
snat_addresses = "192.0.2.20""#,
            )],
            r#"shunt.toml:3:18: daemon.snat_addresses: found "192.0.2.20", expected a list of addresses, such as ["192.0.2.20", "2001:db8::20"]
  help: write ["192.0.2.20"]"#,
        ),
        (
            "source addresses that are none",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
snat_addresses = ["192.0.2.20:80", "eth0", "127.0.0.1", "fe80::1", "192.0.2.20", "192.0.2.20"]"#,
            )],
            r#"shunt.toml:3:19: daemon.snat_addresses[#1]: found "192.0.2.20:80", expected an IP address without a port, such as "192.0.2.20" or "2001:db8::20"
  help: every port from 1024 up is used
shunt.toml:3:36: daemon.snat_addresses[#2]: found "eth0", expected an IP address without a port, such as "192.0.2.20" or "2001:db8::20"
shunt.toml:3:44: daemon.snat_addresses[#3]: found 127.0.0.1, expected an address that backends can send their replies to
shunt.toml:3:57: daemon.snat_addresses[#4]: found fe80::1, expected an address that backends can send their replies to
shunt.toml:3:82: daemon.snat_addresses[#6]: found 192.0.2.20 for the second time, expected each address once"#,
        ),
        (
            "an interface whose name is too long",
            &[(r#"["eth0"]"#, r#"["enp0s31f6np0np1x"]"#)],
            r#"shunt.toml:2:15: daemon.interfaces[#1]: found "enp0s31f6np0np1x", expected an interface name of 1 to 15 bytes without blanks, `/` and `:`"#,
        ),
        (
            "an interface with a slash",
            &[(r#"["eth0"]"#, r#"["eth0/1"]"#)],
            r#"shunt.toml:2:15: daemon.interfaces[#1]: found "eth0/1", expected an interface name of 1 to 15 bytes without blanks, `/` and `:`"#,
        ),
        (
            "an interface with a blank",
            &[(r#"["eth0"]"#, r#"["eth 0"]"#)],
            r#"shunt.toml:2:15: daemon.interfaces[#1]: found "eth 0", expected an interface name of 1 to 15 bytes without blanks, `/` and `:`"#,
        ),
        (
            "an unknown mode",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
xdp_mode = "nativ""#,
            )],
            r#"shunt.toml:3:12: daemon.xdp_mode: found "nativ", expected "auto", "native" or "generic"
  help: did you mean "native"?"#,
        ),
        (
            "an unknown way to leave",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
redirect = true"#,
            )],
            r#"shunt.toml:3:12: daemon.redirect: found true, expected "auto", "always" or "never"
  help: write it in quotes"#,
        ),
        (
            "a relative socket path",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
socket = "run/shunt.sock""#,
            )],
            r#"shunt.toml:3:10: daemon.socket: found "run/shunt.sock", expected an absolute path of at most 107 bytes"#,
        ),
        (
            "a socket path beyond what a socket address holds",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
socket = "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#,
            )],
            r#"shunt.toml:3:10: daemon.socket: found "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…", expected an absolute path of at most 107 bytes"#,
        ),
        (
            "a relative pin directory",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
pin_dir = """#,
            )],
            r#"shunt.toml:3:11: daemon.pin_dir: found "", expected an absolute path"#,
        ),
        (
            "an HTTP address without a port",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
http = "127.0.0.1""#,
            )],
            r#"shunt.toml:3:8: daemon.http: found "127.0.0.1", expected an IP address with a port, such as "127.0.0.1:9470""#,
        ),
        (
            "a negative seed",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
seed = -1"#,
            )],
            "shunt.toml:3:8: daemon.seed: found -1, expected a whole number from 0 to 18446744073709551615",
        ),
        (
            "a seed in quotes",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
seed = "7""#,
            )],
            r#"shunt.toml:3:8: daemon.seed: found "7", expected a whole number from 0 to 18446744073709551615
  help: write it without quotes"#,
        ),
        (
            "a duration without a unit",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
timeouts.tcp = 3600"#,
            )],
            r#"shunt.toml:3:16: daemon.timeouts.tcp: found 3600, a number without a unit, expected a duration from 1ms to 30days, such as "500ms", "2s" or "1h"
  help: write "3600s" if seconds are meant"#,
        ),
        (
            "a duration in quotes without a unit",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
timeouts.tcp = "3600""#,
            )],
            r#"shunt.toml:3:16: daemon.timeouts.tcp: found "3600", expected a duration from 1ms to 30days, such as "500ms", "2s" or "1h"
  help: time unit needed, for example 3600sec or 3600ms"#,
        ),
        (
            "a duration with an unknown unit",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
timeouts.half_open = "10 parsecs""#,
            )],
            r#"shunt.toml:3:22: daemon.timeouts.half_open: found "10 parsecs", expected a duration from 1ms to 30days, such as "500ms", "2s" or "1h"
  help: unknown time unit "parsecs", supported units: ns, us/µs, ms, sec, min, hours, days, weeks, months, years (and few variations)"#,
        ),
        (
            "a duration of nothing",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
timeouts.udp = "0s""#,
            )],
            r#"shunt.toml:3:16: daemon.timeouts.udp: found "0s", expected a duration from 1ms to 30days, such as "500ms", "2s" or "1h""#,
        ),
        (
            "a duration too long",
            &[(
                r#"["eth0"]"#,
                r#"["eth0"]
timeouts.transition = "1year""#,
            )],
            r#"shunt.toml:3:23: daemon.timeouts.transition: found "1year", expected a duration from 1ms to 30days, such as "500ms", "2s" or "1h""#,
        ),
        (
            "daemon as a list",
            &[("[daemon]", "[[daemon]]")],
            "shunt.toml:1:1: daemon: found a list, expected a table",
        ),
    ]);
}

//! Mistakes in `[[service]]`.

use crate::{BASE, says};

#[test]
fn each_says_where_and_what() {
    says(&[
        (
            "an unknown table",
            &[("[service.health]", "[service.helth]")],
            r"shunt.toml:8:10: service[web].helth: found an unknown key, expected one of affinity, backend, forward, health, listen, min_active, name, on_down, panic_below, protocol, scheduler, slow_start, table_size
  help: did you mean `health`?",
        ),
        (
            "a table beside daemon and service",
            &[(
                "[daemon]",
                r"[metrics]
[daemon]",
            )],
            "shunt.toml:1:2: metrics: found an unknown key, expected one of daemon, service",
        ),
        (
            "service as a single table",
            &[(
                BASE,
                r#"[daemon]
interfaces = ["eth0"]
[service]
name = "web"
"#,
            )],
            "shunt.toml:3:1: service: found a table, expected one or more tables `[[service]]`",
        ),
        (
            "no service",
            &[(
                BASE,
                r#"[daemon]
interfaces = ["eth0"]
"#,
            )],
            "shunt.toml:1:1: service: found nothing, expected one or more tables `[[service]]`",
        ),
        (
            "an empty list of services",
            &[(
                BASE,
                r#"service = []
[daemon]
interfaces = ["eth0"]
"#,
            )],
            "shunt.toml:1:11: service: found an empty list, expected one or more tables `[[service]]`",
        ),
        (
            "a service without a name",
            &[(
                r#"name = "dns"
"#,
                "",
            )],
            r#"shunt.toml:21:1: service[#2].name: found nothing, expected a name, such as "web""#,
        ),
        (
            "an empty name",
            &[(r#""dns""#, r#""""#)],
            r#"shunt.toml:22:8: service[#2].name: found "", expected a name of 1 to 128 bytes without blanks and `/`"#,
        ),
        (
            "a name with a slash",
            &[(r#""dns""#, r#""dns/udp""#)],
            r#"shunt.toml:22:8: service[dns/udp].name: found "dns/udp", expected a name of 1 to 128 bytes without blanks and `/`"#,
        ),
        (
            "a name twice",
            &[(r#""dns""#, r#""web""#)],
            r#"shunt.toml:22:8: service[web].name: found a second service named "web", expected a name of its own
  help: the other is on line 5"#,
        ),
        (
            "no listen",
            &[(
                r#"listen = ["192.0.2.53:53"]
"#,
                "",
            )],
            r#"shunt.toml:21:1: service[dns].listen: found nothing, expected a list of addresses, such as ["192.0.2.10:80", "[2001:db8::10]:80"]"#,
        ),
        (
            "listen that is no list",
            &[(r#"["192.0.2.53:53"]"#, r#""192.0.2.53:53""#)],
            r#"shunt.toml:23:10: service[dns].listen: found "192.0.2.53:53", expected a list of addresses, such as ["192.0.2.10:80", "[2001:db8::10]:80"]
  help: write ["192.0.2.53:53"]"#,
        ),
        (
            "listen without an address",
            &[(r#"["192.0.2.53:53"]"#, "[]")],
            r#"shunt.toml:23:10: service[dns].listen: found an empty list, expected a list of addresses, such as ["192.0.2.10:80", "[2001:db8::10]:80"]"#,
        ),
        (
            "an IPv6 listener without brackets",
            &[(r#""192.0.2.10:80""#, r#""2001:db8::10""#)],
            r#"shunt.toml:6:11: service[web].listen[#1]: found "2001:db8::10", expected an IP address with a port, a range of ports or neither, such as "192.0.2.10:80", "[2001:db8::10]:8000-8099" or "192.0.2.10"
  help: an IPv6 address stands in brackets, with its port behind them"#,
        ),
        (
            "a listener by name",
            &[(r#""192.0.2.10:80""#, r#""app.example:80""#)],
            r#"shunt.toml:6:11: service[web].listen[#1]: found "app.example:80", expected an IP address with a port, a range of ports or neither, such as "192.0.2.10:80", "[2001:db8::10]:8000-8099" or "192.0.2.10"
  help: names are not resolved: write the IP address"#,
        ),
        (
            "a listener's port 0",
            &[(r#""192.0.2.10:80""#, r#""192.0.2.10:0""#)],
            r#"shunt.toml:6:11: service[web].listen[#1]: found "192.0.2.10:0", port 0, expected a port from 1 to 65535"#,
        ),
        (
            "a port beyond 65535",
            &[(r#""192.0.2.10:80""#, r#""192.0.2.10:65536""#)],
            r#"shunt.toml:6:11: service[web].listen[#1]: found "192.0.2.10:65536", expected an IP address with a port, a range of ports or neither, such as "192.0.2.10:80", "[2001:db8::10]:8000-8099" or "192.0.2.10"
  help: a port is at most 65535"#,
        ),
        (
            "every address",
            &[(r#""192.0.2.10:80""#, r#""0.0.0.0:80""#)],
            r"shunt.toml:6:11: service[web].listen[#1]: found 0.0.0.0:80, no particular address, expected one address
  help: list each address that clients use",
        ),
        (
            "a loopback listener",
            &[(r#""192.0.2.10:80""#, r#""127.0.0.1:80""#)],
            r"shunt.toml:6:11: service[web].listen[#1]: found 127.0.0.1:80, a loopback address, expected an address of a network
  help: clients on other hosts cannot send to it: write an address of the interface",
        ),
        (
            "a multicast listener",
            &[(r#""192.0.2.10:80""#, r#""224.0.0.1:80""#)],
            "shunt.toml:6:11: service[web].listen[#1]: found 224.0.0.1:80, a multicast address, expected a unicast address",
        ),
        (
            "a listener twice in a service",
            &[(r#""192.0.2.10:80""#, r#""192.0.2.10:80", "192.0.2.10:80""#)],
            r"shunt.toml:6:28: service[web].listen[#2]: found 192.0.2.10:80, where service[web] listens already, expected an address and port of its own
  help: 192.0.2.10:80 is on line 6",
        ),
        (
            "a listener of another service",
            &[
                (r#"protocol = "udp""#, r#"protocol = "tcp""#),
                (r#"["192.0.2.53:53"]"#, r#"["192.0.2.10:80"]"#),
            ],
            r"shunt.toml:23:11: service[dns].listen[#1]: found 192.0.2.10:80, where service[web] listens already, expected an address and port of its own
  help: 192.0.2.10:80 is on line 6",
        ),
        (
            "an unknown protocol",
            &[(r#"protocol = "udp""#, r#"protocol = "UDP""#)],
            r#"shunt.toml:24:12: service[dns].protocol: found "UDP", expected "tcp" or "udp"
  help: did you mean "udp"?"#,
        ),
        (
            "translated, but no address of the family to send from",
            &[
                (
                    r#"interfaces = ["eth0"]"#,
                    r#"interfaces = ["eth0"]
snat_addresses = ["2001:db8::20"]"#,
                ),
                (
                    r#"protocol = "udp""#,
                    r#"protocol = "udp"
forward = "fullnat""#,
                ),
            ],
            r#"shunt.toml:24:11: service[dns].listen[#1]: found 192.0.2.53:53, but no IPv4 address to send from, expected one in daemon.snat_addresses, such as "192.0.2.20""#,
        ),
        (
            "another port where ports are kept",
            &[(
                r#"protocol = "udp"

[[service.backend]]
address = "10.0.0.53:53""#,
                r#"protocol = "udp"
forward = "dsr"

[[service.backend]]
address = "10.0.0.53:5353""#,
            )],
            r#"shunt.toml:28:11: service[dns].backend[10.0.0.53:5353].address: found port 5353, expected port 53, as in `listen`, or none
  help: forward = "dsr" does not change ports"#,
        ),
        (
            "an IPv6 backend of an IPv4 listener, without a tunnel",
            &[(
                r#"protocol = "udp"

[[service.backend]]
address = "10.0.0.53:53""#,
                r#"protocol = "udp"
forward = "dsr"

[[service.backend]]
address = "[2001:db8::53]:53""#,
            )],
            r#"shunt.toml:23:11: service[dns].listen[#1]: found 192.0.2.53:53, but no IPv4 backend, expected at least one IPv4 backend to serve it
  help: forward = "dsr" does not translate between IPv4 and IPv6
shunt.toml:28:11: service[dns].backend[[2001:db8::53]:53].address: found [2001:db8::53]:53, but no IPv6 listener, expected an IPv6 address in `listen`
  help: forward = "dsr" does not translate between IPv4 and IPv6"#,
        ),
        (
            "an unknown forward mode",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
forward = "route""#,
            )],
            r#"shunt.toml:25:11: service[dns].forward: found "route", expected "nat", "fullnat", "dsr", "ipip" or "gue""#,
        ),
        (
            "an unknown scheduler",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
scheduler = "least_conn""#,
            )],
            r#"shunt.toml:25:13: service[dns].scheduler: found "least_conn", expected "maglev", "source-hash", "round-robin", "random" or "least-conn"
  help: did you mean "least-conn"?"#,
        ),
        (
            "min_active 0",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
min_active = 0"#,
            )],
            "shunt.toml:25:14: service[dns].min_active: found 0, expected a whole number from 1 to 65535",
        ),
        (
            "more active backends than there are",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
min_active = 2"#,
            )],
            "shunt.toml:25:14: service[dns].min_active: found 2, expected at most 1, the number of backends",
        ),
        (
            "a share without a sign",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
panic_below = 50"#,
            )],
            r#"shunt.toml:25:15: service[dns].panic_below: found 50, a number without a percent sign, expected a share from 0% to 100%, such as "50%"
  help: write "50%" if percent are meant"#,
        ),
        (
            "a share of more than all",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
panic_below = "101%""#,
            )],
            r#"shunt.toml:25:15: service[dns].panic_below: found "101%", expected a share from 0% to 100%, such as "50%""#,
        ),
        (
            "a table size that is no prime",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
table_size = 4094"#,
            )],
            r"shunt.toml:25:14: service[dns].table_size: found 4094, expected a prime, which Maglev needs
  help: the next prime is 4099",
        ),
        (
            "a table size too large",
            &[(
                r#"protocol = "udp""#,
                r#"protocol = "udp"
table_size = 65538"#,
            )],
            "shunt.toml:25:14: service[dns].table_size: found 65538, expected a whole number from 251 to 65537",
        ),
        (
            "an IPv6 listener without an IPv6 backend",
            &[(r#""[2001:db8:1::11]:8001""#, r#""10.0.0.12:8001""#)],
            r#"shunt.toml:6:28: service[web].listen[#2]: found [2001:db8::10]:80, but no IPv6 backend, expected at least one IPv6 backend to serve it
  help: forward = "nat" does not translate between IPv4 and IPv6"#,
        ),
    ]);
}

//! Mistakes in `[[service.backend]]`.

use crate::says;

#[test]
fn each_says_where_and_what() {
    says(&[
        (
            "an unknown key",
            &[("weight = 3", "wieght = 3")],
            r"shunt.toml:15:1: service[web].backend[api1].wieght: found an unknown key, expected one of address, backup, check_address, fail_timeout, max_conns, max_fails, name, weight
  help: did you mean `weight`?",
        ),
        (
            "an unknown key like no other",
            &[("weight = 3", r#"color = "red""#)],
            "shunt.toml:15:1: service[web].backend[api1].color: found an unknown key, expected one of address, backup, check_address, fail_timeout, max_conns, max_fails, name, weight",
        ),
        (
            "no backend",
            &[(
                r#"
[[service.backend]]
address = "10.0.0.53:53"
"#,
                "",
            )],
            "shunt.toml:21:1: service[dns].backend: found nothing, expected one or more tables `[[service.backend]]`",
        ),
        (
            "a backend without an address",
            &[(
                r#"address = "10.0.0.53:53"
"#,
                "",
            )],
            r#"shunt.toml:26:1: service[dns].backend[#1].address: found nothing, expected its address, such as "10.0.0.11:8001""#,
        ),
        (
            "a backend's port 0",
            &[(r#""10.0.0.11:8001""#, r#""10.0.0.11:0""#)],
            r#"shunt.toml:14:11: service[web].backend[api1].address: found "10.0.0.11:0", port 0, expected a port from 1 to 65535"#,
        ),
        (
            "a loopback backend",
            &[(r#""10.0.0.11:8001""#, r#""127.0.0.1:8001""#)],
            r"shunt.toml:14:11: service[web].backend[api1].address: found 127.0.0.1:8001, a loopback address, expected an address of a network
  help: packets that came in by an interface cannot be sent to it: let the server listen on an address of the interface, and write that",
        ),
        (
            "an IPv6 loopback backend",
            &[(r#""[2001:db8:1::11]:8001""#, r#""[::1]:8001""#)],
            r"shunt.toml:19:11: service[web].backend[api2].address: found [::1]:8001, a loopback address, expected an address of a network
  help: packets that came in by an interface cannot be sent to it: let the server listen on an address of the interface, and write that",
        ),
        (
            "an unspecified backend",
            &[(r#""10.0.0.11:8001""#, r#""0.0.0.0:8001""#)],
            r"shunt.toml:14:11: service[web].backend[api1].address: found 0.0.0.0:8001, no particular address, expected one address
  help: write the address that the server can be reached at",
        ),
        (
            "the broadcast address",
            &[(r#""10.0.0.11:8001""#, r#""255.255.255.255:8001""#)],
            "shunt.toml:14:11: service[web].backend[api1].address: found 255.255.255.255:8001, the broadcast address, expected a unicast address",
        ),
        (
            "an IPv4-mapped backend",
            &[(r#""[2001:db8:1::11]:8001""#, r#""[::ffff:10.0.0.12]:8001""#)],
            r#"shunt.toml:19:11: service[web].backend[api2].address: found [::ffff:10.0.0.12]:8001, an IPv4-mapped address, expected the IPv4 address itself, "10.0.0.12:8001""#,
        ),
        (
            "a link-local backend",
            &[(r#""[2001:db8:1::11]:8001""#, r#""[fe80::1]:8001""#)],
            r"shunt.toml:19:11: service[web].backend[api2].address: found [fe80::1]:8001, a link-local address, expected a global or unique local address
  help: a link-local address means another host on every interface",
        ),
        (
            "a weight beyond 256",
            &[("weight = 3", "weight = 300")],
            "shunt.toml:15:10: service[web].backend[api1].weight: found 300, expected a whole number from 0 to 256",
        ),
        (
            "a negative weight",
            &[("weight = 3", "weight = -1")],
            "shunt.toml:15:10: service[web].backend[api1].weight: found -1, expected a whole number from 0 to 256",
        ),
        (
            "a weight in quotes",
            &[("weight = 3", r#"weight = "3""#)],
            r#"shunt.toml:15:10: service[web].backend[api1].weight: found "3", expected a whole number from 0 to 256
  help: write it without quotes"#,
        ),
        (
            "backup in quotes",
            &[("weight = 3", r#"backup = "true""#)],
            r#"shunt.toml:15:10: service[web].backend[api1].backup: found "true", expected true or false
  help: write it without quotes"#,
        ),
        (
            "a backend's name twice",
            &[(r#""api2""#, r#""api1""#)],
            r#"shunt.toml:18:8: service[web].backend[api1].name: found a second backend named "api1", expected a name of its own
  help: the first is on line 13"#,
        ),
        (
            "a name that is another's by default",
            &[(
                r#"address = "10.0.0.53:53""#,
                r#"address = "10.0.0.53:53"
[[service.backend]]
name = "10.0.0.53:53"
address = "10.0.0.54:53""#,
            )],
            r#"shunt.toml:29:8: service[dns].backend[10.0.0.53:53].name: found a second backend named "10.0.0.53:53", expected a name of its own
  help: the first is on line 27"#,
        ),
        (
            "a primary in one family only",
            &[(
                r#""[2001:db8:1::11]:8001""#,
                r#""[2001:db8:1::11]:8001"
backup = true"#,
            )],
            "shunt.toml:4:1: service[web].backend: found backup = true on every IPv6 backend, expected at least one primary, with backup = false",
        ),
        (
            "too many brackets",
            &[(r#""10.0.0.53:53""#, r#""[10.0.0.53]:53""#)],
            r#"shunt.toml:27:11: service[dns].backend[[10.0.0.53]:53].address: found "[10.0.0.53]:53", expected an IP address with a port or without, such as "10.0.0.11:8001", "[2001:db8:1::11]:8001" or "10.0.0.11""#,
        ),
        (
            "a table where a text belongs",
            &[(r#""10.0.0.53:53""#, r#"{ ip = "10.0.0.53", port = 53 }"#)],
            r#"shunt.toml:27:11: service[dns].backend[#1].address: found a table, expected an IP address with a port or without, such as "10.0.0.11:8001", "[2001:db8:1::11]:8001" or "10.0.0.11""#,
        ),
        (
            "a date where a number belongs",
            &[("weight = 3", "weight = 2026-01-01")],
            "shunt.toml:15:10: service[web].backend[api1].weight: found the time 2026-01-01, expected a whole number from 0 to 256",
        ),
        (
            "a backend's address twice",
            &[(
                r#"address = "10.0.0.53:53""#,
                r#"address = "10.0.0.53:53"
[[service.backend]]
name = "two"
address = "10.0.0.53:53""#,
            )],
            r"shunt.toml:30:11: service[dns].backend[two].address: found 10.0.0.53:53, a backend already, expected each address once
  help: it is on line 27: give one backend more weight instead",
        ),
        (
            "no weight at all",
            &[(
                r#"address = "10.0.0.53:53""#,
                r#"address = "10.0.0.53:53"
weight = 0"#,
            )],
            "shunt.toml:21:1: service[dns].backend: found weight = 0 on every IPv4 backend, expected at least one with weight 1 or more",
        ),
        (
            "nothing but backups",
            &[(
                r#"address = "10.0.0.53:53""#,
                r#"address = "10.0.0.53:53"
backup = true"#,
            )],
            "shunt.toml:21:1: service[dns].backend: found backup = true on every IPv4 backend, expected at least one primary, with backup = false",
        ),
        (
            "an IPv6 backend without an IPv6 listener",
            &[(
                r#""192.0.2.10:80", "[2001:db8::10]:80""#,
                r#""192.0.2.10:80""#,
            )],
            r#"shunt.toml:19:11: service[web].backend[api2].address: found [2001:db8:1::11]:8001, but no IPv6 listener, expected an IPv6 address in `listen`
  help: forward = "nat" does not translate between IPv4 and IPv6"#,
        ),
        (
            "a backend that is its own listener",
            &[(r#""10.0.0.53:53""#, r#""192.0.2.53:53""#)],
            r"shunt.toml:27:11: service[dns].backend[192.0.2.53:53].address: found 192.0.2.53:53, where service[dns] listens, expected the address of a server
  help: it listens on 192.0.2.53:53 since line 23; one service cannot be the backend of another",
        ),
        (
            "a backend that is another service's listener",
            &[
                (r#"protocol = "udp""#, r#"protocol = "tcp""#),
                (r#""10.0.0.53:53""#, r#""192.0.2.10:80""#),
            ],
            r"shunt.toml:27:11: service[dns].backend[192.0.2.10:80].address: found 192.0.2.10:80, where service[web] listens, expected the address of a server
  help: it listens on 192.0.2.10:80 since line 6; one service cannot be the backend of another",
        ),
        (
            "several mistakes at once",
            &[(
                "weight = 3",
                r"weight = 300
wieght = 3
backup = 1",
            )],
            r"shunt.toml:15:10: service[web].backend[api1].weight: found 300, expected a whole number from 0 to 256
shunt.toml:16:1: service[web].backend[api1].wieght: found an unknown key, expected one of address, backup, check_address, fail_timeout, max_conns, max_fails, name, weight
  help: did you mean `weight`?
shunt.toml:17:10: service[web].backend[api1].backup: found 1, expected true or false",
        ),
    ]);
}

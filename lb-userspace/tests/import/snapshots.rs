//! Each configuration has two files beside it: what is written, `.toml`, and what is said, `.notes`.
//! `SHUNT_WRITE=1` writes them anew.

use std::{env, fs, net::IpAddr, path::Path};

use lb_userspace::import::{self, Disk, Imported, Options, Source};

use crate::directory;

fn options(vips: &[&str], locals: &[&str]) -> Options {
    let addresses = |texts: &[&str]| -> Vec<IpAddr> {
        let parsed = texts.iter().map(|text| text.parse());
        parsed
            .collect::<Result<_, _>>()
            .expect("they are addresses")
    };
    Options {
        interfaces: vec!["eth0".to_owned()],
        vips: addresses(vips),
        locals: addresses(locals),
    }
}

fn read(name: &str, options: &Options) -> Imported {
    let path = directory().join(name);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let source = Source::new(name, &bytes);
    let imported = if name.starts_with("nginx") {
        import::nginx(&source, &Disk::beside(&path), options)
    } else {
        import::haproxy(&source, options)
    };
    imported.unwrap_or_else(|error| panic!("{error}"))
}

fn is(expected: &Path, found: &str) {
    if env::var_os("SHUNT_WRITE").is_some() {
        fs::write(expected, found).unwrap_or_else(|error| panic!("{expected:?}: {error}"));
    }
    let text = fs::read_to_string(expected).unwrap_or_else(|error| panic!("{expected:?}: {error}"));
    assert_eq!(found, text, "{expected:?}");
}

/// `snapshot`: the files beside it, without their endings.
fn snapshot(name: &str, snapshot: &str, options: &Options) {
    let imported = read(name, options);
    // Names of included files are absolute.
    let own = format!("{}/", directory().display());
    let notes: String = imported
        .notes
        .iter()
        .map(|note| format!("{note}\n").replace(&own, ""))
        .collect();
    let path = directory().join(snapshot);
    is(&path.with_extension("notes"), &notes);
    is(
        &path.with_extension("toml"),
        &imported.toml.replace(&own, ""),
    );
    if let Err(errors) = imported.check() {
        panic!("{snapshot}: shunt check says:\n{errors}");
    }
}

#[test]
fn four_ways_to_balance_of_a_stock_nginx() {
    let name = "nginx/methods.conf";
    snapshot(name, "nginx/methods", &options(&["192.0.2.1"], &[]));
    snapshot(name, "nginx/methods-without-vip", &options(&[], &[]));
}

#[test]
fn udp_and_tcp_of_a_stream() {
    let vips = ["192.0.2.1", "2001:db8::1"];
    snapshot("nginx/dns.conf", "nginx/dns", &options(&vips, &[]));
}

#[test]
fn what_nginx_has_and_shunt_has_not() {
    let name = "nginx/edges.conf";
    snapshot(name, "nginx/edges", &options(&["192.0.2.1"], &[]));
    let local = options(&["192.0.2.1"], &["10.0.0.1"]);
    snapshot(name, "nginx/edges-with-local", &local);
}

#[test]
fn frontends_backends_and_what_listens_itself() {
    let vips = ["192.0.2.1", "2001:db8::1"];
    snapshot("haproxy/web.cfg", "haproxy/web", &options(&vips, &[]));
}

#[test]
fn what_haproxy_has_and_shunt_has_not() {
    snapshot("haproxy/edges.cfg", "haproxy/edges", &options(&[], &[]));
}

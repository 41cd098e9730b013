//! No text makes the importer panic, and all that it writes is accepted.

use lb_userspace::import::{self, Files, Imported, Options, Source, SyntaxError};
use proptest::{prelude::*, sample::Index};

const NGINX: &[&str] = &[
    include_str!("nginx/methods.conf"),
    include_str!("nginx/dns.conf"),
    include_str!("nginx/edges.conf"),
];
const HAPROXY: &[&str] = &[
    include_str!("haproxy/web.cfg"),
    include_str!("haproxy/edges.cfg"),
];

/// Pieces that mean something to one of them.
const PIECES: &[&str] = &[
    "{",
    "}",
    ";",
    "\"",
    "'",
    "\\",
    "#",
    "\n",
    "\r\n",
    "\0",
    "\u{7f}",
    "\u{feff}",
    "é",
    " ",
    "$",
    "${",
    "http { ",
    "stream { ",
    "upstream u { ",
    "server { ",
    "location / { ",
    "listen 80",
    "listen [::]:80 ipv6only=off",
    "listen 1-65535 udp",
    "proxy_pass http://u",
    "proxy_pass u",
    "include x",
    "include *",
    "server 10.0.0.1:80",
    "server [::1]:80",
    "server 192.0.2.10:80",
    " weight=0",
    " weight=99999999999",
    " backup",
    " down",
    " fail_timeout=1y",
    "least_conn",
    "hash $remote_addr",
    "health_check uri=/#",
    "content_by_lua_block {",
    "defaults\n",
    "defaults d from d\n",
    "frontend f\n",
    "backend b\n",
    "listen l\n",
    "bind :80",
    "bind :::80 v4v6",
    "bind 192.0.2.10:1-65535",
    "default_backend b",
    "use_backend b if x",
    "server s 10.0.0.2:80 ",
    "server s 10.0.0.2 ",
    "server s [2001:db8::10] ",
    "check inter 0",
    "check port 0",
    "check ssl",
    "check-sni ..",
    " addr 10.0.0.9",
    " port 9",
    "health_check type=grpc grpc_service=x",
    " weight 0",
    "option httpchk GET /#",
    "http-check send hdr \"a b\" x uri /",
    "http-check expect status 2xx",
    "http-check expect string ''",
    "balance random(1)",
    "slowstart 48h",
    "disabled\n",
    "default-server check",
    "from d",
];

/// Every include is the file itself.
struct Mirror(Source);

impl Files for Mirror {
    fn matching(&self, pattern: &str) -> Result<Vec<Source>, String> {
        match pattern {
            "*" => Ok(vec![self.0.clone(), self.0.clone()]),
            "x" => Ok(vec![self.0.clone()]),
            _ => Err("nothing".to_owned()),
        }
    }
}

fn options(vip: bool) -> Options {
    let vips = ["192.0.2.10", "2001:db8::10"].map(|text| text.parse().expect("an address"));
    Options {
        interfaces: vec!["eth0".to_owned()],
        vips: if vip { vips.to_vec() } else { Vec::new() },
        locals: if vip { vips.to_vec() } else { Vec::new() },
    }
}

fn holds(text: &str, imported: Result<Imported, SyntaxError>) -> Result<(), TestCaseError> {
    let lines = text.split('\n').count();
    match imported {
        Err(error) => prop_assert!((1..=lines).contains(&error.place.line), "{error}"),
        Ok(imported) => {
            for note in &imported.notes {
                prop_assert!((1..=lines).contains(&note.about.place.line), "{note}");
                prop_assert!(!note.to_string().contains('\n'), "{note}");
            }
            if imported.services > 0
                && let Err(errors) = imported.check()
            {
                let toml = &imported.toml;
                return Err(TestCaseError::fail(format!("{errors}\n{toml}")));
            }
        }
    }
    Ok(())
}

fn both(text: &str) -> Result<(), TestCaseError> {
    let source = Source::new("any", text.as_bytes());
    for vip in [false, true] {
        let options = options(vip);
        let mirror = Mirror(source.clone());
        holds(text, import::nginx(&source, &mirror, &options))?;
        holds(text, import::haproxy(&source, &options))?;
    }
    Ok(())
}

type Edit = (Index, Index, usize);

fn edit(text: &str, (piece, place, length): &Edit) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let start = place.index(characters.len() + 1);
    let end = (start + length).min(characters.len());
    characters.splice(start..end, piece.get(PIECES).chars());
    characters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text(text in any::<String>()) {
        both(&text)?;
    }

    #[test]
    fn any_order_of_pieces(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60),
        between in prop::sample::select(&["", " ", "\n", ";", ";\n"][..]),
    ) {
        both(&pieces.join(between))?;
    }

    #[test]
    fn edited_configurations(
        example in prop::sample::select([NGINX, HAPROXY].concat()),
        edits in prop::collection::vec((any::<Index>(), any::<Index>(), 0usize..20), 1..6),
    ) {
        let text = edits.iter().fold(example.to_owned(), |text, change| edit(&text, change));
        both(&text)?;
    }
}

#[test]
fn depth_has_an_end() {
    let text = "a {".repeat(100_000);
    let source = Source::new("deep", text.as_bytes());
    let error = import::nginx(&source, &Mirror(source.clone()), &Options::default());
    assert_eq!(
        error.map(|_| ()).map_err(|error| error.to_string()),
        Err("deep:1: found blocks and includes in each other, expected at most 64".to_owned())
    );
}

#[test]
fn includes_have_an_end() {
    for text in ["include x;", "include *;", "a {} include *;"] {
        let source = Source::new("round", text.as_bytes());
        let mirror = Mirror(source.clone());
        let imported = import::nginx(&source, &mirror, &Options::default());
        assert!(imported.is_err(), "{text}");
    }
}

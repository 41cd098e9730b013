//! What is asked by which lines.

use super::*;
use crate::import::{haproxy::words, place::Source};

/// What is asked, and how much is said of it.
fn asked(lines: &[&str]) -> (String, usize) {
    let source = Source::new("f", b"");
    let (mut request, mut notes) = (Request::default(), Notes::default());
    for (index, text) in lines.iter().enumerate() {
        let words = words::split(text).unwrap();
        let place = source.place(index + 1);
        let line = Line { words, place };
        match line.words[0].as_str() {
            "option" => request.httpchk(&line, &mut notes),
            _ => request.http_check(&line, &mut notes),
        }
    }
    let mut check = Check::default();
    request.ask(&mut check, &mut notes);
    let Kind::Http(http) = check.kind else {
        return ("tcp".to_owned(), notes.finish().len());
    };
    let texts = http.texts().map(|(key, text)| format!("{key}={text}"));
    let headers = http
        .headers()
        .iter()
        .map(|(name, text)| format!("{name}:{text}"));
    let all: Vec<_> = texts.chain(headers).collect();
    (all.join(" "), notes.finish().len())
}

#[test]
fn requests() {
    let rows: &[(&[&str], &str, usize)] = &[
        (&["option httpchk"], "path=/", 1),
        (&["option httpchk /up"], "path=/up", 1),
        (&["option httpchk GET /up"], "path=/up", 0),
        (&["option httpchk GET /a\\ b"], "", 1),
        (
            &["option httpchk GET / HTTP/1.1\\r\\nHost:\\ www\\r\\nX-A:\\ b"],
            "path=/ host=www X-A:b",
            0,
        ),
        (
            &[
                "http-check send meth GET uri /up ver HTTP/1.1 hdr Host www",
                "option httpchk",
            ],
            "path=/up host=www",
            1,
        ),
        (&["option httpchk", "http-check send meth GET"], "path=/", 0),
        (
            &["option httpchk GET /", "http-check send body x"],
            "path=/",
            1,
        ),
        (
            &["option httpchk GET /", "http-check send hdr X %[srv_name]"],
            "path=/",
            1,
        ),
        (
            &["option httpchk GET /", "http-check expect status 200,204"],
            "path=/ status=200,204",
            0,
        ),
        (
            &[
                "option httpchk GET /",
                "http-check expect min-recv 2 string ok",
            ],
            "path=/ body=ok",
            1,
        ),
        (
            &["option httpchk GET /", "http-check expect ! status 500"],
            "path=/",
            1,
        ),
        (
            &[
                "option httpchk GET /",
                "http-check expect status 200",
                "http-check expect string ok",
            ],
            "path=/ status=200",
            1,
        ),
        (&["http-check expect status 200"], "tcp", 0),
    ];
    for (lines, expected, said) in rows {
        assert_eq!(asked(lines), ((*expected).to_owned(), *said), "{lines:?}");
    }
}

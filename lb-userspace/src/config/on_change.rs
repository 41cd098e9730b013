//! `[daemon.on_change]`.

use std::{ops::RangeInclusive, time::Duration};

use hyper::Uri;

use super::{duration, field::Field, report::Mistake, section::Section};
use crate::desired::OnChange;

const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(600);

pub(super) fn read(daemon: &mut Section) -> OnChange {
    let default = OnChange::default();
    let Some(mut section) = daemon.section("on_change") else {
        return default;
    };
    let settings = OnChange {
        command: section
            .optional("command")
            .and_then(|field| command(&field)),
        url: section.optional("url").and_then(|field| url(&field)),
        timeout: duration::read(&mut section, "timeout", default.timeout, TIMEOUTS),
    };
    section.finish();
    settings
}

fn command(field: &Field) -> Option<Vec<String>> {
    let expected = r#"a program and its arguments, such as ["/usr/local/bin/notify", "--loud"]"#;
    let words = field.elements(expected)?;
    let words: Vec<String> = words
        .iter()
        .map(|word| word.text("a word").map(str::to_owned))
        .collect::<Option<_>>()?;
    if words.first().is_none_or(String::is_empty) {
        field.unlike(expected);
        return None;
    }
    Some(words)
}

fn url(field: &Field) -> Option<Uri> {
    let expected = r#"a URL such as "http://127.0.0.1:9000/changes""#;
    let url: Option<Uri> = field.text(expected)?.parse().ok();
    let url = url.filter(|url| url.host().is_some_and(|host| !host.is_empty()));
    match url.as_ref().and_then(Uri::scheme_str) {
        Some("http") => url,
        Some("https") => {
            let help = "run a command, such as curl, where TLS is needed";
            field.wrong(Mistake::new(field.found(), expected).help(help));
            None
        }
        _ => {
            field.unlike(expected);
            None
        }
    }
}

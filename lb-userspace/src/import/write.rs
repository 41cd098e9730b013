//! Services as TOML.

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::{
    Options,
    check::{Check, HttpCheck, Kind, Tls},
    draft::{Backend, Target},
    duration,
    fit::Fitted,
    place::{Excerpt, printable},
};
use crate::desired::Protocol;

const EXAMPLE: &str = "# An address for examples: change it.\n";

/// The document, and how many services it has beside those in comments.
pub(super) fn write(services: &[Fitted], options: &Options) -> (String, usize) {
    let mut document = DocumentMut::new();
    let mut daemon = Table::new();
    daemon.insert("interfaces", value(list(&options.interfaces)));
    document.insert("daemon", Item::Table(daemon));

    let mut written = ArrayOfTables::new();
    // Comments stand in front of the next table.
    let mut comments = String::new();
    for service in services {
        match service.abandoned {
            None => written.push(table(service, &mut comments)),
            Some(why) => comments.push_str(&abandoned(service, why)),
        }
    }
    let count = written.len();
    if count > 0 {
        document.insert("service", Item::ArrayOfTables(written));
    }
    document.set_trailing(comments);
    (document.to_string(), count)
}

/// A service, after the comments before it; those that no table follows are left there.
fn table(service: &Fitted, comments: &mut String) -> Table {
    let draft = &service.draft;
    let mut table = Table::new();
    introduce(&mut table, comments, &draft.origin);
    table.insert("name", value(&draft.name));
    let listen = service.listen.iter();
    table.insert("listen", value(list(listen.map(ToString::to_string))));
    if service.is_example
        && let Some(mut key) = table.key_mut("listen")
    {
        key.leaf_decor_mut().set_prefix(EXAMPLE);
    }
    if draft.protocol != Protocol::Tcp {
        table.insert("protocol", value(draft.protocol.name()));
    }
    table.insert("scheduler", value(service.scheduler));
    if let Some(time) = draft.slow_start {
        table.insert("slow_start", Item::Value(duration::value(time)));
    }
    if draft.protocol == Protocol::Tcp {
        table.insert("health", Item::Table(health(&draft.check)));
    }
    let mut backends = ArrayOfTables::new();
    for backend in &draft.backends {
        if let Target::Left(address) = &backend.target
            && service.abandoned.is_none()
        {
            let keys = keys(backend, address).to_string();
            let text = format!("[[service.backend]]\n{keys}");
            comments.push_str(&commented(&about(&backend.said), &text));
            continue;
        }
        let address = match &backend.target {
            Target::At(endpoint) => endpoint.to_string(),
            Target::Left(address) => address.clone(),
        };
        let mut table = keys(backend, &address);
        introduce(&mut table, comments, &backend.said);
        backends.push(table);
    }
    table.insert("backend", Item::ArrayOfTables(backends));
    table
}

/// Where it comes from, after what waited to be written.
fn introduce(table: &mut Table, comments: &mut String, said: &Excerpt) {
    let comments = std::mem::take(comments);
    let prefix = format!("{comments}\n# {}\n", about(said));
    table.decor_mut().set_prefix(prefix);
}

fn about(said: &Excerpt) -> String {
    format!("{}: {}", said.place, said.text)
}

fn abandoned(service: &Fitted, why: &str) -> String {
    let mut document = DocumentMut::new();
    let mut services = ArrayOfTables::new();
    services.push(table(service, &mut String::new()));
    document.insert("service", Item::ArrayOfTables(services));
    commented(&format!("Not in use: {why}."), &document.to_string())
}

/// A text with every line of it, and one before, a comment.
fn commented(title: &str, text: &str) -> String {
    let mut comment = format!("\n# {}\n", printable(title));
    for line in text.trim_start().lines() {
        comment.push_str(format!("# {line}").trim_end());
        comment.push('\n');
    }
    comment
}

fn health(check: &Check) -> Table {
    let mut table = Table::new();
    match &check.kind {
        Kind::Tcp => {
            table.insert("type", value("tcp"));
        }
        Kind::Http(http) => http_check(&mut table, http),
        Kind::Grpc(grpc) => {
            table.insert("type", value("grpc"));
            if let Some(service) = &grpc.service {
                table.insert("service", value(service));
            }
            if let Some(tls) = &grpc.tls {
                table.insert("tls", value(true));
                blind(&mut table, tls);
            }
        }
        Kind::None => {
            table.insert("type", value("none"));
        }
    }
    if let Some(port) = check.port {
        table.insert("port", value(i64::from(port)));
    }
    for (key, time) in [
        ("interval", check.interval),
        ("fast_interval", check.fast_interval),
        ("down_interval", check.down_interval),
        ("timeout", check.timeout),
    ] {
        if let Some(time) = time {
            table.insert(key, Item::Value(duration::value(time)));
        }
    }
    for (key, count) in [("rise", check.rise), ("fall", check.fall)] {
        if let Some(count) = count {
            table.insert(key, value(i64::from(count)));
        }
    }
    table
}

fn http_check(table: &mut Table, http: &HttpCheck) {
    let kind = if http.tls.is_some() { "https" } else { "http" };
    table.insert("type", value(kind));
    for (key, text) in http.texts() {
        table.insert(key, value(text));
    }
    let headers: InlineTable = http
        .headers()
        .iter()
        .map(|(name, text)| (name, text))
        .collect();
    if !headers.is_empty() {
        table.insert("headers", value(headers));
    }
    if let Some(tls) = &http.tls {
        blind(table, tls);
    }
}

fn blind(table: &mut Table, tls: &Tls) {
    if let Some(name) = &tls.sni {
        table.insert("sni", value(name));
    }
    table.insert("insecure", value(true));
}

fn keys(backend: &Backend, address: &str) -> Table {
    let mut table = Table::new();
    if let Some(name) = &backend.name {
        table.insert("name", value(name));
    }
    table.insert("address", value(address));
    if let Some(at) = backend.check_at {
        table.insert("check_address", value(at.to_string()));
    }
    let weight = if backend.down { 0 } else { backend.weight };
    if weight != 1 {
        table.insert("weight", value(i64::from(weight)));
    }
    if backend.backup {
        table.insert("backup", value(true));
    }
    for (key, bound) in &backend.bounds {
        table.insert(key, Item::Value(bound.clone()));
    }
    table
}

fn list<T: Into<Value>>(values: impl IntoIterator<Item = T>) -> Array {
    values.into_iter().collect()
}

//! Just enough HTTP/1.1 for many small requests over connections of their own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context as _, bail, ensure};

/// More than a test asks for this way; curl is there for downloads.
const BODY_LIMIT: u64 = 64 << 20;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Which application says to have answered.
    ///
    /// # Errors
    /// A status other than 200, or no name.
    pub fn app_name(&self) -> anyhow::Result<String> {
        ensure!(self.status == 200, "HTTP status {}", self.status);
        let json = self.json()?;
        let name = json["name"].as_str();
        Ok(name
            .with_context(|| format!("no name in {json}"))?
            .to_owned())
    }
}

/// One request; the connection ends with it.
pub(super) fn request(
    mut stream: &TcpStream,
    method: &str,
    host: SocketAddr,
    path: &str,
) -> anyhow::Result<Response> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).context("sending")?;
    read(BufReader::new(stream)).context("receiving")
}

fn read(mut reader: impl std::io::BufRead) -> anyhow::Result<Response> {
    let mut line = String::new();
    reader.by_ref().take(1 << 16).read_line(&mut line)?;
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok());
    let status = match status {
        Some(status) => status,
        None if line.is_empty() => bail!("closed without an answer"),
        None => bail!("no HTTP/1.1 status line: {line:?}"),
    };
    let mut length = None;
    loop {
        line.clear();
        reader.by_ref().take(1 << 16).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!(
                "transfer encodings are not read here, and {} came",
                value.trim()
            );
        }
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<u64>().context("content length")?);
        }
    }
    ensure!(line == "\r\n", "the headers end in {line:?}");
    let mut body = Vec::new();
    let limit = length.unwrap_or(BODY_LIMIT).min(BODY_LIMIT);
    reader.take(limit).read_to_end(&mut body)?;
    if let Some(length) = length {
        ensure!(
            body.len() as u64 == length,
            "{} of {length} bytes of the body came",
            body.len()
        );
    }
    Ok(Response { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_send() {
        for (text, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi"),
            ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", 503, ""),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end"),
        ] {
            let response = read(text.as_bytes()).unwrap();
            assert_eq!(
                (response.status, response.body.as_slice()),
                (status, body.as_bytes())
            );
        }
    }

    #[test]
    fn says_what_is_wrong_with_an_answer() {
        for (text, complaint) in [
            ("", "closed without an answer"),
            ("SSH-2.0\r\n", "no HTTP/1.1 status line"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
                "2 of 9 bytes",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "transfer encodings",
            ),
            ("HTTP/1.1 200 OK\r\nX: y\r\n", "the headers end in"),
        ] {
            let error = read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(complaint), "{text:?}: {error}");
        }
    }
}

//! Servers that speak TLS, or should.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};

use super::*;
use crate::{
    desired::Tls,
    trust::{Distrust, Trust},
};

/// A server of this name, and the authority that says so, in PEM.
fn server(name: &str) -> (TlsAcceptor, String) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    let own_name = format!("authority of {name}");
    authority
        .distinguished_name
        .push(DnType::CommonName, own_name);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec!["http/1.1".into()];
    (TlsAcceptor::from(Arc::new(config)), pem)
}

fn https(name: Option<&str>, trust: Trust) -> Check {
    Check::Http(HttpCheck {
        path: "/".to_owned(),
        tls: Some(Tls {
            name: name.map(str::to_owned),
            trust,
        }),
        ..HttpCheck::default()
    })
}

/// What comes of a check, and the name that the server was asked for.
async fn outcome(acceptor: TlsAcceptor, how: Check) -> (String, Option<String>) {
    let (listener, address) = listen(LOCALHOST).await;
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.ok()?;
        let asked = stream.get_ref().1.server_name().map(str::to_owned);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.ok()?);
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.ok()?;
        asked
    };
    let (asked, result) = tokio::join!(serve, check(&how, address, PATIENT));
    let outcome = match result {
        Ok(passed) => passed.summary,
        Err(failure) => failure.to_string(),
    };
    (outcome, asked)
}

#[tokio::test]
async fn a_server_is_believed_whom_the_authority_knows_by_that_name() {
    let (acceptor, pem) = server("app.example");
    let trust = || Trust::pem(pem.as_bytes()).unwrap();
    let how = https(Some("app.example"), trust());
    let (outcome_, asked) = outcome(acceptor.clone(), how).await;
    assert_eq!(outcome_, "HTTP 200");
    assert_eq!(asked.as_deref(), Some("app.example"));

    for wrong in [Some("other.example"), None] {
        let (outcome, _) = outcome(acceptor.clone(), https(wrong, trust())).await;
        let refusal = "TLS: invalid peer certificate: certificate not valid for name";
        assert!(outcome.starts_with(refusal), "{outcome}");
    }

    let (_, other) = server("other.example");
    let how = https(Some("app.example"), Trust::pem(other.as_bytes()).unwrap());
    let (outcome, _) = outcome(acceptor, how).await;
    assert_eq!(outcome, "TLS: invalid peer certificate: UnknownIssuer");
}

#[tokio::test]
async fn without_a_name_the_address_has_to_be_proved() {
    let (acceptor, pem) = server("127.0.0.1");
    let how = https(None, Trust::pem(pem.as_bytes()).unwrap());
    let (outcome, asked) = outcome(acceptor, how).await;
    assert_eq!(outcome, "HTTP 200");
    assert_eq!(asked, None, "addresses are no names to ask for");
}

#[tokio::test]
async fn whoever_believes_everything_does() {
    let (acceptor, _) = server("app.example");
    let how = https(None, Trust::everything());
    assert!(how.is_blind());
    assert_eq!(outcome(acceptor, how).await.0, "HTTP 200");
}

#[tokio::test]
async fn a_server_in_the_clear_is_told_from_one_that_says_goodbye() {
    for (answer, failure) in [
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "the answer is not TLS: ",
        ),
        ("", "connection closed before an answer"),
    ] {
        let (listener, address) = listen(LOCALHOST).await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            // All of the greeting is read, so that what goes out is a FIN.
            let mut greeting = [0; 4096];
            let _ = stream.read(&mut greeting).await;
        };
        let how = https(None, Trust::everything());
        let ((), result) = tokio::join!(serve, check(&how, address, PATIENT));
        let found = result.expect_err("a failure").to_string();
        assert!(found.starts_with(failure), "{found}");
    }
}

#[test]
fn a_file_without_authorities_is_refused() {
    let refused = |text: &str| Distrust::to_string(&Trust::pem(text.as_bytes()).unwrap_err());
    assert_eq!(refused(""), "no certificate in it");
    assert_eq!(refused("no certificate"), "no certificate in it");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(refused(broken).starts_with("certificate 1 is none of an authority: "));
    let endless = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    assert!(refused(endless).starts_with("not PEM: "));
}

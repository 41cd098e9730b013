//! Whose certificates are believed.

use std::sync::Arc;

use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// A way to verify servers, ready to connect. Equal where the same certificates are believed.
#[derive(Clone, Debug)]
pub struct Trust {
    believed: Believed,
    client: Arc<ClientConfig>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Believed {
    /// What the authorities signed.
    Authorities(Arc<[CertificateDer<'static>]>),
    Everything,
}

/// Why nobody would be believed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    #[error("not PEM: {0}")]
    Form(String),
    #[error("no certificate in it")]
    Empty,
    #[error("certificate {number} is none of an authority: {reason}")]
    Certificate { number: usize, reason: Error },
    #[error("the system has no CA certificates{0}")]
    System(String),
}

impl Trust {
    /// The authorities of a PEM file.
    ///
    /// # Errors
    /// It has none, or what is in it cannot be used.
    pub fn pem(text: &[u8]) -> Result<Self, Distrust> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        let certificates = certificates.map_err(|error| Distrust::Form(error.to_string()))?;
        if certificates.is_empty() {
            return Err(Distrust::Empty);
        }
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            let number = index + 1;
            roots
                .add(certificate.clone())
                .map_err(|reason| Distrust::Certificate { number, reason })?;
        }
        Ok(Self::authorities(certificates, roots))
    }

    /// The authorities that this host trusts.
    ///
    /// # Errors
    /// There are none.
    pub fn system() -> Result<Self, Distrust> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some of any system's are too old to be understood.
        roots.add_parsable_certificates(found.certs.iter().cloned());
        if roots.is_empty() {
            let reasons = found.errors.iter().map(|error| format!(": {error}"));
            return Err(Distrust::System(reasons.collect()));
        }
        Ok(Self::authorities(found.certs, roots))
    }

    /// Anybody, so that nobody is known to be who they say.
    pub fn everything() -> Self {
        let provider = Arc::new(ring::default_provider());
        let verifier = Arc::new(Credulous(Arc::clone(&provider)));
        let client = builder(provider)
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Self {
            believed: Believed::Everything,
            client: Arc::new(client),
        }
    }

    fn authorities(certificates: Vec<CertificateDer<'static>>, roots: RootCertStore) -> Self {
        let client = builder(Arc::new(ring::default_provider()))
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            believed: Believed::Authorities(certificates.into()),
            client: Arc::new(client),
        }
    }

    pub const fn is_blind(&self) -> bool {
        matches!(self.believed, Believed::Everything)
    }

    /// How to connect. It remembers sessions, so that later connections are cheaper.
    pub const fn client(&self) -> &Arc<ClientConfig> {
        &self.client
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.believed == other.believed
    }
}

#[expect(
    clippy::expect_used,
    reason = "ring has cipher suites of TLS 1.2 and of TLS 1.3, and only without any it fails"
)]
fn builder(
    provider: Arc<CryptoProvider>,
) -> tokio_rustls::rustls::ConfigBuilder<ClientConfig, tokio_rustls::rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("cipher suites of TLS 1.2 and 1.3")
}

/// Believes every certificate, but still wants the handshake to be signed with its key.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _stapled: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

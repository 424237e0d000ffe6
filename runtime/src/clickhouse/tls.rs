//! Whom to trust at the other end of HTTPS, what to show there, and what a handshake that fails means.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// A client's side of TLS. By default Mozilla's list of authorities is trusted, and no certificate is shown.
#[derive(Clone)]
pub struct Tls(ClientConfig);

/// Files in PEM format.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsFiles {
    /// Authorities to trust instead of Mozilla's list.
    pub ca: Option<PathBuf>,
    /// What is shown to a server that asks: the certificate with its chain, and its key.
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("certificates cannot be read from {path:?}: {cause}")]
    Certificates { path: PathBuf, cause: String },
    #[error("no private key can be read from {path:?}: {cause}")]
    Key { path: PathBuf, cause: String },
    #[error("{path:?} cannot be used: {cause}")]
    Use { path: PathBuf, cause: rustls::Error },
}

impl Tls {
    /// # Errors
    /// If a file cannot be read, has nothing of its kind in it, or does not fit the others.
    pub fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let verified = match &files.ca {
            None => builder().with_webpki_roots(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(|cause| TlsError::Use { path: path.clone(), cause })?;
                }
                builder().with_root_certificates(roots)
            }
        };
        let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
            return Ok(Self(verified.with_no_client_auth()));
        };
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| TlsError::Key { path: key.clone(), cause: error.to_string() })?;
        let shown = verified.with_client_auth_cert(certificates(certificate)?, secret);
        shown.map(Self).map_err(|cause| TlsError::Use { path: certificate.clone(), cause })
    }

    pub(super) fn config(&self) -> ClientConfig {
        self.0.clone()
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self(builder().with_webpki_roots().with_no_client_auth())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

fn builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
}

/// One at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |cause: String| TlsError::Certificates { path: path.to_owned(), cause };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| failed(error.to_string()))?;
    if certificates.is_empty() { Err(failed("there is none in it".into())) } else { Ok(certificates) }
}

/// Why TLS failed, and the way out; nothing if something else did.
pub(super) fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(of_tls) = error.downcast_ref::<rustls::Error>() {
        return Some(explained(of_tls));
    }
    // The source of such an error is that of what is in it.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => refusal(inner),
        None => error.source().and_then(refusal),
    }
}

fn explained(error: &rustls::Error) -> String {
    let way_out = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => "tls.ca must name the certificate of its authority",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "write a name of the certificate under hosts"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "renew it at the server",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "compare the clocks",
            _ => "give the server another one",
        },
        rustls::Error::InvalidMessage(_) => "is this its HTTPS port? plain HTTP is http://",
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::AccessDenied,
        ) => "it wants a certificate that it trusts: tls.certificate and tls.key",
        _ => return format!("TLS failed: {error}"),
    };
    format!("TLS failed: {error} ({way_out})")
}

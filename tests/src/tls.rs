//! Certificates, made for a test, and a server that speaks TLS before one that does not.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Signs certificates; its own is a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    pub certificate: PathBuf,
}

/// A certificate and its key, PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Both in one file.
    pub both: PathBuf,
}

/// Ends TLS and passes on to a port of this machine what is in it, until the program ends.
pub struct Front {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

/// What the next connections meet, and those that are open.
struct Shared {
    acceptor: TlsAcceptor,
    open: Vec<AbortHandle>,
}

impl Authority {
    /// # Errors
    /// If a file cannot be written.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        let (mut params, key) = (CertificateParams::new(Vec::new())?, KeyPair::generate()?);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = folder.join(format!("{name}.pem"));
        std::fs::write(&certificate, params.self_signed(&key)?.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), folder: folder.to_owned(), certificate })
    }

    /// A certificate for these names, DNS or IP.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn identity(&self, file: &str, names: &[&str]) -> Result<Identity> {
        self.sign(file, CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?)
    }

    /// The same, and its time is over.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn expired(&self, file: &str, names: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(file, params)
    }

    fn sign(&self, file: &str, mut params: CertificateParams) -> Result<Identity> {
        params.distinguished_name.push(DnType::CommonName, file);
        let key = KeyPair::generate()?;
        let (certificate, key) = (params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem());
        let written = |end: &str, text: &str| {
            let path = self.folder.join(format!("{file}{end}"));
            std::fs::write(&path, text).map(|()| path)
        };
        Ok(Identity {
            certificate: written("-certificate.pem", &certificate)?,
            key: written("-key.pem", &key)?,
            both: written(".pem", &format!("{key}{certificate}"))?,
        })
    }
}

impl Front {
    /// `clients`: the authority of the certificates that clients must show; none is asked for without it.
    ///
    /// # Errors
    /// If there is no port, or the identity cannot be used.
    pub fn before(port: u16, server: &Identity, clients: Option<&Authority>) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let front = Self {
            port: listener.local_addr()?.port(),
            shared: Arc::new(Mutex::new(Shared { acceptor: acceptor(server, clients)?, open: Vec::new() })),
        };
        let (shared, runtime) = (front.shared.clone(), crate::runtime());
        std::thread::spawn(move || runtime.block_on(listen(listener, port, shared)));
        Ok(front)
    }

    /// Shows another certificate from now on, to no client any; open connections end.
    ///
    /// # Errors
    /// If the identity cannot be used.
    pub fn show(&self, server: &Identity) -> Result<()> {
        let acceptor = acceptor(server, None)?;
        let mut shared = self.shared.lock().expect("nobody panics while holding it");
        shared.acceptor = acceptor;
        shared.open.drain(..).for_each(|connection| connection.abort());
        Ok(())
    }

    /// `https://localhost:PORT`
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}

async fn listen(listener: std::net::TcpListener, port: u16, shared: Arc<Mutex<Shared>>) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let mut shared = shared.lock().expect("nobody panics while holding it");
        // A handshake that fails is what this is for.
        let connection = tokio::spawn(pass_on(client, shared.acceptor.clone(), port));
        shared.open.push(connection.abort_handle());
    }
}

async fn pass_on(client: TcpStream, acceptor: TlsAcceptor, port: u16) -> Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn acceptor(server: &Identity, clients: Option<&Authority>) -> Result<TlsAcceptor> {
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&authority.certificate).context("an authority")?)?;
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let certificate = CertificateDer::from_pem_file(&server.certificate).context("a certificate")?;
    let key = PrivateKeyDer::from_pem_file(&server.key).context("a key")?;
    Ok(TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key)?)))
}

//! TLS with a configured certificate: `[serve.tls]`. The files are checked for changes while the server runs, so a
//! renewed certificate needs no restart. A certificate that cannot be read does not replace the current one.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

/// How often the files are checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The ALPN name of HTTP/2 (RFC 9113).
pub(crate) const H2: &[u8] = b"h2";

/// The settings under `[serve.tls]`: PEM files, relative to the project's folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The certificate, followed by its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate that is reloaded when its files change.
#[derive(Clone)]
pub(crate) struct ReloadingTls {
    pub acceptor: TlsAcceptor,
    resolver: Arc<CertificateResolver>,
}

#[derive(Debug)]
struct CertificateResolver {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    key: RwLock<Arc<CertifiedKey>>,
}

impl TlsFiles {
    /// Resolves the paths against the project's folder.
    #[must_use]
    pub fn resolve_paths(&self, folder: &Path) -> Self {
        Self { cert: folder.join(&self.cert), key: folder.join(&self.key) }
    }

    /// Checks that the files contain a usable certificate and key.
    ///
    /// # Errors
    /// Which file is not usable, and why.
    pub fn check(&self) -> Result<(), String> {
        self.read(&ring::default_provider()).map(drop)
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let of = |name: &str, path: &Path, why: &dyn std::fmt::Display| {
            format!("serve.tls.{name}: {}: {why}", path.display())
        };
        let chain = CertificateDer::pem_file_iter(&self.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| of("cert", &self.cert, &error))?;
        if chain.is_empty() {
            return Err(of("cert", &self.cert, &"there is no certificate in it"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| of("key", &self.key, &error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| of("key", &self.key, &error))
    }

    fn changed_at(&self) -> [Option<SystemTime>; 2] {
        [&self.cert, &self.key].map(|file| std::fs::metadata(file).and_then(|about| about.modified()).ok())
    }
}

impl ReloadingTls {
    pub fn open(files: &TlsFiles) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let key = RwLock::new(Arc::new(files.read(&provider)?));
        let shown = Arc::new(CertificateResolver { files: files.clone(), provider: provider.clone(), key });
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|error| format!("serve.tls: {error}"))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), resolver: shown })
    }

    /// Watches the files until the task is aborted.
    pub async fn watch(self) {
        let shown = self.resolver;
        let mut seen = shown.files.changed_at();
        let mut warned = None;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let now = shown.files.changed_at();
            if now == seen {
                continue;
            }
            match shown.files.read(&shown.provider) {
                Ok(key) => {
                    *shown.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                    tracing::info!("another certificate is shown from here on");
                    seen = now;
                }
                // Possibly only one of the two files was replaced so far. They are read again, and the old
                // certificate is used until then.
                Err(error) if warned != Some(now) => {
                    tracing::warn!(error, "the certificate has changed and cannot be used");
                    warned = Some(now);
                }
                Err(_) => {}
            }
        }
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

//! Certificate authorities that are trusted to identify a server.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Maximum number of certificate authorities in one file.
const AUTHORITIES_MAX: usize = 1_000;

/// Loads the certificate authorities of a PEM file. Fails if the file contains none, or anything that is not a valid
/// certificate.
pub(crate) fn load_pem_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |reason: String| format!("`ca` {}: {reason}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
    let found: Result<Vec<_>, _> = found.take(AUTHORITIES_MAX).collect();
    let found = found.map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("there is no certificate in it".to_owned()));
    }
    // TLS would skip unusable certificates silently; they are reported here.
    let mut store = RootCertStore::empty();
    for certificate in &found {
        store.add(certificate.clone()).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_names_no_authority_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str, text: Option<&str>| {
            let file = folder.path().join(name);
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            load_pem_certificates(&file).unwrap_err()
        };
        for (name, text, expect) in [
            ("missing.pem", None, "missing.pem: "),
            ("empty.pem", Some(""), "there is no certificate in it"),
            ("other.pem", Some("-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"), "other.pem: "),
        ] {
            let error = told(name, text);
            assert!(error.starts_with("`ca` ") && error.contains(expect), "{error}");
        }
    }
}

//! OpenAPI documents at an address. They are read at the start and cached beside the database, so that a project starts
//! while the address does not respond.

use std::path::Path;
use std::time::{Duration, SystemTime};

use baton_core::bundle::ContentHash;
use baton_tools::ToolsConfig;
use serde_json::Value;

/// The cache folder.
pub const FOLDER: &str = "apis";
/// How long a cached document is used without asking the address.
const CACHE_TTL: Duration = Duration::from_secs(60 * 60);

/// Whether a document is referenced by an address and not by a file.
pub fn is_address(named: &str) -> bool {
    named.starts_with("https://") || named.starts_with("http://")
}

/// A document, and where it came from.
pub struct FetchedDocument {
    pub document: Value,
    /// When the address was last asked.
    pub asked_at: SystemTime,
    /// Why that request failed, so that the earlier document is in use.
    pub last_error: Option<String>,
}

/// Fetches the document, unless the cached copy is recent and `is_wanted` is false. Falls back to the cached copy if
/// the address cannot be read.
pub fn fetch(address: &str, settings: &ToolsConfig, folder: &Path, is_wanted: bool) -> anyhow::Result<FetchedDocument> {
    let hash = ContentHash::of(address.as_bytes());
    let path = folder.join(format!("{}.document", hash.as_str()));
    let now = SystemTime::now();
    let at = std::fs::metadata(&path).ok().and_then(|meta| meta.modified().ok());
    let is_fresh = |at: &SystemTime| !is_wanted && now.duration_since(*at).is_ok_and(|age| age < CACHE_TTL);
    if let Some(asked_at) = at.filter(is_fresh)
        && let Ok(document) = read_cached(&path, address)
    {
        return Ok(FetchedDocument { document, asked_at, last_error: None });
    }
    let read =
        download(address, settings).map_err(anyhow::Error::msg).and_then(|text| Ok((value(&text, address)?, text)));
    match read {
        Ok((document, text)) => {
            super::files::write_cache(&path, &text);
            Ok(FetchedDocument { document, asked_at: now, last_error: None })
        }
        Err(reason) => read_cached(&path, address)
            .map(|document| {
                let reason = format!("{reason:#}");
                tracing::warn!(address, reason, "the document cannot be read; the kept one stands");
                FetchedDocument { document, asked_at: now, last_error: Some(reason) }
            })
            // There is no cached copy: report why the address could not be read.
            .map_err(|_| reason),
    }
}

/// Downloads on a thread of its own, because the caller may already be inside a runtime.
fn download(address: &str, settings: &ToolsConfig) -> Result<Vec<u8>, String> {
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(baton_tools::document(address, settings))
        });
        read.join().unwrap_or_else(|_| Err("the document cannot be read".to_owned()))
    })
}

fn read_cached(path: &Path, address: &str) -> anyhow::Result<Value> {
    value(&super::read(path)?, address)
}

/// JSON may be as large as a document. YAML may be as large as a definition.
fn value(text: &[u8], address: &str) -> anyhow::Result<Value> {
    match serde_json::from_slice(text) {
        Ok(document) => Ok(document),
        Err(_) => super::files::parse_value(text, address),
    }
}

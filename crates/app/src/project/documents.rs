//! OpenAPI documents at an address: read at the start, kept beside the database, so that a project starts while the
//! address does not answer.

use std::path::Path;
use std::time::{Duration, SystemTime};

use baton_core::bundle::ContentHash;
use baton_tools::ToolsConfig;
use serde_json::Value;

/// The folder of what is kept.
pub const FOLDER: &str = "apis";
/// How long a document is taken as it is, without asking.
const CACHE_TTL: Duration = Duration::from_secs(60 * 60);

/// Whether a document is named by an address and not by a file.
pub fn is_address(named: &str) -> bool {
    named.starts_with("https://") || named.starts_with("http://")
}

/// A document, and how it was come by.
pub struct FetchedDocument {
    pub document: Value,
    /// When the address was asked last.
    pub asked_at: SystemTime,
    /// Why it did not answer then, so that the one of before stands.
    pub last_error: Option<String>,
}

/// The document, anew unless it was read a little while ago or `is_wanted` now; the kept one where it cannot be read.
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
            // What is kept is not there: the reason that counts is why it could not be read.
            .map_err(|_| reason),
    }
}

/// On a thread of its own, for whoever calls may be within a runtime already.
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

/// JSON may be as large as a document may be; YAML as large as a definition.
fn value(text: &[u8], address: &str) -> anyhow::Result<Value> {
    match serde_json::from_slice(text) {
        Ok(document) => Ok(document),
        Err(_) => super::files::parse_value(text, address),
    }
}

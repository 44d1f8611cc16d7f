//! OpenAPI documents at an address: read at the start, kept beside the database, so that a project starts while the
//! address does not answer.

use std::path::Path;
use std::time::{Duration, SystemTime};

use baton_core::bundle::Hash;
use baton_tools::Config;
use serde_json::Value;

/// The folder of what is kept.
pub const FOLDER: &str = "apis";
/// How long a document is taken as it is, without asking.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// Whether a document is named by an address and not by a file.
pub fn is_address(named: &str) -> bool {
    named.starts_with("https://") || named.starts_with("http://")
}

/// The document, anew unless it was read a little while ago; the kept one where it cannot be read.
pub fn at(address: &str, settings: &Config, folder: &Path) -> anyhow::Result<Value> {
    let hash = Hash::of(address.as_bytes());
    let path = folder.join(format!("{}.document", hash.as_str()));
    let age =
        std::fs::metadata(&path).ok().and_then(|meta| SystemTime::now().duration_since(meta.modified().ok()?).ok());
    if age.is_some_and(|age| age < FRESH)
        && let Ok(document) = kept(&path, address)
    {
        return Ok(document);
    }
    let read = read(address, settings).map_err(anyhow::Error::msg).and_then(|text| Ok((value(&text, address)?, text)));
    match read {
        Ok((document, text)) => {
            super::files::keep(&path, &text);
            Ok(document)
        }
        Err(reason) => kept(&path, address)
            .inspect(|_| {
                tracing::warn!(
                    address,
                    reason = format!("{reason:#}"),
                    "the document cannot be read; the kept one stands"
                );
            })
            // What is kept is not there: the reason that counts is why it could not be read.
            .map_err(|_| reason),
    }
}

/// On a thread of its own, for whoever calls may be within a runtime already.
fn read(address: &str, settings: &Config) -> Result<Vec<u8>, String> {
    std::thread::scope(|scope| {
        let read = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| error.to_string())?.block_on(baton_tools::document(address, settings))
        });
        read.join().unwrap_or_else(|_| Err("the document cannot be read".to_owned()))
    })
}

fn kept(path: &Path, address: &str) -> anyhow::Result<Value> {
    value(&super::read(path)?, address)
}

/// JSON may be as large as a document may be; YAML as large as a definition.
fn value(text: &[u8], address: &str) -> anyhow::Result<Value> {
    match serde_json::from_slice(text) {
        Ok(document) => Ok(document),
        Err(_) => super::files::value_of(text, address),
    }
}

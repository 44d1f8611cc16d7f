//! The responses of an embeddings server.

use serde::Deserialize;
use serde_json::Value;

/// Maximum characters quoted from a server's error message.
const MESSAGE_CHARS_MAX: usize = 300;

#[derive(Deserialize)]
struct EmbeddingBody {
    data: Vec<EmbeddingItem>,
}

#[derive(Deserialize)]
struct EmbeddingItem {
    /// Some servers omit it; the order is then that of the request.
    index: Option<usize>,
    embedding: Vec<f32>,
}

/// Returns one vector per text, in their order, or what is wrong with the response.
pub(super) fn vectors(bytes: &[u8], texts: usize, dimensions: usize) -> Result<Vec<Vec<f32>>, String> {
    let body: EmbeddingBody =
        serde_json::from_slice(bytes).map_err(|error| format!("its answer is no list of vectors: {error}"))?;
    if body.data.len() != texts {
        return Err(format!("it answered {} vectors for {texts} texts", body.data.len()));
    }
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (place, item) in body.data.into_iter().enumerate() {
        if item.embedding.len() != dimensions {
            let found = item.embedding.len();
            return Err(format!(
                "its vectors have {found} dimensions, and {dimensions} are expected: write `dimensions`"
            ));
        }
        if !item.embedding.iter().all(|value| value.is_finite()) {
            return Err("a vector holds what is no number".to_owned());
        }
        let slot = vectors.get_mut(item.index.unwrap_or(place)).ok_or("it answered an index that was not asked for")?;
        *slot = Some(item.embedding);
    }
    vectors.into_iter().collect::<Option<_>>().ok_or_else(|| "it answered one text twice".to_owned())
}

#[derive(Deserialize)]
struct EmbeddingUsageBody {
    usage: Option<EmbeddingUsage>,
}

#[derive(Deserialize)]
struct EmbeddingUsage {
    total_tokens: Option<u64>,
    prompt_tokens: Option<u64>,
}

/// The tokens that the server counted; `None` if it counted none.
pub(super) fn tokens(bytes: &[u8]) -> Option<u64> {
    let usage = serde_json::from_slice::<EmbeddingUsageBody>(bytes).ok()?.usage?;
    usage.total_tokens.max(usage.prompt_tokens)
}

/// Extracts a server's error message, in the forms that servers use.
pub(super) fn server_message(bytes: &[u8]) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let said = [value.pointer("/error/message"), value.get("error"), value.get("message"), value.get("detail")];
    let said = said.into_iter().flatten().find_map(Value::as_str);
    let text = said.map_or_else(|| String::from_utf8_lossy(bytes).into_owned(), str::to_owned);
    match text.trim() {
        "" => "no words".to_owned(),
        text => text.chars().take(MESSAGE_CHARS_MAX).collect(),
    }
}

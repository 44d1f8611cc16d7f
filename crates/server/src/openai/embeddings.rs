//! `POST /v1/embeddings`: vectors from the embedder that the project's memory uses. Their cost is charged to the
//! tenant and the key, within the budgets of both.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_ports::embed::{self, Embedder, EmbeddingPayer, EmbeddingRole, TEXTS_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admission::AdmittedRequest;
use super::error::OpenAiError;
use crate::body;
use crate::code;
use crate::problem::HttpProblem;
use crate::state::AppState;

/// Maximum number of texts in one request, as in OpenAI's API.
const INPUTS_MAX: usize = 2_048;
/// Estimated number of bytes per token, for the reported usage. The actual tokens are not counted.
const BYTES_PER_TOKEN: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmbeddingsBody {
    model: String,
    input: EmbeddingsInput,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default)]
    dimensions: Option<usize>,
    /// The end user. Not stored.
    #[serde(default)]
    #[expect(dead_code, reason = "every client may send it")]
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum EmbeddingsInput {
    One(String),
    Many(Vec<String>),
    /// Token ids of some model.
    Tokens(#[expect(dead_code, reason = "refused")] Value),
}

/// The encoding of a vector.
enum VectorEncoding {
    Numbers,
    /// Little-endian, four bytes per number. The default of the Python client.
    Base64,
}

pub(crate) async fn embed(State(state): State<AppState>, request: Request) -> Result<Response, OpenAiError> {
    let intake = AdmittedRequest::of(state, request).await?;
    if body::is_list(&intake.body) {
        return Err(OpenAiError::invalid("body", "the body is a list, and a request for embeddings is an object"));
    }
    let wire: EmbeddingsBody = serde_json::from_slice(&intake.body)
        .map_err(|error| OpenAiError::invalid("body", format!("the body is not a request for embeddings: {error}")))?;
    let embedder = &intake.state.admin_services()?.embedder;
    let texts = wire.texts(&**embedder)?;
    let encoding = match wire.encoding_format.as_deref() {
        None | Some("float") => VectorEncoding::Numbers,
        Some("base64") => VectorEncoding::Base64,
        Some(other) => {
            let message = format!("`{other}` is no format; write `float` or `base64`");
            return Err(OpenAiError::invalid("encoding_format", message));
        }
    };
    let payer = EmbeddingPayer { tenant: intake.key.tenant.clone(), key_id: Some(intake.key.id.clone()) };
    let mut data = Vec::with_capacity(texts.len());
    for some in texts.chunks(TEXTS_MAX) {
        // The request does not say how the vectors will be used, so all texts are embedded alike.
        for vector in embedder.embed(&payer, some, EmbeddingRole::Passage).await? {
            data.push(json!({ "object": "embedding", "index": data.len(), "embedding": encoding.write(&vector) }));
        }
    }
    let tokens: usize = texts.iter().map(|text| text.len().div_ceil(BYTES_PER_TOKEN)).sum();
    let answer = json!({
        "object": "list",
        "data": data,
        "model": embedder.space().name,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    });
    let mut response = Json(answer).into_response();
    intake.set_rate_headers(&mut response);
    Ok(response)
}

impl EmbeddingsBody {
    fn texts(&self, embedder: &dyn Embedder) -> Result<Vec<String>, OpenAiError> {
        let space = embedder.space();
        if self.model != space.name {
            return Err(OpenAiError::model_not_found(&self.model).suggesting(&space.name));
        }
        if let Some(dimensions) = self.dimensions.filter(|dimensions| *dimensions != space.dimensions) {
            let message =
                format!("vectors of `{}` have {} numbers, and not {dimensions}", space.name, space.dimensions);
            return Err(OpenAiError::invalid("dimensions", message));
        }
        let texts = match &self.input {
            EmbeddingsInput::One(text) => vec![text.clone()],
            EmbeddingsInput::Many(texts) => texts.clone(),
            EmbeddingsInput::Tokens(_) => {
                return Err(OpenAiError::invalid(
                    "input",
                    "write a text or a list of texts: numbers of tokens are not taken",
                ));
            }
        };
        if texts.is_empty() || texts.len() > INPUTS_MAX {
            let message = format!("there are {} texts; 1 to {INPUTS_MAX} are taken", texts.len());
            return Err(OpenAiError::invalid("input", message));
        }
        if let Some(place) = texts.iter().position(String::is_empty) {
            return Err(OpenAiError::invalid(&format!("input[{place}]"), "an empty text has no meaning"));
        }
        Ok(texts)
    }
}

impl VectorEncoding {
    fn write(&self, vector: &[f32]) -> Value {
        match self {
            Self::Numbers => json!(vector),
            Self::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                STANDARD.encode(bytes).into()
            }
        }
    }
}

impl From<embed::EmbeddingError> for OpenAiError {
    fn from(error: embed::EmbeddingError) -> Self {
        let said = error.to_string();
        match error {
            embed::EmbeddingError::Unavailable { retry_after, .. } => {
                let problem = HttpProblem::new(StatusCode::SERVICE_UNAVAILABLE, code::KNOWLEDGE_UNAVAILABLE, said);
                HttpProblem { retry_after, ..problem }.into()
            }
            embed::EmbeddingError::Rejected { .. } => {
                HttpProblem::new(StatusCode::BAD_GATEWAY, code::KNOWLEDGE_REFUSED, said).into()
            }
            embed::EmbeddingError::OverBudget { code, retry_after, .. } => {
                let status = match code.as_str() {
                    "BUDGET_EXCEEDED" => StatusCode::TOO_MANY_REQUESTS,
                    _ => StatusCode::BAD_REQUEST,
                };
                HttpProblem { retry_after, ..HttpProblem::new(status, code, said) }.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_written_as_numbers_or_as_their_bytes() {
        let vector = [0.5_f32, -1.0];
        assert_eq!(VectorEncoding::Numbers.write(&vector), json!([0.5, -1.0]));
        assert_eq!(VectorEncoding::Base64.write(&vector), json!("AAAAPwAAgL8="));
    }
}

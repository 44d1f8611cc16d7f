//! `POST /v1/embeddings`: vectors of the embedder that the project's memory uses. What they cost is
//! the tenant's and the key's, within the budgets of both.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use baton_ports::embed::{self, Embedder, Payer, Role, TEXTS_MAX};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::Error;
use super::intake::Intake;
use crate::body;
use crate::code;
use crate::door::Door;
use crate::problem::Problem;

/// Texts of one request; what OpenAI takes.
const INPUTS_MAX: usize = 2_048;
/// Bytes that are counted as one token, where nobody counts them.
const BYTES_PER_TOKEN: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    model: String,
    input: Input,
    #[serde(default)]
    encoding_format: Option<String>,
    #[serde(default)]
    dimensions: Option<usize>,
    /// Whom it is for: nothing is kept of it here.
    #[serde(default)]
    #[expect(dead_code, reason = "every client may send it")]
    user: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
    /// Numbers of tokens of some model's.
    Tokens(#[expect(dead_code, reason = "refused")] Value),
}

/// How a vector is written.
enum Encoding {
    Numbers,
    /// Little-endian, four bytes a number: what the Python client asks for unless told.
    Base64,
}

pub(crate) async fn embed(State(door): State<Door>, request: Request) -> Result<Response, Error> {
    let intake = Intake::of(door, request).await?;
    if body::is_list(&intake.body) {
        return Err(Error::invalid("body", "the body is a list, and a request for embeddings is an object"));
    }
    let wire: Wire = serde_json::from_slice(&intake.body)
        .map_err(|error| Error::invalid("body", format!("the body is not a request for embeddings: {error}")))?;
    let embedder = &intake.door.house()?.embedder;
    let texts = wire.texts(&**embedder)?;
    let encoding = match wire.encoding_format.as_deref() {
        None | Some("float") => Encoding::Numbers,
        Some("base64") => Encoding::Base64,
        Some(other) => {
            let message = format!("`{other}` is no format; write `float` or `base64`");
            return Err(Error::invalid("encoding_format", message));
        }
    };
    let payer = Payer { tenant: intake.key.tenant.clone(), key_id: Some(intake.key.id.clone()) };
    let mut data = Vec::with_capacity(texts.len());
    for some in texts.chunks(TEXTS_MAX) {
        // Whoever asks says not what they are for, so all are treated alike.
        for vector in embedder.embed(&payer, some, Role::Passage).await? {
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
    intake.say_turn(&mut response);
    Ok(response)
}

impl Wire {
    fn texts(&self, embedder: &dyn Embedder) -> Result<Vec<String>, Error> {
        let space = embedder.space();
        if self.model != space.name {
            return Err(Error::no_model(&self.model).instead(&space.name));
        }
        if let Some(dimensions) = self.dimensions.filter(|dimensions| *dimensions != space.dimensions) {
            let message =
                format!("vectors of `{}` have {} numbers, and not {dimensions}", space.name, space.dimensions);
            return Err(Error::invalid("dimensions", message));
        }
        let texts = match &self.input {
            Input::One(text) => vec![text.clone()],
            Input::Many(texts) => texts.clone(),
            Input::Tokens(_) => {
                return Err(Error::invalid(
                    "input",
                    "write a text or a list of texts: numbers of tokens are not taken",
                ));
            }
        };
        if texts.is_empty() || texts.len() > INPUTS_MAX {
            let message = format!("there are {} texts; 1 to {INPUTS_MAX} are taken", texts.len());
            return Err(Error::invalid("input", message));
        }
        if let Some(place) = texts.iter().position(String::is_empty) {
            return Err(Error::invalid(&format!("input[{place}]"), "an empty text has no meaning"));
        }
        Ok(texts)
    }
}

impl Encoding {
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

impl From<embed::Error> for Error {
    fn from(error: embed::Error) -> Self {
        let said = error.to_string();
        match error {
            embed::Error::Unavailable { retry_after, .. } => {
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, code::KNOWLEDGE_UNAVAILABLE, said);
                Problem { retry_after, ..problem }.into()
            }
            embed::Error::Rejected { .. } => {
                Problem::new(StatusCode::BAD_GATEWAY, code::KNOWLEDGE_REFUSED, said).into()
            }
            embed::Error::Unpaid { code, retry_after, .. } => {
                let status = match code.as_str() {
                    "BUDGET_EXCEEDED" => StatusCode::TOO_MANY_REQUESTS,
                    _ => StatusCode::BAD_REQUEST,
                };
                Problem { retry_after, ..Problem::new(status, code, said) }.into()
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
        assert_eq!(Encoding::Numbers.write(&vector), json!([0.5, -1.0]));
        assert_eq!(Encoding::Base64.write(&vector), json!("AAAAPwAAgL8="));
    }
}

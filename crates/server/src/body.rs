//! A request's body, read once somebody may be answered.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{DefaultBodyLimit, FromRequest as _};
use axum::http::Request;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::door::Limits;
use crate::problem::Problem;

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Over [`Limits::body_bytes`], or said to be.
    TooLarge,
    /// Not there within [`Limits::body`].
    TooSlow,
    /// The connection ended first, or what came is no body.
    CutOff,
}

/// Reads a body of JSON within its limits; nothing at all counts as an empty object.
pub(crate) async fn json<T: DeserializeOwned>(body: Body, limits: Limits) -> Result<T, Problem> {
    let bytes = read(body, limits).await.map_err(|unread| Problem::unread(&unread, limits))?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(text).map_err(|error| Problem::unfit(&error))
}

/// As [`json`], with what was said word for word beside.
pub(crate) async fn said<T: DeserializeOwned>(body: Body, limits: Limits) -> Result<(Value, T), Problem> {
    let said: Value = json(body, limits).await?;
    let typed = serde_json::from_value(said.clone()).map_err(|error| Problem::unfit(&error))?;
    Ok((said, typed))
}

/// Reads a body within its limits. Call it where the key and the place are settled: until then nothing is read, so a
/// connection that nobody answers for costs no memory.
pub(crate) async fn read(body: Body, limits: Limits) -> Result<Bytes, Unread> {
    let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if said > limits.body_bytes {
        return Err(Unread::TooLarge);
    }
    let mut request = Request::new(body);
    DefaultBodyLimit::max(limits.body_bytes).apply(&mut request);
    match tokio::time::timeout(limits.body, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::CutOff),
        Err(_elapsed) => Err(Unread::TooSlow),
    }
}

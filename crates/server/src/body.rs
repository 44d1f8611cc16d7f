//! Reads request bodies, after the request is authenticated and routed.

pub(crate) mod body_budget;

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::pin::Pin;

use axum::body::{Body, Bytes, HttpBody as _};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::problem::HttpProblem;
use crate::state::ServerLimits;

/// Why a body could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyReadError {
    /// The body is larger than [`ServerLimits::body_bytes`], or its header announces more.
    TooLarge,
    /// The body did not arrive within [`ServerLimits::body_timeout`].
    TooSlow,
    /// The connection ended early, or the body is malformed.
    CutOff,
    /// The bodies of all requests together exceed [`ServerLimits::bodies_bytes`].
    Exceeded,
}

/// Reads a JSON object within its limits. An empty body counts as an empty object. A list is refused.
pub(crate) async fn json<T: DeserializeOwned>(body: Body, limits: ServerLimits) -> Result<T, HttpProblem> {
    let bytes = read(body, limits).await.map_err(|unread| HttpProblem::unreadable_body(&unread, limits))?;
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    if is_list(text) {
        return Err(HttpProblem::not_an_object());
    }
    serde_json::from_slice(text)
        .or_else(|error| retry_integers(serde_json::from_slice(text).unwrap_or_default(), &error))
}

/// Like [`json`], and also returns the raw JSON value.
pub(crate) async fn json_with_raw<T: DeserializeOwned>(
    body: Body,
    limits: ServerLimits,
) -> Result<(Value, T), HttpProblem> {
    let said: Value = json(body, limits).await?;
    let typed = T::deserialize(&said).or_else(|error| retry_integers(said.clone(), &error))?;
    Ok((said, typed))
}

/// Deserialises a whole number within the given limits. The error names the limits; serde's own would mention `u8`.
pub(crate) fn integer_in_range<'de, D, T>(from: D, name: &str, limits: RangeInclusive<i64>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64>,
{
    let said = Value::deserialize(from)?;
    let within = said.as_i64().filter(|number| limits.contains(number)).and_then(|number| T::try_from(number).ok());
    within.ok_or_else(|| {
        let found = if said.is_number() { format!(", not {said}") } else { String::new() };
        D::Error::custom(format!("`{name}` is a whole number from {} to {}{found}", limits.start(), limits.end()))
    })
}

/// Reads a refused body again, with each `2.0` written as `2`. To JSON Schema both are the same whole number; to
/// serde they are not.
fn retry_integers<T: DeserializeOwned>(mut said: Value, refused: &serde_json::Error) -> Result<T, HttpProblem> {
    if !refused.is_data() || !normalize_integers(&mut said) {
        return Err(HttpProblem::invalid_json(refused));
    }
    serde_json::from_value(said).map_err(|error| HttpProblem::invalid_json(&error))
}

/// Whether any number was changed.
fn normalize_integers(value: &mut Value) -> bool {
    /// The largest magnitude up to which every whole number has an exact float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            let whole = number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() <= EXACT);
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and far within the range")]
            whole.map(|whole| *number = (whole as i64).into()).is_some()
        }
        Value::Array(items) => items.iter_mut().fold(false, |changed, item| normalize_integers(item) | changed),
        Value::Object(fields) => fields.values_mut().fold(false, |changed, field| normalize_integers(field) | changed),
        _ => false,
    }
}

/// Whether the text is a JSON list, which serde would read as the fields of a struct, in order.
pub(crate) fn is_list(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'[')
}

/// Reads a body within its limits. Call it after authentication and routing: nothing is read before, so
/// unauthenticated connections cost no memory.
pub(crate) async fn read(body: Body, limits: ServerLimits) -> Result<Bytes, BodyReadError> {
    let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if said > limits.body_bytes {
        return Err(BodyReadError::TooLarge);
    }
    let whole = read_all(body, said, limits.body_bytes);
    tokio::time::timeout(limits.body_timeout, whole).await.unwrap_or(Err(BodyReadError::TooSlow))
}

/// Reads the whole body. A body that arrives in one piece, as most do, is returned without a copy. For a larger
/// one, its announced size is allocated at once, so that it is never moved.
async fn read_all(mut body: Body, said: usize, bytes_max: usize) -> Result<Bytes, BodyReadError> {
    let Some(first) = next_chunk(&mut body, bytes_max).await? else { return Ok(Bytes::new()) };
    let Some(second) = next_chunk(&mut body, bytes_max - first.len()).await? else { return Ok(first) };
    let mut whole = Vec::with_capacity(said.max(first.len() + second.len()));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(more) = next_chunk(&mut body, bytes_max - whole.len()).await? {
        whole.extend_from_slice(&more);
    }
    Ok(whole.into())
}

/// The next piece of a body that may have at most this many more bytes, or `None` at its end.
async fn next_chunk(body: &mut Body, bytes_max: usize) -> Result<Option<Bytes>, BodyReadError> {
    loop {
        // A body that has already ended is not polled.
        let next = if body.is_end_stream() { None } else { poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await };
        let Some(frame) = next else { return Ok(None) };
        // Frames without data are trailers, which are ignored.
        let Ok(data) = frame.map_err(read_error)?.into_data() else { continue };
        return if data.len() > bytes_max { Err(BodyReadError::TooLarge) } else { Ok(Some(data)) };
    }
}

fn read_error(error: axum::Error) -> BodyReadError {
    let cause = error.into_inner();
    if cause.is::<body_budget::BodyBudgetError>() { BodyReadError::Exceeded } else { BodyReadError::CutOff }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    /// Reads a body made of these pieces, with a limit of four bytes; `!` breaks it off.
    async fn of(pieces: &'static [&'static str]) -> Result<String, BodyReadError> {
        let piece = |piece: &&'static str| if *piece == "!" { Err("broken off") } else { Ok(*piece) };
        let body = Body::from_stream(stream::iter(pieces.iter().map(piece)));
        let limits = ServerLimits { body_bytes: 4, ..ServerLimits::default() };
        read(body, limits).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn a_body_is_read_whole_in_however_many_pieces_it_comes_and_never_beyond_its_limit() {
        let whole = |text: &str| Ok(text.to_owned());
        assert_eq!(of(&[]).await, whole(""));
        assert_eq!(of(&["abcd"]).await, whole("abcd"));
        assert_eq!(of(&["ab", "cd"]).await, whole("abcd"));
        assert_eq!(of(&["a", "", "b", "c"]).await, whole("abc"));
        for too_large in [&["abcde"][..], &["abcd", "e"], &["ab", "c", "de"]] {
            assert_eq!(of(too_large).await, Err(BodyReadError::TooLarge), "{too_large:?}");
        }
        for cut_off in [&["!"][..], &["a", "!"], &["a", "b", "!"]] {
            assert_eq!(of(cut_off).await, Err(BodyReadError::CutOff), "{cut_off:?}");
        }
    }

    #[tokio::test]
    async fn a_whole_number_may_be_written_with_a_point() {
        #[derive(serde::Deserialize, PartialEq, Debug)]
        #[serde(deny_unknown_fields)]
        struct WholeNumberFields {
            revision: u32,
            of: Option<Vec<i64>>,
            share: Option<f64>,
        }
        let read =
            async |text: &'static str| json::<WholeNumberFields>(Body::from(text), ServerLimits::default()).await.ok();
        let fields = |revision, of, share| Some(WholeNumberFields { revision, of, share });
        assert_eq!(read(r#"{"revision": 2661.0}"#).await, fields(2661, None, None));
        let all = r#"{"revision": 2e3, "of": [-7.0, 8], "share": 0.5}"#;
        assert_eq!(read(all).await, fields(2000, Some(vec![-7, 8]), Some(0.5)));
        let (word_for_word, typed) =
            json_with_raw::<WholeNumberFields>(Body::from(all), ServerLimits::default()).await.expect("it is read");
        assert_eq!((word_for_word["revision"].as_f64(), typed.revision), (Some(2e3), 2000));
        for text in ["2661.5", "-1.0", "4294967296.0", "1e300", "\"2.0\"", "null"] {
            let body = Body::from(format!("{{\"revision\": {text}}}"));
            let refused = json::<WholeNumberFields>(body, ServerLimits::default()).await.expect_err(text);
            assert_eq!(refused.status, 422, "{text}: {}", refused.detail);
        }
    }

    #[tokio::test]
    async fn a_number_out_of_its_limits_is_told_them_by_its_name() {
        #[derive(serde::Deserialize)]
        struct ScoreFields {
            #[serde(deserialize_with = "score")]
            score: u8,
        }
        fn score<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
            integer_in_range(from, "score", 1..=5)
        }
        let read = async |text: &'static str| json::<ScoreFields>(Body::from(text), ServerLimits::default()).await;
        for text in [r#"{"score": 5}"#, r#"{"score": 5.0}"#] {
            assert_eq!(read(text).await.expect(text).score, 5);
        }
        for number in ["0", "6", "300", "-1", "4.5", "1e30", "\"5\"", "null", "[5]"] {
            let text: &'static str = format!("{{\"score\": {number}}}").leak();
            let refused = read(text).await.err().expect(text);
            assert_eq!((refused.status.as_u16(), refused.code.as_str()), (422, "BODY_INVALID"), "{text}");
            assert!(refused.detail.contains("`score` is a whole number from 1 to 5"), "{text}: {}", refused.detail);
        }
    }

    #[tokio::test]
    async fn a_list_is_not_taken_for_an_object_whose_fields_it_would_fill_in_their_order() {
        #[derive(serde::Deserialize)]
        struct PeriodFields {
            days: Option<u32>,
        }
        let days = async |text: &'static str| {
            json::<PeriodFields>(Body::from(text), ServerLimits::default()).await.map(|it| it.days)
        };
        assert!(matches!(days("").await, Ok(None)) && matches!(days(" {\"days\": 7}").await, Ok(Some(7))));
        for text in ["[7]", " [null]", "[]", "7", "null"] {
            let refused = days(text).await.expect_err(text);
            assert_eq!(refused.status, 422, "{text}: {}", refused.detail);
        }
    }
}

//! Distributed tracing of a run, in the format of W3C Trace Context: `00-TRACE-SPAN-FLAGS`.
//!
//! Ids that are not given from outside are derived from the run's own id. So nothing has to be stored, and a new owner
//! of the run derives the same ids.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::id::RunId;
use crate::run::EffectId;

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// A span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    pub trace: TraceId,
    pub span: SpanId,
}

/// The text is not a valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParentError;

impl FromStr for SpanContext {
    type Err = TraceParentError;

    /// Additional fields of later versions are ignored, as the standard requires.
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(TraceParentError);
        let (version, trace, span, flags) = (next()?, next()?, next()?, next()?);
        let has_more = parts.next().is_some();
        let [version]: [u8; 1] = bytes(version)?;
        let [_flags]: [u8; 1] = bytes(flags)?;
        let (trace, span): (TraceId, SpanId) = (bytes(trace)?, bytes(span)?);
        let is_one = version != 0xff && !(version == 0 && has_more) && trace != [0; 16] && span != [0; 8];
        is_one.then_some(Self { trace, span }).ok_or(TraceParentError)
    }
}

/// Parses two digits per byte, in lower case.
fn bytes<const N: usize>(text: &str) -> Result<[u8; N], TraceParentError> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(is_hex) {
        return Err(TraceParentError);
    }
    let mut read = [0; N];
    for (byte, place) in read.iter_mut().zip(0..N) {
        let digits = text.get(2 * place..2 * place + 2).ok_or(TraceParentError)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| TraceParentError)?;
    }
    Ok(read)
}

/// The outgoing form; spans are always marked as sampled.
impl fmt::Display for SpanContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-01")
    }
}

/// Returns the trace of a run without an external one; its child runs share it.
pub fn trace_of(run: &RunId) -> TraceId {
    let outermost = run.as_str().split('/').next().unwrap_or_default();
    let mut id = TraceId::default();
    id.copy_from_slice(&digest(&["trace", outermost])[..16]);
    id
}

/// Returns the span of a run's call; another attempt under a new key has another span.
pub fn span_of(run: &RunId, effect: &EffectId) -> SpanId {
    let key = effect.call.key(run);
    match effect.generation {
        0 => derived_span(&["call", &key]),
        anew => derived_span(&["call", &key, &anew.to_string()]),
    }
}

/// Returns the span that is derived from these words.
pub fn derived_span(words: &[&str]) -> SpanId {
    let mut id = SpanId::default();
    id.copy_from_slice(&digest(words)[..8]);
    id
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_told_is_read_as_the_standard_has_it() {
        let parent: SpanContext = GIVEN.parse().expect("is one");
        assert_eq!((parent.trace[0], parent.span[7]), (0x4b, 0xb7));
        assert_eq!(parent.to_string(), GIVEN);
        assert_eq!(
            GIVEN.replace("-01", "-00").parse::<SpanContext>(),
            Ok(parent),
            "whether others record it is their own matter"
        );
        assert_eq!(format!("42{}-more", &GIVEN[2..]).parse::<SpanContext>(), Ok(parent), "a version of later");
    }

    #[test]
    fn what_is_none_is_told_from_what_is() {
        let wrong = [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-ébf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ];
        for text in wrong {
            assert_eq!(text.parse::<SpanContext>(), Err(TraceParentError), "{text}");
        }
    }
}

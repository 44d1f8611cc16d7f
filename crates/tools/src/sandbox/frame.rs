//! The protocol between the parent and the child: JSON preceded by its length. Both run the same binary, so the
//! format has no version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Maximum size of one request, in bytes: a source, its inputs, a snapshot, results.
pub(super) const ORDER_BYTES_MAX: usize = 64 << 20;
/// Maximum size of one response, in bytes. Text may grow sixfold as JSON; the limits below are far enough under it.
pub(super) const ANSWER_BYTES_MAX: usize = 32 << 20;
/// The largest limit that settings may set for printed output and for a result.
pub(super) const OUTPUT_BYTES_MAX: usize = 2 << 20;
/// Maximum size of the arguments of all calls of one pause together, in bytes of JSON.
pub(super) const ARGUMENTS_BYTES_MAX: usize = 1 << 20;
/// Maximum size of a program's source, in bytes.
pub(super) const SOURCE_BYTES_MAX: usize = 256 << 10;
/// Maximum size of an error message that a program sees, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Maximum nesting depth of lists and objects, in arguments and results.
pub(super) const VALUE_DEPTH_MAX: usize = 64;

/// Bytes in front of each frame: its length, little-endian.
pub(super) const LENGTH_BYTES: usize = 4;

/// A request from the parent to the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChildRequest {
    pub(super) work: ChildWork,
    /// Names under which it may call tools.
    pub(super) functions: Vec<String>,
    /// Whether its calls are awaited.
    pub(super) awaits: bool,
    pub(super) budget: ChildBudget,
}

/// The remaining limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChildBudget {
    pub(super) memory_bytes: usize,
    pub(super) time_ms: u64,
    pub(super) recursion: usize,
    /// Bytes that may still be printed.
    pub(super) printed_bytes: usize,
    /// Maximum size of the result, in bytes.
    pub(super) output_bytes: usize,
    pub(super) calls: usize,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChildWork {
    Start {
        source: String,
        inputs: BTreeMap<String, Value>,
    },
    /// `state` is base64; the results are those of the calls it paused for, in order.
    Resume {
        state: String,
        results: Vec<CallReply>,
    },
    Replay {
        source: String,
        inputs: BTreeMap<String, Value>,
        calls: Vec<(ProgramCall, CallReply)>,
    },
}

/// The result of a call, as its program sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CallReply {
    Value(Value),
    /// Raised at the call.
    Error(String),
}

/// A call as its program makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ProgramCall {
    pub(super) function: String,
    pub(super) arguments: Value,
}

/// A response from the child to the parent.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChildResponse {
    /// The first response: the child waits for a request. It is confined and may use this much memory; `None` if it
    /// could not be confined, and was allowed to continue.
    Ready {
        memory_bytes: Option<u64>,
    },
    /// The first response if it cannot be confined: the reason.
    Refused(String),
    Finished {
        output: Value,
        printed: String,
    },
    Calls {
        calls: Vec<ProgramCall>,
        state: String,
        printed: String,
    },
    Failed {
        cause: ProgramFailureKind,
        message: String,
        printed: String,
    },
    Stale,
}

/// Why a program did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProgramFailureKind {
    /// The text is not a program.
    Invalid,
    Raised,
    Denied,
    Time,
    Memory,
    Recursion,
    Output,
    Calls,
    /// A value has no JSON form.
    Value,
    NotAwaited,
    Differs,
    /// Its state is too large to be stored.
    State,
    /// The snapshot cannot be read.
    Snapshot,
}

/// A frame exceeds the maximum size.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrameSizeError {
    pub(super) bytes: usize,
}

/// Encodes a value as a frame of at most `bytes_max`, preceded by its length.
pub(super) fn encode(value: &impl Serialize, bytes_max: usize) -> Result<Vec<u8>, FrameSizeError> {
    let mut frame = vec![0; LENGTH_BYTES];
    // Serialising these types into memory cannot fail; if it did, the frame would be empty and refused by the reader.
    if serde_json::to_writer(&mut frame, value).is_err() {
        frame.truncate(LENGTH_BYTES);
    }
    let bytes = frame.len() - LENGTH_BYTES;
    let length = u32::try_from(bytes).ok().filter(|_| bytes <= bytes_max).ok_or(FrameSizeError { bytes })?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Returns the length that a frame announces, if it is permitted.
pub(super) fn length(head: [u8; LENGTH_BYTES], bytes_max: usize) -> Result<usize, FrameSizeError> {
    let bytes = usize::try_from(u32::from_le_bytes(head)).unwrap_or(usize::MAX);
    if bytes <= bytes_max { Ok(bytes) } else { Err(FrameSizeError { bytes }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was_sent() {
        let answer = ChildResponse::Finished { output: json!({"a": [1, 2.5, null]}), printed: "\u{0}é".to_owned() };
        let frame = encode(&answer, 1_000).unwrap();
        let (head, body) = frame.split_at(LENGTH_BYTES);
        assert_eq!(length(head.try_into().unwrap(), 1_000), Ok(body.len()));
        assert_eq!(serde_json::from_slice::<ChildResponse>(body).unwrap(), answer);
    }

    #[test]
    fn what_is_too_long_is_neither_sent_nor_read() {
        assert_eq!(encode(&"x".repeat(9), 10), Err(FrameSizeError { bytes: 11 }));
        assert_eq!(length(11_u32.to_le_bytes(), 10), Err(FrameSizeError { bytes: 11 }));
        assert!(length(u32::MAX.to_le_bytes(), ANSWER_BYTES_MAX).is_err());
    }
}

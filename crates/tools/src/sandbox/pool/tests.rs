//! Tests the pool against foreign children: the responses of a process that a program has taken over.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::sandbox::frame::{ChildResponse, LENGTH_BYTES, encode};

/// A pool whose children report that they are ready, read the first bytes of a request, and send this response.
async fn answered(bytes: &[u8]) -> Result<ProgramOutcome, Fault> {
    let ready = encode(&ChildResponse::Ready { memory_bytes: None }, 1_000).unwrap();
    let script = format!("printf '{}'; head -c {LENGTH_BYTES} >&2; printf '{}'; cat >&2", octal(&ready), octal(bytes));
    let launch = LaunchCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()], folder: None };
    let config = serde_json::from_value::<SandboxConfig>(json!({"idle": 0, "time_seconds": 1})).unwrap();
    let pool = SandboxPool::new(config, launch).unwrap();
    let program =
        SandboxProgram::Start { source: "1".to_owned(), inputs: BTreeMap::new(), tools: vec!["find".to_owned()] };
    pool.run(&program, &pool.limits()).await
}

/// Formats bytes as octal escapes for `printf`.
fn octal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

fn framed(value: Value) -> Vec<u8> {
    encode(&value, 1_000).unwrap()
}

#[track_caller]
fn code(ran: Result<ProgramOutcome, Fault>) -> String {
    match ran {
        Ok(ProgramOutcome::Failed { fault, .. }) | Err(fault) => fault.code.into_owned(),
        Ok(other) => panic!("expected it to fail: {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_in_form_is_heard() {
    let ran = answered(&framed(json!({"finished": {"output": 5, "printed": ""}}))).await;
    assert_eq!(ran, Ok(ProgramOutcome::Finished { output: json!(5), printed: String::new() }));
}

#[tokio::test]
async fn frames_that_were_tampered_with_are_refused() {
    let call = |function: &str| {
        framed(json!({"calls": {"calls": [{"function": function, "arguments": {}}], "state": "AAAA", "printed": ""}}))
    };
    let mut cut = framed(json!({"finished": {"output": 5, "printed": ""}}));
    cut[0] -= 1;
    for (bytes, expected) in [
        (u32::MAX.to_le_bytes().to_vec(), "CODE_CRASHED"),
        (framed(json!("nonsense")), "CODE_CRASHED"),
        (framed(json!({"finished": {"output": 5}})), "CODE_CRASHED"),
        (framed(json!({"performed": "pay"})), "CODE_CRASHED"),
        (framed(json!({"ready": {"memory_bytes": null}})), "CODE_CRASHED"),
        (cut, "CODE_CRASHED"),
        (call("pay"), "CODE_CRASHED"),
        // One announces more than it sends, and one sends nothing at all: both are waited for until the time is up.
        (vec![9, 0, 0, 0, b'{'], "CODE_TIMEOUT"),
        (vec![], "CODE_TIMEOUT"),
    ] {
        assert_eq!(code(answered(&bytes).await), expected, "{bytes:?}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_refused_by_name() {
    for (settings, says) in [
        (json!({"children": 0}), "`children` is 0"),
        (json!({"recursion": 5_000}), "`recursion` is 5000; it may be 1 to 1000"),
        (json!({"memory_mb": 1}), "`memory_mb` is 1"),
        (json!({"output_bytes": 1 << 30}), "`output_bytes`"),
        (json!({"programs_per_child": 0}), "`programs_per_child`"),
        (json!({"snapshot_key": "short"}), "`snapshot_key` is shorter than 32"),
    ] {
        let launch = LaunchCommand { program: "/bin/sh".into(), arguments: Vec::new(), folder: None };
        let config = serde_json::from_value(settings).unwrap();
        let error = SandboxPool::new(config, launch).err().expect("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
}

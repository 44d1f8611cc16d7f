use std::collections::BTreeMap;

use baton_core::agent::SandboxProgram;
use baton_ports::sandbox::SandboxLimits;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::frame::ChildResponse;

const LIMITS: SandboxLimits =
    SandboxLimits { memory_bytes: 64 << 20, time: Duration::from_secs(1), recursion: 100, output_bytes: 20, calls: 2 };

/// The interpretation of a response to a program with two tools.
fn judged(answer: ChildResponse) -> Result<SegmentResult, &'static str> {
    let program = SandboxProgram::Start {
        source: String::new(),
        inputs: BTreeMap::new(),
        tools: vec!["find".to_owned(), "shop.pay".to_owned()],
    };
    let seal = SnapshotSeal::new(None);
    let leg = SegmentOrder::new(&program, LIMITS, &seal).unwrap_or_else(|ran| panic!("{ran:?}"));
    interpret(answer, &leg, Duration::ZERO, &seal)
}

fn calls(calls: &[(&str, Value)], state: &str, printed: &str) -> ChildResponse {
    let asked = |(function, arguments): &(&str, Value)| ProgramCall {
        function: (*function).to_owned(),
        arguments: arguments.clone(),
    };
    ChildResponse::Calls {
        calls: calls.iter().map(asked).collect(),
        state: state.to_owned(),
        printed: printed.to_owned(),
    }
}

#[track_caller]
fn disbelieved(answer: ChildResponse, says: &str) {
    let why = judged(answer).expect_err("is not believed");
    assert!(why.contains(says), "{why}");
}

#[test]
fn a_child_in_other_hands_gets_nothing_it_was_not_granted() {
    let [find, pay] = [("find", json!({})), ("shop_pay", json!({}))];
    assert!(judged(calls(&[find.clone(), pay.clone()], "AAAA", "")).is_ok());
    disbelieved(calls(&[("send_email", json!({}))], "AAAA", ""), "not granted");
    // A tool is addressed by its function's name only, never by its own.
    disbelieved(calls(&[("shop.pay", json!({}))], "AAAA", ""), "not granted");
    disbelieved(calls(&[find.clone(), find.clone(), find.clone()], "AAAA", ""), "more calls than it may");
    disbelieved(calls(&[], "AAAA", ""), "or for none");
    disbelieved(calls(&[("find", json!([1]))], "AAAA", ""), "not such as calls have");
    disbelieved(calls(&[("find", json!({"a": "x".repeat(ARGUMENTS_BYTES_MAX)}))], "AAAA", ""), "not such");
    disbelieved(calls(std::slice::from_ref(&find), "no base64!", ""), "not base64");
    disbelieved(calls(&[find], "AAAA", &"x".repeat(21)), "printed more");
    disbelieved(ChildResponse::Finished { output: json!("x".repeat(19)), printed: String::new() }, "result is larger");
    disbelieved(ChildResponse::Finished { output: json!(1), printed: "x".repeat(21) }, "printed more");
    disbelieved(ChildResponse::Ready { memory_bytes: None }, "just begun");
    disbelieved(ChildResponse::Refused(String::new()), "just begun");
}

#[test]
fn a_message_without_end_is_cut_and_a_state_without_end_refused() {
    let message = "é".repeat(100_000);
    let verdict =
        judged(ChildResponse::Failed { cause: ProgramFailureKind::Raised, message, printed: String::new() }).unwrap();
    let ProgramOutcome::Failed { fault, .. } = verdict.ran else { panic!("{verdict:?}") };
    assert!(fault.message.len() < 2 * MESSAGE_BYTES_MAX);

    let state = BASE64.encode(vec![0; baton_core::agent::SNAPSHOT_BYTES_MAX]);
    let verdict = judged(calls(&[("find", json!({}))], &state, "")).unwrap();
    assert!(matches!(verdict.ran, ProgramOutcome::Failed { fault, .. } if fault.code == "CODE_STATE"));
}

#[test]
fn only_what_a_program_does_to_itself_leaves_its_child_fit_for_another() {
    for (cause, is_sound) in [
        (ProgramFailureKind::Raised, true),
        (ProgramFailureKind::Invalid, true),
        (ProgramFailureKind::Denied, false),
        (ProgramFailureKind::Memory, false),
    ] {
        let answer = ChildResponse::Failed { cause, message: String::new(), printed: String::new() };
        assert_eq!(judged(answer).map(|verdict| verdict.is_child_reusable), Ok(is_sound), "{cause:?}");
    }
}

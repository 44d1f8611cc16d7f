use serde_json::json;

use super::*;

const BUDGET: ChildBudget = ChildBudget {
    memory_bytes: 64 << 20,
    time_ms: 10_000,
    recursion: 100,
    printed_bytes: 100,
    output_bytes: 100,
    calls: 3,
};

fn order(work: ChildWork, awaits: bool) -> ChildRequest {
    ChildRequest { work, functions: vec!["find".to_owned()], awaits, budget: BUDGET }
}

fn start(source: &str) -> ChildWork {
    ChildWork::Start { source: source.to_owned(), inputs: BTreeMap::new() }
}

#[track_caller]
fn failed(answer: ChildResponse) -> (ProgramFailureKind, String) {
    match answer {
        ChildResponse::Failed { cause, message, .. } => (cause, message),
        other => panic!("expected it to fail: {other:?}"),
    }
}

#[test]
fn a_state_that_is_none_is_refused_and_never_gone_on_from() {
    let ChildResponse::Calls { state, .. } = perform(order(start("find(a=1)"), false)) else {
        panic!("expected a call")
    };
    let resumed = |state: String, results: Vec<CallReply>| perform(order(ChildWork::Resume { state, results }, false));
    let one = || vec![CallReply::Value(json!(1))];
    assert_eq!(resumed(state.clone(), one()), ChildResponse::Finished { output: json!(1), printed: String::new() });
    for (state, results) in [
        ("".to_owned(), one()),
        ("no base64!".to_owned(), one()),
        ("AAAA".to_owned(), one()),
        (state[..state.len() / 8 * 4].to_owned(), one()),
        (state.clone(), vec![]),
        (state, vec![CallReply::Value(json!(1)), CallReply::Value(json!(2))]),
    ] {
        assert_eq!(failed(resumed(state, results)).0, ProgramFailureKind::Snapshot);
    }
}

#[test]
fn a_state_of_another_version_of_the_interpreter_is_stale() {
    use base64::Engine as _;
    let encoder = base64::engine::general_purpose::STANDARD;
    let ChildResponse::Calls { state, .. } = perform(order(start("find(a=1)"), false)) else {
        panic!("expected a call")
    };
    let mut bytes = encoder.decode(state).unwrap();
    bytes[6] ^= 1;
    let work = ChildWork::Resume { state: encoder.encode(bytes), results: vec![CallReply::Value(json!(1))] };
    assert_eq!(perform(order(work, false)), ChildResponse::Stale);
}

#[test]
fn a_long_traceback_keeps_its_beginning_and_its_end() {
    let (cause, message) = failed(perform(order(start("raise ValueError('é' * 10000 + 'end')"), false)));
    assert_eq!(cause, ProgramFailureKind::Raised);
    assert!(message.len() <= crate::sandbox::frame::MESSAGE_BYTES_MAX, "{}", message.len());
    assert!(message.starts_with("Traceback") && message.contains("ValueError: é") && message.ends_with("end"));
}

#[test]
fn a_call_that_is_not_awaited_goes_out_with_one_that_is_and_else_not_at_all() {
    let both = perform(order(start("find(a=1)\nawait find(a=2)"), true));
    assert!(matches!(&both, ChildResponse::Calls { calls, .. } if calls.len() == 2), "{both:?}");
    let (cause, message) = failed(perform(order(start("async def f():\n    await find(a=2)\nfind(a=1)"), true)));
    assert_eq!(cause, ProgramFailureKind::NotAwaited);
    assert!(message.contains("write `await find(…)`"), "{message}");
}

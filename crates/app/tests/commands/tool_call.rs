//! `baton tools call`: a single tool call.

use serde_json::{Value, json};

use super::test_folder::TestFolder;

const TOOLS: &str = "\
tools:
  - {name: greet, kind: script, class: read, results: [{output: {said: 'Hello {{ arguments.name }}'}}]}
  - name: note
    kind: script
    class: read
    parameters: {type: object, properties: {what: {type: string}, times: {type: integer}}, required: [what]}
    results: [{output: {noted: '{{ arguments }}'}}]
  - {name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {paid: '{{ arguments.amount }}'}}]}
";
const SETTINGS: &str = "[tools.tool.pay]\napproval = true\n";

fn place() -> TestFolder {
    TestFolder::with(&[("baton.toml", SETTINGS), ("tools/tools.yaml", TOOLS)])
}

#[test]
fn a_call_is_a_run_and_answers_with_the_envelope() {
    let place = place();
    let call = ["tools", "call", "calculator", "--input", r#"{"expression": "2 * 21"}"#, "--id", "sum", "--json"];
    let told = place.baton(&call).expect_code(0).json();
    assert_eq!((&told["success"], &told["tool"]), (&json!(true), &json!("calculator")), "{told}");
    assert_eq!((&told["execution_id"], &told["state"]), (&json!("sum"), &json!("completed")), "{told}");
    assert_eq!(told["data"]["result"], 42, "{told}");
    for field in
        ["error", "error_code", "error_details", "suggested_action", "audit_id", "duration_ms", "cached", "cost_usd"]
    {
        assert!(told.get(field).is_some(), "no `{field}` in {told}");
    }
    // The call is recorded as a run, and in the audit trail with the id in the envelope.
    place.baton(&["runs", "show", "sum"]).expect_code(0).expect_stdout("tool.calculator");
    let trail = place.baton(&["audit", "list", "--json"]).expect_code(0).json();
    assert!(trail["rows"].as_array().unwrap().iter().any(|row| row["action"] == "calculator"), "{trail}");
    // A second call with the same id has no effect.
    place.baton(&call).expect_code(2).expect_stderr("sum");
}

#[test]
fn nothing_in_the_arguments_is_a_template() {
    let place = place();
    let input = json!({"name": "{{ input.requests }} and {{ secrets.x }}"}).to_string();
    let told = place.baton(&["tools", "call", "greet", "--input", &input, "--json"]).expect_code(0).json();
    assert_eq!(told["data"]["said"], "Hello {{ input.requests }} and {{ secrets.x }}");
    place.baton(&["tools", "call", "greet", "--set", "name=Ana"]).expect_code(0).expect_stdout("Hello Ana");
}

#[test]
fn a_call_that_fails_says_why_and_ends_with_one() {
    let place = place();
    let told = place
        .baton(&["tools", "call", "calculator", "--input", r#"{"expression": 7}"#, "--json"])
        .expect_code(1)
        .json();
    assert_eq!((&told["success"], &told["error_code"]), (&json!(false), &json!("INVALID_PARAMETERS")), "{told}");
    assert!(told["error_details"].as_str().unwrap().contains("expression"), "{told}");
    let told = place.baton(&["tools", "call", "calculator", "--id", "bad"]).expect_code(1);
    told.expect_stdout("✗ call")
        .expect_stdout("INVALID_PARAMETERS: `calculator`")
        .expect_stdout("the call failed: INVALID_PARAMETERS: ")
        .expect_stderr("hint: Correct the named parameters");
    place.baton(&["runs", "show", "bad"]).expect_code(0).expect_stdout("call      failed: INVALID_PARAMETERS");
    let listed = place.baton(&["runs", "list", "--state", "failed", "--json"]).expect_code(0).json();
    let is_bad = |run: &&Value| run["execution_id"] == "bad";
    let bad = listed.as_array().expect("a list").iter().find(is_bad).expect("is among the failed");
    assert!(bad["error"].as_str().expect("why").starts_with("INVALID_PARAMETERS"), "{bad}");
    place.baton(&["tools", "call", "calculater"]).expect_code(2).expect_stderr("did you mean `calculator`?");
    place
        .baton(&["tools", "call", "calculator", "--input", "[1]"])
        .expect_code(2)
        .expect_stderr("--input is an object");
}

#[test]
fn a_call_that_needs_leave_waits_for_it_and_goes_on_once() {
    let place = place();
    let told =
        place.baton(&["tools", "call", "pay", "--set", "amount=5", "--id", "p1", "--json"]).expect_code(3).json();
    assert_eq!((&told["success"], &told["waits_for"][0]["kind"]), (&Value::Null, &json!("approval")), "{told}");
    let listed = place.baton(&["approvals", "list", "--json"]).expect_code(0).json();
    let request = listed[0]["id"].as_str().expect("a request");
    place.baton(&["approvals", "approve", request, "--as", "olga"]).expect_code(0);
    let shown = place.baton(&["runs", "show", "p1", "--json"]).expect_code(0).json();
    assert!(shown.to_string().contains(r#""paid":"5""#) || shown.to_string().contains(r#""paid":5"#), "{shown}");
}

#[test]
fn an_argument_that_takes_only_text_is_given_text() {
    let place = place();
    let told =
        place.baton(&["tools", "call", "note", "-s", "what=500", "-s", "times=2", "--json"]).expect_code(0).json();
    assert_eq!(told["data"]["noted"], json!({"what": "500", "times": 2}), "{told}");
    place.baton(&["tools", "call", "note", "-s", "what"]).expect_code(2).expect_stderr("is not KEY=VALUE");
}

#[test]
fn a_call_that_was_not_allowed_has_failed() {
    let place = place();
    place.baton(&["tools", "call", "pay", "--set", "amount=5", "--id", "p1"]).expect_code(3);
    let told = place.baton(&["approvals", "reject", "p1", "--as", "olga", "--reason", "too much"]).expect_code(1);
    told.expect_stdout("the call failed: REJECTED: `olga` did not allow the call: too much");
    place.baton(&["runs", "show", "p1"]).expect_code(0).expect_stdout("failed: REJECTED");
    // A later decision belongs to another run.
    place.baton(&["tools", "call", "pay", "--set", "amount=5", "--id", "p2"]).expect_code(3);
    place.baton(&["approvals", "reject", "p2", "--as", "olga", "--json"]).expect_code(1);
}

#[test]
fn a_rollback_that_can_undo_nothing_says_why() {
    let place = place();
    place.baton(&["tools", "call", "greet", "--set", "name=Ana", "--id", "g1"]).expect_code(0);
    let refused = place.baton(&["runs", "rollback", "g1"]).expect_code(1);
    refused.expect_stderr("refused[RUN-004]").expect_stderr("it did nothing itself that would have to be undone");
    place.baton(&["tools", "call", "pay", "--set", "amount=5", "--id", "p1"]).expect_code(3);
    place.baton(&["approvals", "approve", "p1", "--as", "olga"]).expect_code(0);
    let refused = place.baton(&["runs", "rollback", "p1"]).expect_code(1);
    refused.expect_stderr("refused[RUN-004]").expect_stderr("`pay` of `call` cannot be undone: paid");
    let refused = place.baton(&["runs", "rollback", "p1", "--json"]).expect_code(1).json();
    assert_eq!(refused["refused"]["hint"], "`pay` of `call` cannot be undone: paid");
}

//! `baton tools call`: one call from outside.

use serde_json::{Value, json};

use super::place::Place;

const TOOLS: &str = "\
tools:
  - {name: greet, kind: script, class: read, results: [{output: {said: 'Hello {{ arguments.name }}'}}]}
  - {name: pay, kind: script, class: keyed, irreversible: paid, results: [{output: {paid: '{{ arguments.amount }}'}}]}
";
const SETTINGS: &str = "[tools.tool.pay]\napproval = true\n";

fn place() -> Place {
    Place::with(&[("baton.toml", SETTINGS), ("tools/tools.yaml", TOOLS)])
}

#[test]
fn a_call_is_a_run_and_answers_with_the_envelope() {
    let place = place();
    let call = ["tools", "call", "calculator", "--input", r#"{"expression": "2 * 21"}"#, "--id", "sum", "--json"];
    let told = place.baton(&call).ends(0).json();
    assert_eq!((&told["success"], &told["tool"]), (&json!(true), &json!("calculator")), "{told}");
    assert_eq!((&told["execution_id"], &told["state"]), (&json!("sum"), &json!("completed")), "{told}");
    assert_eq!(told["data"]["result"], 42, "{told}");
    for field in
        ["error", "error_code", "error_details", "suggested_action", "audit_id", "duration_ms", "cached", "cost_usd"]
    {
        assert!(told.get(field).is_some(), "no `{field}` in {told}");
    }
    // It is recorded as a run, and in the trail under the id that the envelope names.
    place.baton(&["runs", "show", "sum"]).ends(0).says("tool.calculator");
    let trail = place.baton(&["audit", "list", "--json"]).ends(0).json();
    assert!(trail["rows"].as_array().unwrap().iter().any(|row| row["action"] == "calculator"), "{trail}");
    // The same id does not do it again.
    place.baton(&call).ends(2).warns("sum");
}

#[test]
fn nothing_in_the_arguments_is_a_template() {
    let place = place();
    let input = json!({"name": "{{ input.requests }} and {{ secrets.x }}"}).to_string();
    let told = place.baton(&["tools", "call", "greet", "--input", &input, "--json"]).ends(0).json();
    assert_eq!(told["data"]["said"], "Hello {{ input.requests }} and {{ secrets.x }}");
    place.baton(&["tools", "call", "greet", "--set", "name=Ana"]).ends(0).says("Hello Ana");
}

#[test]
fn a_call_that_fails_says_why_and_ends_with_one() {
    let place = place();
    let told =
        place.baton(&["tools", "call", "calculator", "--input", r#"{"expression": 7}"#, "--json"]).ends(1).json();
    assert_eq!((&told["success"], &told["error_code"]), (&json!(false), &json!("INVALID_PARAMETERS")), "{told}");
    assert!(told["error_details"].as_str().unwrap().contains("expression"), "{told}");
    place.baton(&["tools", "call", "calculator"]).ends(1).says("INVALID_PARAMETERS");
    place.baton(&["tools", "call", "calculater"]).ends(2).warns("did you mean `calculator`?");
    place.baton(&["tools", "call", "calculator", "--input", "[1]"]).ends(2).warns("--input is an object");
}

#[test]
fn a_call_that_needs_leave_waits_for_it_and_goes_on_once() {
    let place = place();
    let told = place.baton(&["tools", "call", "pay", "--set", "amount=5", "--id", "p1", "--json"]).ends(3).json();
    assert_eq!((&told["success"], &told["waits_for"][0]["kind"]), (&Value::Null, &json!("approval")), "{told}");
    let listed = place.baton(&["approvals", "list", "--json"]).ends(0).json();
    let request = listed[0]["id"].as_str().expect("a request");
    place.baton(&["approvals", "approve", request, "--as", "olga"]).ends(0);
    let shown = place.baton(&["runs", "show", "p1", "--json"]).ends(0).json();
    assert!(shown.to_string().contains(r#""paid":"5""#) || shown.to_string().contains(r#""paid":5"#), "{shown}");
}

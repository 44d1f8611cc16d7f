use baton_core::agent::{AgentKind, AgentTask};
use serde_json::{Value, json};

use crate::code;
use crate::test_support::{answered, asked, called, gave_up, last_message, said, task};

fn selection() -> AgentTask {
    AgentTask { selects: true, ..task(AgentKind::Reasoning) }
}

fn selects(reply: &str, expected: &Value) {
    assert_eq!(answered(&selection(), &[said(reply)]), *expected, "{reply}");
}

#[test]
fn the_tools_are_told_and_not_offered() {
    let request = asked(&selection(), &[]);
    assert!(request.tools.is_empty());
    let system = serde_json::to_string(&request.messages[0]).expect("writes");
    assert!(system.contains("get_order") && system.contains("Be kind."));
}

#[test]
fn none_may_be_chosen() {
    selects(
        r#"{"tools": [], "reasoning": "General opening hours."}"#,
        &json!({"tools": [], "reasoning": "General opening hours.", "tool_requests": []}),
    );
}

#[test]
fn a_selection_is_read_in_every_shape_models_write_it() {
    let expected = json!({
        "tools": ["get_order"],
        "reasoning": "r",
        "tool_requests": [{"tool_name": "get_order", "parameters": {"id": "7"}}]
    });
    selects(r#"{"tools": [{"tool_name": "get_order", "parameters": {"id": "7"}}], "reasoning": "r"}"#, &expected);
    selects(
        r#"{"tools": ["get_order"], "reasoning": "r", "tool_requests": [{"tool_name": "get_order", "parameters": {"id": "7"}}]}"#,
        &expected,
    );
    selects(r#"I think: {"tools": [{"name": "get_order", "arguments": {"id": "7"}}], "reasoning": "r"}"#, &expected);
    let native = answered(&selection(), &[called(&[("c1", "get_order", json!({"id": "7"}))])]);
    assert_eq!(native["tool_requests"], expected["tool_requests"]);
    selects(
        r#"{"tools": ["get_order"], "reasoning": "r"}"#,
        &json!({"tools": ["get_order"], "reasoning": "r", "tool_requests": [{"tool_name": "get_order", "parameters": {}}]}),
    );
}

#[test]
fn a_tool_asked_for_twice_is_listed_once_and_requested_twice() {
    let twice = r#"{"tools": [{"tool_name": "get_order", "parameters": {"id": "7"}}, {"tool_name": "get_order", "parameters": {"id": "8"}}], "reasoning": ""}"#;
    let output = answered(&selection(), &[said(twice)]);
    assert_eq!(output["tools"], json!(["get_order"]));
    assert_eq!(output["tool_requests"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_tool_that_was_not_offered_is_corrected_once() {
    let wrong = said(r#"{"tools": ["get_ordr"], "reasoning": "r"}"#);
    let message = last_message(&selection(), std::slice::from_ref(&wrong));
    assert!(message.contains("did you mean `get_order`?"), "{message}");
    assert_eq!(gave_up(&selection(), &[wrong.clone(), wrong]).code, code::UNKNOWN_TOOL);
}

#[test]
fn a_reply_that_selects_nothing_readable_is_corrected_once() {
    for (wrong, code) in [
        ("the calendar", code::REPLY_NOT_JSON),
        (r#"{"choice": "get_order"}"#, code::REPLY_INVALID),
        (r#"{"tools": [7], "reasoning": ""}"#, code::REPLY_INVALID),
        (r#"{"tools": [{"tool_name": "get_order", "parameters": "7"}], "reasoning": ""}"#, code::INVALID_ARGUMENTS),
    ] {
        assert_eq!(gave_up(&selection(), &[said(wrong), said(wrong)]).code, code, "{wrong}");
    }
}

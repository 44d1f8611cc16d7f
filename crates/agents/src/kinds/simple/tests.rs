use baton_core::agent::{AgentKind, AgentObservation};
use baton_core::fault::Fault;
use baton_core::model::{FinishReason, ModelMessage, ModelProfile};
use serde_json::json;

use crate::code;
use crate::test_support::{answered, asked, cut_off, gave_up, last_message, reply, said, task};

fn classifier() -> baton_core::agent::AgentTask {
    let mut task = task(AgentKind::Simple);
    task.agent.output_schema = Some(json!({
        "type": "object",
        "properties": {"intent": {"type": "string"}, "confidence": {"type": "number", "maximum": 1}},
        "required": ["intent", "confidence"]
    }));
    task
}

#[test]
fn the_model_is_asked_once_with_the_kinds_defaults() {
    let request = asked(&classifier(), &[]);
    assert_eq!((request.agent.as_str(), request.profile, request.temperature), ("helper", ModelProfile::Fast, 0.0));
    assert!(request.tools.is_empty() && request.schema.is_some());
    let [ModelMessage::System { content: system, .. }, ModelMessage::User { content: prompt, .. }] =
        request.messages.as_slice()
    else {
        panic!("{:?}", request.messages)
    };
    assert!(system.starts_with("Be kind.") && system.contains("JSON Schema") && system.contains("confidence"));
    assert_eq!(prompt, "Where is order 7?");
}

#[test]
fn a_definition_wins_over_the_defaults() {
    let mut task = classifier();
    task.agent.model_profile = Some(ModelProfile::Powerful);
    task.agent.temperature = Some(0.7);
    task.agent.max_tokens = Some(99);
    task.agent.model = Some("gpt-4".into());
    let request = asked(&task, &[]);
    assert_eq!((request.profile, request.temperature), (ModelProfile::Powerful, 0.7));
    assert_eq!((request.max_tokens, request.model.as_deref()), (Some(99), Some("gpt-4")));
}

#[test]
fn a_reply_that_satisfies_the_schema_is_the_output() {
    let chatty = "Sure:\n```json\n{\"intent\": \"return_request\", \"confidence\": 0.95}\n```";
    assert_eq!(answered(&classifier(), &[said(chatty)]), json!({"intent": "return_request", "confidence": 0.95}));
}

#[test]
fn a_wrong_reply_is_repaired_once_with_the_validators_message() {
    let task = classifier();
    let wrong = said(r#"{"intent": "x", "confidence": 7}"#);
    let message = last_message(&task, std::slice::from_ref(&wrong));
    assert!(message.contains("`/confidence`") && message.contains("maximum"), "{message}");
    let right = said(r#"{"intent": "x", "confidence": 0.7}"#);
    assert_eq!(answered(&task, &[wrong.clone(), right]), json!({"intent": "x", "confidence": 0.7}));
    let fault = gave_up(&task, &[wrong.clone(), wrong]);
    assert_eq!(fault.code, code::REPLY_INVALID);
    assert!(fault.message.contains("`helper`") && fault.message.contains("`/confidence`"), "{}", fault.message);
}

#[test]
fn a_value_of_the_customer_is_not_repeated_in_a_fault() {
    let wrong = said(r#"{"intent": "x", "confidence": "card 4111111111111111"}"#);
    let fault = gave_up(&classifier(), &[wrong.clone(), wrong]);
    assert!(!fault.message.contains("4111"), "{}", fault.message);
}

#[test]
fn text_without_json_is_not_an_answer_by_schema() {
    let fault = gave_up(&classifier(), &[said("It is a return."), said("A return, I said.")]);
    assert_eq!(fault.code, code::REPLY_NOT_JSON);
}

#[test]
fn without_a_schema_text_is_text_and_an_object_is_itself() {
    let task = task(AgentKind::Simple);
    assert_eq!(answered(&task, &[said(" It is on its way. ")]), json!({"text": "It is on its way."}));
    assert_eq!(answered(&task, &[said("```json\n{\"success\": true}\n```")]), json!({"success": true}));
    assert_eq!(answered(&task, &[said("I found {\"a\": 1}")]), json!({"text": "I found {\"a\": 1}"}));
    assert_eq!(gave_up(&task, &[said(""), said(" ")]).code, code::REPLY_EMPTY);
}

#[test]
fn a_cut_off_reply_is_asked_for_again_and_a_refusal_is_not() {
    let task = classifier();
    assert!(last_message(&task, &[cut_off("{\"intent\"")]).contains("cut off"));
    assert_eq!(gave_up(&task, &[cut_off("{"), cut_off("{")]).code, code::REPLY_TRUNCATED);
    let refused = AgentObservation::Replied(reply("I can't help with that.", Vec::new(), FinishReason::Filtered));
    assert_eq!(gave_up(&task, &[refused]).code, code::REPLY_REFUSED);
}

#[test]
fn a_model_that_cannot_be_asked_is_the_agents_fault_too() {
    let fault = Fault::new("SERVICE_UNAVAILABLE", "no model answers");
    assert_eq!(gave_up(&classifier(), &[AgentObservation::ModelFailed(fault.clone())]), fault);
}

#[test]
fn a_schema_that_is_none_is_said_before_any_model_is_paid() {
    let mut task = task(AgentKind::Simple);
    task.agent.output_schema = Some(json!({"type": "objekt"}));
    let fault = gave_up(&task, &[]);
    assert_eq!(fault.code, code::OUTPUT_SCHEMA_INVALID);
    assert!(fault.message.contains("`/type`"), "{}", fault.message);
}

#[test]
fn a_schema_reaches_for_nothing_outside_itself() {
    let mut task = task(AgentKind::Simple);
    task.agent.output_schema = Some(json!({"$ref": "http://localhost:9/schema.json"}));
    assert_eq!(gave_up(&task, &[]).code, code::OUTPUT_SCHEMA_INVALID);
}
